"""The files of archives: written so that they are on disk for good before anybody relies on them."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from metering.archiving import json_lines, parquet
from metering.archiving.rows import ArchivedRow, DamagedArchive
from metering.models import ArchiveFormat

MANIFEST_SUFFIX = ".manifest.json"
_PART_SUFFIX = ".part"
_HASHED_BYTES = 1024 * 1024


class Format(NamedTuple):
    """How a format is written and read."""

    suffix: str
    write_rows: Callable[[Path, Iterable[ArchivedRow]], int]
    iterate_rows: Callable[[Path], Iterator[ArchivedRow]]


FORMATS: Mapping[str, Format] = {
    ArchiveFormat.JSON_LINES: Format(json_lines.SUFFIX, json_lines.write_rows, json_lines.iterate_rows),
    ArchiveFormat.PARQUET: Format(parquet.SUFFIX, parquet.write_rows, parquet.iterate_rows),
}


def write_events(path: Path, rows: Iterable[ArchivedRow], *, archive_format: str) -> int:
    """Write events to a file, in place of what a crash may have left, and return how many they are."""
    part = _prepare(path)
    count = FORMATS[archive_format].write_rows(part, rows)
    _settle(part, path)
    return count


def write_manifest(path: Path, manifest: Mapping[str, object]) -> None:
    """Write a manifest."""
    part = _prepare(path)
    part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    _settle(part, path)


def iterate_events(path: Path, *, archive_format: str) -> Iterator[ArchivedRow]:
    """Read the events of a file, in their order.

    Raises: DamagedArchive.
    """
    return FORMATS[archive_format].iterate_rows(path)


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file as it is on disk.

    Raises: DamagedArchive if it is not there.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_HASHED_BYTES):
                digest.update(piece)
    except OSError as error:
        raise DamagedArchive(f"{path} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()


def check_hash(path: Path, expected: str) -> None:
    """Check that a file is what was written.

    Raises: DamagedArchive.
    """
    if hash_file(path) != expected:
        raise DamagedArchive(f"{path} has been changed: its SHA-256 is not {expected}.")


def _prepare(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(path.name + _PART_SUFFIX)


def _settle(part: Path, path: Path) -> None:
    """Have the disk keep a file, then give it its name, and have the disk keep that."""
    _sync(part)
    part.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
