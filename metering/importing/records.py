"""Cutting a stream into records, and records into chunks, never holding more than a chunk of it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

# Far more than an event can have. What is longer is refused, and only its beginning is ever held.
MAX_RECORD_BYTES = 1024 * 1024
MAX_CHUNK_BYTES = 32 * 1024 * 1024
SKIPPED_BYTES = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
QUOTE = b'"'


class DamagedStream(Exception):
    """The stream cannot be read any further."""


class Place(NamedTuple):
    """A place in a stream: how many bytes, or rows of a table, come before it, and the number of its line."""

    position: int = 0
    line: int = 1


START = Place()


class Section(NamedTuple):
    """A part of a stream; without an end it goes on to the stream's."""

    starts_at: Place = START
    end_position: int | None = None


class Record(NamedTuple):
    """What should be one event, where it begins, and the place after it."""

    content: bytes
    line: int
    end: Place


class Chunk(msgspec.Struct, frozen=True):
    """Records, with the number of the line that each begins at.

    They are all those between `starts_at` and `ends_at`, or some of them, if they were dealt out into more
    than one chunk: into `count`, of which this has the `number`, from 0.
    """

    starts_at: Place
    ends_at: Place
    records: Sequence[bytes]
    lines: Sequence[int]
    number: int = 0
    count: int = 1


class LineStream(Protocol):
    """What records are read from: a binary file, or something like it."""

    def readline(self, size: int, /) -> bytes:
        """Read up to the end of a line, and so many bytes at most; nothing at the stream's end."""


def iterate_lines(stream: LineStream, *, section: Section, is_quoted: bool = False) -> Iterator[Record]:
    """Cut a stream, which stands where the section begins, into lines; empty ones are left out.

    Where lines are quoted, as in CSV, a line end between quotes is part of the record. A record that is too
    long comes with one byte more than is allowed; it ends with its line, so that one quote too many does not
    swallow the rest.
    """
    position, line = section.starts_at
    while section.end_position is None or position < section.end_position:
        first_line = line
        parts: list[bytes] = []
        size = quote_count = 0
        while True:
            part, length = _read_line(stream, room=MAX_RECORD_BYTES + 1 - size)
            parts.append(part)
            size += len(part)
            position += length
            line += bool(length)
            quote_count += part.count(QUOTE) if is_quoted else 0
            if not length or size > MAX_RECORD_BYTES or quote_count % 2 == 0:
                break
        content = b"".join(parts)
        if not content:
            return
        if first_line == START.line:
            content = content.removeprefix(BYTE_ORDER_MARK)
        if content and not content.isspace():
            yield Record(content, first_line, Place(position, line))


def gather(
    records: Iterable[Record], *, starts_at: Place, size: int, max_bytes: int = MAX_CHUNK_BYTES
) -> Iterator[Chunk]:
    """Gather records into chunks of so many, or fewer if they are long; those before damage, too.

    Raises: DamagedStream, once they have been handed over.
    """
    contents: list[bytes] = []
    lines: list[int] = []
    end = starts_at
    size_bytes = 0
    damage: DamagedStream | None = None
    try:
        for content, line, after in records:
            contents.append(content)
            lines.append(line)
            end = after
            size_bytes += len(content)
            if len(contents) == size or size_bytes >= max_bytes:
                yield Chunk(starts_at, end, contents, lines)
                starts_at, contents, lines, size_bytes = end, [], [], 0
    except DamagedStream as error:
        damage = error
    if contents:
        yield Chunk(starts_at, end, contents, lines)
    if damage is not None:
        raise damage


def _read_line(stream: LineStream, *, room: int) -> tuple[bytes, int]:
    """Read a line, and tell how long it was; of one that is longer than there is room only the beginning."""
    content = stream.readline(max(room, 1))
    length = len(content)
    is_whole = not content or content.endswith(b"\n")
    while not is_whole and length >= room:
        skipped = stream.readline(SKIPPED_BYTES)
        length += len(skipped)
        is_whole = not skipped or skipped.endswith(b"\n")
    return content, length
