"""The report of refused records: a file of JSON lines, which may be mended and imported in turn."""

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from metering.importing.records import Chunk
from metering.ingest.incoming import Refusal

SUFFIX = ".refused.ndjson"
SHOWN_BYTES = 64 * 1024  # Of a record that is longer, the beginning.
STANDARD_NAME = f"standard-input{SUFFIX}"


class Entry(msgspec.Struct, frozen=True):
    """What the report says of a record: where it was, which event it is, what is wrong, and the record."""

    line: int
    id: str | None
    code: str
    detail: str
    record: str


_ENTRY = msgspec.json.Decoder(Entry)


def find_report(path: Path | None) -> Path:
    """Tell where the report of a file goes, unless another place is asked for: next to it."""
    return Path(STANDARD_NAME) if path is None else path.with_name(f"{path.name}{SUFFIX}")


def prepare_report(path: Path, *, is_kept: Callable[[int], bool]) -> None:
    """Keep the entries of an earlier run for those lines that are done; all others come again, if they do.

    Raises: OSError if the file cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("wb") as kept:
        if path.exists():
            with path.open("rb") as entries:
                kept.writelines(entry for entry in entries if is_kept(_read_line_number(entry)))
    unfinished.replace(path)


def append_refusals(path: Path, *, chunk: Chunk, refusals: Sequence[Refusal]) -> None:
    """Add what was refused of a chunk, on disk when this returns. Several processes may do so at once."""
    if not refusals:
        return
    written = b"".join(_write_entry(chunk, refusal) for refusal in refusals)
    with path.open("ab") as report:
        fcntl.flock(report, fcntl.LOCK_EX)
        report.write(written)
        report.flush()
        os.fsync(report.fileno())


def remove_if_empty(path: Path) -> bool:
    """Remove a report that has nothing to say; tell whether it had."""
    is_empty = path.exists() and path.stat().st_size == 0
    if is_empty:
        path.unlink()
    return is_empty


def _write_entry(chunk: Chunk, refusal: Refusal) -> bytes:
    record = chunk.records[refusal.index].rstrip(b"\r\n")[:SHOWN_BYTES]
    entry = Entry(
        line=chunk.lines[refusal.index],
        id=refusal.event_id,
        code=refusal.code.value,
        detail=refusal.detail,
        record=record.decode(errors="replace"),
    )
    return msgspec.json.encode(entry) + b"\n"


def _read_line_number(entry: bytes) -> int:
    """Read which line an entry is about; one that was not written to its end is about none."""
    try:
        return _ENTRY.decode(entry).line
    except ValueError:
        return 0
