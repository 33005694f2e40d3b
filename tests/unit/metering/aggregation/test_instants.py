"""Instants as numbers."""

from datetime import UTC, datetime, timedelta, timezone

from metering.aggregation.instants import count_microseconds


class TestCountMicroseconds:
    def test_counts_from_1970(self) -> None:
        assert count_microseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
        assert count_microseconds(datetime(1970, 1, 2, 0, 0, 0, 1, tzinfo=UTC)) == 86_400_000_001

    def test_tells_the_finest_that_is_kept_apart_in_any_year(self) -> None:
        last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

        # As a float of seconds, both would be the same.
        assert count_microseconds(last) - count_microseconds(last - timedelta(microseconds=1)) == 1

    def test_is_the_same_in_any_zone(self) -> None:
        at = datetime(2026, 4, 1, 12, tzinfo=UTC)

        assert count_microseconds(at.astimezone(timezone(timedelta(hours=5, minutes=45)))) == (
            count_microseconds(at)
        )
