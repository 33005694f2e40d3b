from datetime import UTC, datetime
from fractions import Fraction

import pytest

from billing_project.core.money import Rounding
from subscriptions.proration import prorate, share_of_days

DENVER = "America/Denver"


def utc(text: str) -> datetime:
    """Read an instant written without its Z."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def share(
    starts_at: str,
    ends_at: str,
    period: tuple[str, str] = ("2026-01-01", "2026-02-01"),
    timezone: str = "UTC",
) -> Fraction:
    """Compute the share of a segment in a period, January unless another is given."""
    return share_of_days(
        starts_at=utc(starts_at),
        ends_at=utc(ends_at),
        period_starts_at=utc(period[0]),
        period_ends_at=utc(period[1]),
        timezone=timezone,
    )


class TestShareOfDays:
    @pytest.mark.parametrize(
        ("starts_at", "ends_at", "days"),
        [
            ("2026-01-01", "2026-02-01", 31),
            ("2026-01-01T10:00", "2026-02-01", 31),
            ("2026-01-15T10:00", "2026-02-01", 17),
            ("2026-01-31T23:59", "2026-02-01", 1),
            ("2026-01-01", "2026-01-15T10:00", 14),
            ("2026-01-01", "2026-01-01T10:00", 0),
            ("2026-01-10T08:00", "2026-01-10T09:00", 0),
            ("2026-01-10T08:00", "2026-01-11T07:00", 1),
        ],
    )
    def test_gives_the_day_of_a_change_to_what_begins_in_it(
        self, starts_at: str, ends_at: str, days: int
    ) -> None:
        assert share(starts_at, ends_at) == Fraction(days, 31)

    def test_counts_days_of_23_and_25_hours_as_days(self) -> None:
        march, november = ("2026-03-01T07:00", "2026-04-01T06:00"), ("2026-11-01T06:00", "2026-12-01T07:00")

        assert share("2026-03-08T07:00", "2026-03-09T06:00", march, DENVER) == Fraction(1, 31)
        assert share("2026-11-01T06:00", "2026-11-02T07:00", november, DENVER) == Fraction(1, 30)

    def test_counts_no_day_that_the_zone_left_out(self) -> None:
        december = ("2011-12-01T10:00", "2011-12-31T10:00")

        assert share("2011-12-16T10:00", "2011-12-31T10:00", december, "Pacific/Apia") == Fraction(15, 30)

    def test_takes_days_as_the_zone_has_them(self) -> None:
        # 18:30 in UTC is midnight in Kolkata: a minute earlier is the day before.
        period = ("2025-12-31T18:30", "2026-01-31T18:30")

        assert share("2026-01-14T18:29", "2026-01-31T18:30", period, "Asia/Kolkata") == Fraction(18, 31)
        assert share("2026-01-14T18:30", "2026-01-31T18:30", period, "Asia/Kolkata") == Fraction(17, 31)

    def test_is_whole_for_a_first_daily_period_of_more_than_a_day(self) -> None:
        assert share("2026-05-20T15:00", "2026-05-22", ("2026-05-20", "2026-05-22")) == 1

    def test_gives_a_period_within_a_day_to_the_segment_that_ends_it(self) -> None:
        period = ("2026-01-10T08:00", "2026-01-10T17:00")

        assert share("2026-01-10T08:00", "2026-01-10T17:00", period) == 1
        assert share("2026-01-10T08:00", "2026-01-10T12:00", period) == 0
        assert share("2026-01-10T12:00", "2026-01-10T17:00", period) == 1
        assert share("2026-01-10T17:00", "2026-01-10T17:00", period) == 0

    @pytest.mark.parametrize(
        ("starts_at", "ends_at"),
        [("2025-12-31", "2026-01-10"), ("2026-01-10", "2026-02-02"), ("2026-01-10", "2026-01-09")],
    )
    def test_refuses_a_segment_that_is_not_within_the_period(self, starts_at: str, ends_at: str) -> None:
        with pytest.raises(AssertionError, match="is not within"):
            share(starts_at, ends_at)


class TestProrate:
    @pytest.mark.parametrize(
        ("amount_nanos", "ratio", "prorated"),
        [
            (99 * 10**12, Fraction(10, 30), 33 * 10**12),
            (99 * 10**12, Fraction(17, 31), 54_290_322_580_645),
            (-99 * 10**12, Fraction(17, 31), -54_290_322_580_645),
            (5, Fraction(1, 2), 2),
            (7, Fraction(1), 7),
            (7, Fraction(0), 0),
        ],
    )
    def test_takes_a_share(self, amount_nanos: int, ratio: Fraction, prorated: int) -> None:
        assert prorate(amount_nanos, ratio, Rounding.HALF_EVEN) == prorated

    def test_rounds_as_it_is_told(self) -> None:
        assert prorate(5, Fraction(1, 2), Rounding.HALF_UP) == 3

    @pytest.mark.parametrize("ratio", [Fraction(-1, 31), Fraction(32, 31)])
    def test_refuses_more_than_the_whole_and_less_than_nothing(self, ratio: Fraction) -> None:
        with pytest.raises(AssertionError, match="between nothing and the whole"):
            prorate(1, ratio, Rounding.HALF_EVEN)
