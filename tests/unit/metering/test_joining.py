"""Putting hours together into stretches that can be counted anew."""

from datetime import timedelta

from metering.recounting import JOINED_STRETCHES_LIMIT, Stretch, join_hours
from tests.factories.subscriptions import utc

HOUR = timedelta(hours=1)
NOON = utc(2026, 2, 28, 12)


class TestJoinHours:
    def test_joins_those_that_touch(self) -> None:
        hours = [NOON + 5 * HOUR, NOON, NOON + HOUR, NOON, NOON + 3 * HOUR]

        assert join_hours(hours, timezone="UTC") == [
            Stretch(NOON, NOON + 2 * HOUR),
            Stretch(NOON + 3 * HOUR, NOON + 4 * HOUR),
            Stretch(NOON + 5 * HOUR, NOON + 6 * HOUR),
        ]

    def test_keeps_to_hours_that_are_not_full_ones_of_utc(self) -> None:
        hour_at = utc(2026, 2, 28, 11, 30)

        assert join_hours([hour_at], timezone="Asia/Kolkata") == [Stretch(hour_at, hour_at + HOUR)]

    def test_takes_all_in_one_where_there_are_many(self) -> None:
        hours = [NOON + 2 * number * HOUR for number in range(JOINED_STRETCHES_LIMIT + 1)]

        assert len(join_hours(hours[1:], timezone="UTC")) == JOINED_STRETCHES_LIMIT
        assert join_hours(hours, timezone="UTC") == [Stretch(NOON, hours[-1] + HOUR)]

    def test_goes_around_a_change_of_the_clock_by_half_an_hour(self) -> None:
        # On Lord Howe clocks go from 02:00 (15:30 UTC) to 02:30: the hours of 14:30 and 15:00 overlap.
        before, after = utc(2026, 10, 3, 14, 30), utc(2026, 10, 3, 15)

        around = Stretch(utc(2026, 10, 3, 11, 30), utc(2026, 10, 3, 18))
        assert join_hours([before, after], timezone="Australia/Lord_Howe") == [around]
        assert join_hours([after], timezone="Australia/Lord_Howe") == [
            Stretch(utc(2026, 10, 3, 11, 30), utc(2026, 10, 3, 18))
        ]

    def test_of_none_is_none(self) -> None:
        assert join_hours([], timezone="UTC") == []
