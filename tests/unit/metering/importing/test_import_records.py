"""Cutting streams: every byte is in a place, lines have their numbers, and nothing long is held."""

import io
from collections.abc import Iterator

import pytest

from metering.importing import records
from metering.importing.records import (
    START,
    Chunk,
    DamagedStream,
    Place,
    Record,
    Section,
    gather,
    iterate_lines,
)

WHOLE = Section()


def cut(text: bytes, *, section: Section = WHOLE, is_quoted: bool = False) -> list[Record]:
    stream = io.BytesIO(text)
    stream.seek(section.starts_at.position)
    return list(iterate_lines(stream, section=section, is_quoted=is_quoted))


class TestIterateLines:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (b"", []),
            (b"\n\r\n  \n", []),
            (b"a\nb\n", [(b"a\n", 1, 2), (b"b\n", 2, 4)]),
            (b"a\nb", [(b"a\n", 1, 2), (b"b", 2, 3)]),
            (b"a\r\n\r\nb\r\n", [(b"a\r\n", 1, 3), (b"b\r\n", 3, 8)]),
            (b"\xef\xbb\xbfa\nb\n", [(b"a\n", 1, 5), (b"b\n", 2, 7)]),
            (b"a\n\xef\xbb\xbfb\n", [(b"a\n", 1, 2), (b"\xef\xbb\xbfb\n", 2, 7)]),
        ],
    )
    def test_gives_each_line_its_number_and_the_place_after_it(
        self, text: bytes, expected: list[tuple[bytes, int, int]]
    ) -> None:
        assert [(record.content, record.line, record.end.position) for record in cut(text)] == expected

    def test_goes_from_place_to_place(self) -> None:
        text = b"one\n\ntwo\nthree\n"
        first, second, third = cut(text)

        assert cut(text, section=Section(first.end)) == [second, third]
        assert cut(text, section=Section(first.end, second.end.position)) == [second]
        assert cut(text, section=Section(third.end)) == []

    def test_keeps_quoted_line_ends_within_a_record(self) -> None:
        text = b'"a\nb",1\n"c""\n",2\n3\n'

        assert [(record.content, record.line) for record in cut(text, is_quoted=True)] == [
            (b'"a\nb",1\n', 1),
            (b'"c""\n",2\n', 3),
            (b"3\n", 5),
        ]
        assert len(cut(text)) == 5

    def test_gives_a_record_that_the_stream_ends_in_as_it_is(self) -> None:
        assert [record.content for record in cut(b'1\n"a\n', is_quoted=True)] == [b"1\n", b'"a\n']

    @pytest.mark.parametrize("is_quoted", [False, True])
    @pytest.mark.parametrize("excess", [1, 2, 100])
    def test_cuts_what_is_too_long_and_goes_on_with_the_next_line(
        self, excess: int, is_quoted: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(records, "MAX_RECORD_BYTES", 10)
        monkeypatch.setattr(records, "SKIPPED_BYTES", 7)
        line = b"x" * (9 + excess) + b"\n"

        long, after = cut(line + b"y\n", is_quoted=is_quoted)

        assert long == Record(line[:11], 1, Place(len(line), 2))
        assert after == Record(b"y\n", 2, Place(len(line) + 2, 3))

    def test_lets_what_is_just_short_enough_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(records, "MAX_RECORD_BYTES", 10)

        assert [record.content for record in cut(b"x" * 9 + b"\n" + b"y" * 10)] == [
            b"x" * 9 + b"\n",
            b"y" * 10,
        ]

    def test_does_not_let_one_quote_swallow_the_rest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(records, "MAX_RECORD_BYTES", 10)

        found = cut(b'"open\nabc\ndef\nghi\njkl\n', is_quoted=True)

        assert [(record.content[:11], record.line) for record in found] == [
            (b'"open\nabc\nd', 1),
            (b"ghi\n", 4),
            (b"jkl\n", 5),
        ]

    def test_never_asks_for_more_than_a_record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(records, "MAX_RECORD_BYTES", 100)
        asked: list[int] = []

        class Stream(io.BytesIO):
            def readline(self, size: int | None = -1, /) -> bytes:
                assert size is not None
                asked.append(size)
                return super().readline(size)

        list(iterate_lines(Stream(b"x" * 10_000_000), section=Section()))

        assert 0 < max(asked) <= max(101, records.SKIPPED_BYTES)
        assert min(asked) > 0


def make_records(count: int, *, size: int = 1) -> list[Record]:
    return [Record(b"x" * size, number, Place(number * size, number + 1)) for number in range(1, count + 1)]


class TestGather:
    def test_makes_chunks_that_follow_each_other(self) -> None:
        chunks = list(gather(make_records(5), starts_at=START, size=2))

        assert chunks == [
            Chunk(Place(0, 1), Place(2, 3), [b"x", b"x"], [1, 2]),
            Chunk(Place(2, 3), Place(4, 5), [b"x", b"x"], [3, 4]),
            Chunk(Place(4, 5), Place(5, 6), [b"x"], [5]),
        ]

    def test_makes_none_of_nothing(self) -> None:
        assert list(gather([], starts_at=START, size=2)) == []

    def test_ends_a_chunk_of_long_records_sooner(self) -> None:
        chunks = gather(make_records(5, size=50), starts_at=START, size=1000, max_bytes=100)

        assert [len(chunk.records) for chunk in chunks] == [2, 2, 1]

    def test_hands_over_what_came_before_damage(self) -> None:
        def read() -> Iterator[Record]:
            yield from make_records(3)
            raise DamagedStream("torn")

        seen: list[int] = []
        with pytest.raises(DamagedStream, match="torn"):
            seen.extend(len(chunk.records) for chunk in gather(read(), starts_at=START, size=2))

        assert seen == [2, 1]
