"""Dealing records out: all of them, once, in the same way each time, those of a customer in their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.importing import dealing
from metering.importing.dealing import count_chunks, deal
from metering.importing.records import Chunk, Place


def make_stretch(*records: bytes) -> Chunk:
    return Chunk(Place(5, 3), Place(50, 40), records, range(3, 3 + len(records)))


def take_first(record: bytes) -> bytes:
    return record[:1]


class TestDeal:
    def test_puts_the_records_of_a_customer_together(self) -> None:
        stretch = make_stretch(b"b1", b"a1", b"b2", b"a2")

        assert list(deal(stretch, count=2, find_customer=take_first)) == [
            Chunk(Place(5, 3), Place(50, 40), [b"a1", b"a2"], [4, 6], 0, 2),
            Chunk(Place(5, 3), Place(50, 40), [b"b1", b"b2"], [3, 5], 1, 2),
        ]

    def test_parts_a_customer_who_has_too_many(self) -> None:
        stretch = make_stretch(*[b"a"] * 5)

        chunks = deal(stretch, count=3, find_customer=take_first)

        assert [chunk.lines for chunk in chunks] == [[3], [4, 5], [6, 7]]

    @given(
        records=st.lists(st.binary(min_size=1, max_size=3), min_size=1, max_size=30), size=st.integers(1, 10)
    )
    def test_leaves_nothing_out_and_is_always_the_same(self, records: list[bytes], size: int) -> None:
        stretch = make_stretch(*records)
        count = count_chunks(stretch, size=size)

        chunks = list(deal(stretch, count=count, find_customer=take_first))

        dealt = [pair for chunk in chunks for pair in zip(chunk.lines, chunk.records, strict=True)]
        assert sorted(dealt) == list(enumerate(records, start=3))
        assert all(1 <= len(chunk.records) <= size for chunk in chunks)
        assert [chunk.number for chunk in chunks] == list(range(count))
        assert list(deal(stretch, count=count, find_customer=take_first)) == chunks


class TestCountChunks:
    @pytest.mark.parametrize(("record_count", "count"), [(1, 1), (4, 1), (5, 2), (9, 3)])
    def test_goes_by_the_number_of_records(self, record_count: int, count: int) -> None:
        assert count_chunks(make_stretch(*[b"a"] * record_count), size=4) == count

    def test_goes_by_their_length_where_they_are_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dealing, "MAX_CHUNK_BYTES", 100)

        assert count_chunks(make_stretch(*[b"x" * 50] * 5), size=1_000) == 3
