from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from billing_project.core.periods import (
    add_days,
    add_months,
    count_days,
    first_midnight_at_or_after,
    is_timezone,
    local_date,
    next_midnight,
    start_of_day,
)

APIA = "Pacific/Apia"  # Had no 30 December 2011: it went from UTC-10 to UTC+14.
DENVER = "America/Denver"
KOLKATA = "Asia/Kolkata"
SAO_PAULO = "America/Sao_Paulo"  # Moved its clocks at midnight, until 2019.
ST_JOHNS = "America/St_Johns"  # Moved its clocks at one minute past midnight, until 2011.
TORONTO = "America/Toronto"  # Moved its clocks half an hour before midnight, in 1919.


def utc(text: str) -> datetime:
    """Read an instant written without its Z."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestIsTimezone:
    @pytest.mark.parametrize("name", ["UTC", DENVER, KOLKATA, APIA, SAO_PAULO, "Etc/GMT+5"])
    def test_knows_the_zones_of_the_iana_database(self, name: str) -> None:
        assert is_timezone(name)

    @pytest.mark.parametrize(
        "name",
        ["", "Mars/Base", "utc+1", "localtime", "Factory", "../UTC", "posix/UTC", "right/UTC", "tzdata.zi"],
    )
    def test_knows_nothing_else(self, name: str) -> None:
        assert not is_timezone(name)


class TestLocalDate:
    @pytest.mark.parametrize(
        ("instant", "timezone", "day"),
        [
            ("2026-02-28T14:30", "UTC", date(2026, 2, 28)),
            ("2026-02-28T18:29:59", KOLKATA, date(2026, 2, 28)),
            ("2026-02-28T18:30", KOLKATA, date(2026, 3, 1)),
            ("2026-03-01T06:59", DENVER, date(2026, 2, 28)),
            ("2011-12-30T09:59:59", APIA, date(2011, 12, 29)),
            ("2011-12-30T10:00", APIA, date(2011, 12, 31)),
        ],
    )
    def test_is_what_the_calendar_there_shows(self, instant: str, timezone: str, day: date) -> None:
        assert local_date(utc(instant), timezone=timezone) == day

    def test_refuses_an_instant_without_an_offset(self) -> None:
        with pytest.raises(AssertionError, match="has no offset"):
            local_date(datetime(2026, 2, 28), timezone="UTC")  # noqa: DTZ001  What is refused.


class TestStartOfDay:
    @pytest.mark.parametrize(
        ("day", "timezone", "instant"),
        [
            (date(2026, 2, 28), "UTC", "2026-02-28T00:00"),
            (date(2026, 2, 28), KOLKATA, "2026-02-27T18:30"),
            (date(2026, 2, 28), DENVER, "2026-02-28T07:00"),
            (date(2026, 3, 9), DENVER, "2026-03-09T06:00"),
        ],
    )
    def test_is_midnight(self, day: date, timezone: str, instant: str) -> None:
        assert start_of_day(day, timezone=timezone) == utc(instant)

    def test_is_in_utc(self) -> None:
        assert start_of_day(date(2026, 2, 28), timezone=DENVER).tzinfo is UTC

    @pytest.mark.parametrize(
        ("day", "timezone", "instant"),
        [
            (date(2018, 11, 4), SAO_PAULO, "2018-11-04T03:00"),  # 00:00 became 01:00.
            (date(1919, 3, 31), TORONTO, "1919-03-31T04:30"),  # 23:30 on the 30th became 00:30.
        ],
    )
    def test_is_the_days_first_instant_where_midnight_is_skipped(
        self, day: date, timezone: str, instant: str
    ) -> None:
        start = start_of_day(day, timezone=timezone)

        assert start == utc(instant)
        assert local_date(start, timezone=timezone) == day
        assert local_date(start - timedelta(seconds=1), timezone=timezone) == day - timedelta(days=1)

    def test_is_the_first_of_two_midnights(self) -> None:
        # At 00:01 on the 7th (-02:30) it became 23:01 on the 6th (-03:30).
        assert start_of_day(date(2010, 11, 7), timezone=ST_JOHNS) == utc("2010-11-07T02:30")

    def test_is_the_only_midnight_where_the_hour_before_it_is_repeated(self) -> None:
        assert start_of_day(date(2018, 2, 18), timezone=SAO_PAULO) == utc("2018-02-18T03:00")

    def test_is_that_of_the_next_day_where_a_zone_left_the_day_out(self) -> None:
        assert start_of_day(date(2011, 12, 29), timezone=APIA) == utc("2011-12-29T10:00")
        assert start_of_day(date(2011, 12, 30), timezone=APIA) == utc("2011-12-30T10:00")
        assert start_of_day(date(2011, 12, 31), timezone=APIA) == utc("2011-12-30T10:00")
        assert start_of_day(date(2012, 1, 1), timezone=APIA) == utc("2011-12-31T10:00")


class TestNextMidnight:
    @pytest.mark.parametrize(
        ("after", "timezone", "midnight"),
        [
            ("2026-02-28T14:30", "UTC", "2026-03-01T00:00"),
            ("2026-02-28T00:00", "UTC", "2026-03-01T00:00"),
            ("2026-02-27T23:59:59.999999", "UTC", "2026-02-28T00:00"),
            ("2026-03-08T08:30", DENVER, "2026-03-09T06:00"),
            ("2026-11-01T06:00", DENVER, "2026-11-02T07:00"),
            ("2018-11-04T02:59", SAO_PAULO, "2018-11-04T03:00"),
            ("2011-12-30T09:00", APIA, "2011-12-30T10:00"),
            ("2011-12-30T10:00", APIA, "2011-12-31T10:00"),
        ],
    )
    def test_is_strictly_later(self, after: str, timezone: str, midnight: str) -> None:
        assert next_midnight(utc(after), timezone=timezone) == utc(midnight)

    def test_comes_once_where_the_clock_shows_midnight_twice(self) -> None:
        for after in ["2010-11-07T02:30", "2010-11-07T02:31", "2010-11-07T03:29", "2010-11-07T03:30"]:
            assert next_midnight(utc(after), timezone=ST_JOHNS) == utc("2010-11-08T03:30")
        assert next_midnight(utc("2010-11-07T02:29"), timezone=ST_JOHNS) == utc("2010-11-07T02:30")

    def test_takes_an_instant_in_any_offset(self) -> None:
        after = datetime(2026, 2, 28, 23, 30, tzinfo=timezone(timedelta(hours=-2)))

        assert next_midnight(after, timezone="UTC") == utc("2026-03-02T00:00")


class TestFirstMidnightAtOrAfter:
    @pytest.mark.parametrize(
        ("instant", "timezone", "midnight"),
        [
            ("2026-02-28T00:00", "UTC", "2026-02-28T00:00"),
            ("2026-02-28T00:00:00.000001", "UTC", "2026-03-01T00:00"),
            ("2026-02-27T18:30", KOLKATA, "2026-02-27T18:30"),
            ("2018-11-04T03:00", SAO_PAULO, "2018-11-04T03:00"),
            ("2011-12-30T10:00", APIA, "2011-12-30T10:00"),
            ("2011-12-29T10:00:01", APIA, "2011-12-30T10:00"),
        ],
    )
    def test_may_be_the_instant_itself(self, instant: str, timezone: str, midnight: str) -> None:
        assert first_midnight_at_or_after(utc(instant), timezone=timezone) == utc(midnight)


class TestAddMonths:
    @pytest.mark.parametrize(
        ("anchor", "months", "day"),
        [
            (date(2026, 1, 31), 0, date(2026, 1, 31)),
            (date(2026, 1, 31), 1, date(2026, 2, 28)),
            (date(2026, 1, 31), 2, date(2026, 3, 31)),
            (date(2026, 1, 31), 3, date(2026, 4, 30)),
            (date(2027, 12, 30), 2, date(2028, 2, 29)),
            (date(2024, 2, 29), 12, date(2025, 2, 28)),
            (date(2024, 2, 29), 48, date(2028, 2, 29)),
            (date(2026, 11, 30), 3, date(2027, 2, 28)),
            (date(2026, 12, 1), 1, date(2027, 1, 1)),
            (date(2026, 3, 31), -1, date(2026, 2, 28)),
            (date(2026, 1, 15), -13, date(2024, 12, 15)),
            (date(2099, 11, 30), 3, date(2100, 2, 28)),
        ],
    )
    def test_clamps_to_the_months_last_day(self, anchor: date, months: int, day: date) -> None:
        assert add_months(anchor, months) == day


class TestAddDays:
    @pytest.mark.parametrize(
        ("anchor", "days", "timezone", "day"),
        [
            (date(2026, 2, 27), 0, "UTC", date(2026, 2, 27)),
            (date(2026, 2, 27), 2, "UTC", date(2026, 3, 1)),
            (date(2026, 3, 7), 2, DENVER, date(2026, 3, 9)),
            (date(2026, 10, 31), 300, DENVER, date(2027, 8, 27)),
            (date(2018, 11, 3), 1, SAO_PAULO, date(2018, 11, 4)),
        ],
    )
    def test_counts_days_whatever_their_hours(
        self, anchor: date, days: int, timezone: str, day: date
    ) -> None:
        assert add_days(anchor, days, timezone=timezone) == day

    def test_passes_over_a_day_that_a_zone_left_out(self) -> None:
        start = date(2011, 12, 28)
        days = [start_of_day(add_days(start, count, timezone=APIA), timezone=APIA) for count in range(5)]

        assert days == [utc(f"2011-12-{day}T10:00") for day in (28, 29, 30, 31)] + [utc("2012-01-01T10:00")]

    def test_refuses_to_go_back(self) -> None:
        with pytest.raises(AssertionError, match="forwards"):
            add_days(date(2026, 2, 27), -1, timezone="UTC")


class TestCountDays:
    @pytest.mark.parametrize(
        ("starts_at", "ends_at", "timezone", "days"),
        [
            ("2026-01-01T00:00", "2026-02-01T00:00", "UTC", 31),
            ("2026-01-15T10:00", "2026-02-01T00:00", "UTC", 17),
            ("2026-01-15T10:00", "2026-01-15T18:00", "UTC", 0),
            ("2026-01-15T23:59:59", "2026-01-16T00:00", "UTC", 1),
            ("2026-01-15T23:59:59", "2026-01-16T00:00:01", "UTC", 1),
            ("2026-03-01T07:00", "2026-04-01T06:00", DENVER, 31),
            ("2026-11-01T06:00", "2026-12-01T07:00", DENVER, 30),
            ("2026-01-31T18:29", "2026-01-31T18:31", KOLKATA, 1),
            ("2011-12-01T10:00", "2011-12-31T10:00", APIA, 30),
            ("2011-12-29T10:00", "2011-12-30T10:00", APIA, 1),
            ("2010-11-06T02:30", "2010-11-08T03:30", ST_JOHNS, 2),
            # The clock shows the 7th, then the 6th again; the 7th has begun and does not begin again.
            ("2010-11-07T02:30:30", "2010-11-07T03:15", ST_JOHNS, 0),
        ],
    )
    def test_counts_a_day_for_what_begins_in_it(
        self, starts_at: str, ends_at: str, timezone: str, days: int
    ) -> None:
        assert count_days(utc(starts_at), utc(ends_at), timezone=timezone) == days

    def test_refuses_a_span_that_ends_before_it_starts(self) -> None:
        with pytest.raises(AssertionError, match="ends before"):
            count_days(utc("2026-01-02T00:00"), utc("2026-01-01T00:00"), timezone="UTC")
