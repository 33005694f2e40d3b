"""Archives as JSON lines, packed: anything can read them, for as long as they are kept."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from metering.archiving.rows import ArchivedRow, DamagedArchive

SUFFIX = ".jsonl.gz"
LEVEL = 6

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(ArchivedRow)


def write_rows(path: Path, rows: Iterable[ArchivedRow]) -> int:
    """Write a file, and return how many events it has. The same events come to the same bytes."""
    count = 0
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=LEVEL, mtime=0) as packed,
    ):
        for row in rows:
            packed.write(_ENCODER.encode(row) + b"\n")
            count += 1
    return count


def iterate_rows(path: Path) -> Iterator[ArchivedRow]:
    """Read a file, a line at a time.

    Raises: DamagedArchive.
    """
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                yield _DECODER.decode(line)
    except (EOFError, OSError, zlib.error, msgspec.DecodeError) as error:
        raise DamagedArchive(f"{path.name} cannot be read: {error}") from error
