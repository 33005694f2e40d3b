"""Settings of the metering app."""

from pathlib import Path

from django.conf import settings

MAX_BATCH_LIMIT = 10_000
MAX_IMPORT_CHUNK = 100_000
MAX_IMPORT_PROCESSES = 64


def read_batch_limit() -> int:
    """Return how many events one request may carry: the setting `BILLING_EVENT_BATCH_LIMIT`."""
    limit: int = settings.BILLING_EVENT_BATCH_LIMIT
    assert 1 <= limit <= MAX_BATCH_LIMIT, f"A batch may have 1 to {MAX_BATCH_LIMIT} events, not {limit}."
    return limit


def read_import_chunk() -> int:
    """Return how many events an import stores at a time: the setting `BILLING_IMPORT_CHUNK`."""
    size: int = settings.BILLING_IMPORT_CHUNK
    assert 1 <= size <= MAX_IMPORT_CHUNK, f"A chunk has 1 to {MAX_IMPORT_CHUNK} events, not {size}."
    return size


def read_import_processes() -> int:
    """Return how many processes import a file: the setting `BILLING_IMPORT_PROCESSES`."""
    count: int = settings.BILLING_IMPORT_PROCESSES
    assert 1 <= count <= MAX_IMPORT_PROCESSES, f"1 to {MAX_IMPORT_PROCESSES} processes import, not {count}."
    return count


def read_import_max_bytes() -> int:
    """Return how long an upload of events may be: the setting `BILLING_IMPORT_MAX_BYTES`."""
    limit: int = settings.BILLING_IMPORT_MAX_BYTES
    return limit


def read_archive_folder() -> Path:
    """Return the folder that archives of events are written to: the setting `BILLING_ARCHIVE_DIR`."""
    folder: Path = settings.BILLING_ARCHIVE_DIR
    return folder
