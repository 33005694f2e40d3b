"""Opening what is imported: a file, packed or not, or standard input."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from metering.importing.formats import CsvDecoder, Decoder, JsonDecoder, UnusableFile, read_columns
from metering.importing.parquet import iterate_rows, opening_table
from metering.importing.records import START, DamagedStream, Record, Section, iterate_lines
from metering.models import ImportFormat

STANDARD_INPUT = "-"
NO_HASH = b""
GZIP_MAGIC = b"\x1f\x8b"
HASHED_BYTES = BUFFER_BYTES = 1024 * 1024
SUFFIXES = {
    ".jsonl": ImportFormat.JSON_LINES,
    ".ndjson": ImportFormat.JSON_LINES,
    ".csv": ImportFormat.CSV,
    ".parquet": ImportFormat.PARQUET,
}
GZIP_SUFFIX = ".gz"


class FileIdentity(NamedTuple):
    """What makes a file the same file, wherever it is: its content, read in the same way."""

    name: str
    format: ImportFormat
    content_hash: bytes
    size_bytes: int


class Source(Protocol):
    """Something to import."""

    name: str
    format: ImportFormat
    decoder: Decoder
    size_bytes: int | None

    def iterate_records(self, section: Section) -> Iterator[Record]:
        """Read the records of a section; of what cannot be read twice, only from the start to the end.

        Raises: DamagedStream.
        """

    def count_read_bytes(self) -> int:
        """Tell how much of the file has been read so far."""


class LineSource:
    """A file or stream of JSON lines or CSV, unpacked on the way. A stream has no size, and is read once."""

    def __init__(
        self, file: "io.BufferedReader[Any]", *, name: str, file_format: ImportFormat, size_bytes: int | None
    ) -> None:
        self.name = name
        self.format = file_format
        self.size_bytes = size_bytes
        self.decoder: Decoder = JsonDecoder()
        self._file = file
        is_packed = file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] == GZIP_MAGIC
        # No buffer around this one: it would lose what comes before damage.
        self._stream = gzip.GzipFile(fileobj=file) if is_packed else file
        self._begins_at = START
        if file_format is ImportFormat.CSV:
            self.decoder = self._read_header()

    def iterate_records(self, section: Section) -> Iterator[Record]:
        """Read the records of a section."""
        return self._cut(section._replace(starts_at=max(section.starts_at, self._begins_at)))

    def count_read_bytes(self) -> int:
        """Tell how much of the file has been read so far."""
        return self._file.tell() if self.size_bytes is not None else 0

    def _read_header(self) -> CsvDecoder:
        """Read the names of the columns, after which the records begin.

        Raises: UnusableFile.
        """
        try:
            header = next(self._cut(Section()), None)
        except DamagedStream as error:
            raise UnusableFile(str(error)) from None
        if header is None:
            raise UnusableFile(f"{self.name} is empty: it does not even name its columns.")
        self._begins_at = header.end
        return CsvDecoder.from_header(header)

    def _cut(self, section: Section) -> Iterator[Record]:
        is_quoted = self.format is ImportFormat.CSV
        try:
            if self.size_bytes is not None:
                self._stream.seek(section.starts_at.position)
            yield from iterate_lines(self._stream, section=section, is_quoted=is_quoted)
        except (EOFError, OSError, zlib.error) as error:
            raise DamagedStream(f"{self.name} cannot be read any further: {error}") from error


class TableSource:
    """A Parquet file."""

    def __init__(self, path: Path, table: Any) -> None:
        self.name = path.name
        self.format = ImportFormat.PARQUET
        self.size_bytes: int | None = path.stat().st_size
        self.decoder: Decoder = JsonDecoder()
        self._table = table
        self._columns = read_columns(table.schema_arrow.names)
        self._row_count: int = table.metadata.num_rows
        self._read_count = 0

    def iterate_records(self, section: Section) -> Iterator[Record]:
        """Read the rows of a section."""
        try:
            for record in iterate_rows(self._table, columns=self._columns, section=section):
                self._read_count = record.line
                yield record
        except (OSError, ValueError) as error:
            raise DamagedStream(f"{self.name} cannot be read any further: {error}") from error

    def count_read_bytes(self) -> int:
        """Tell how much of the file has been read so far, by its rows."""
        assert self.size_bytes is not None, "A table is a file."
        return self.size_bytes * self._read_count // max(self._row_count, 1)


@contextmanager
def opening_source(
    path: Path | None, *, standard_input: Any, file_format: ImportFormat | None
) -> Iterator[Source]:
    """Open a file, or standard input; the format is that which is asked for, or which the name tells.

    Raises: UnusableFile.
    """
    if path is not None and path.exists() and not path.is_file():
        raise UnusableFile(f"{path} is not a file: pipe it into standard input, which is {STANDARD_INPUT}.")
    chosen = file_format or (ImportFormat.JSON_LINES if path is None else _tell_format(path))
    if path is None:
        if chosen is ImportFormat.PARQUET:
            raise UnusableFile("A Parquet file is not read from its beginning: give its name.")
        buffered = io.BufferedReader(standard_input, BUFFER_BYTES)
        yield LineSource(buffered, name=STANDARD_INPUT, file_format=chosen, size_bytes=None)
        buffered.detach()  # It is not ours to close.
    elif chosen is ImportFormat.PARQUET:
        with opening_table(path) as table:
            yield TableSource(path, table)
    else:
        with _opening_file(path) as file:
            yield LineSource(file, name=path.name, file_format=chosen, size_bytes=path.stat().st_size)


@contextmanager
def _opening_file(path: Path) -> Iterator["io.BufferedReader[Any]"]:
    """Open a file for reading.

    Raises: UnusableFile.
    """
    try:
        raw = io.FileIO(path)
    except OSError as error:
        raise UnusableFile(f"{path} cannot be opened: {error.strerror}.") from None
    with io.BufferedReader(raw, BUFFER_BYTES) as file:
        yield file


def identify(path: Path, file_format: ImportFormat) -> FileIdentity:
    """Tell which file it is: all of it is read, so that a corrected one is another."""
    digest = hashlib.blake2b(digest_size=32)
    size = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(HASHED_BYTES):
            digest.update(piece)
            size += len(piece)
    return FileIdentity(path.name, file_format, digest.digest(), size)


def identify_stream(file_format: ImportFormat) -> FileIdentity:
    """Name what has no identity: nobody can come back to it."""
    return FileIdentity(STANDARD_INPUT, file_format, NO_HASH, 0)


def _tell_format(path: Path) -> ImportFormat:
    """Tell a file's format by its name.

    Raises: UnusableFile.
    """
    name = path.with_suffix("") if path.suffix == GZIP_SUFFIX else path
    found = SUFFIXES.get(name.suffix.lower())
    if found is None:
        raise UnusableFile(f"The format of {path.name} is not in its name: say which, with --format.")
    return found
