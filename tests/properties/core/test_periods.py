import calendar
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import available_timezones

from hypothesis import example, given
from hypothesis import strategies as st

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

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)

TIMEZONES = st.one_of(
    st.sampled_from(["UTC", "Asia/Kolkata", "America/Denver", "Pacific/Apia", "America/Sao_Paulo"]),
    st.sampled_from(sorted(name for name in available_timezones() if is_timezone(name))),
)
DATES = st.dates(min_value=date(1970, 1, 5), max_value=date(2120, 1, 1))
INSTANTS = st.datetimes(
    min_value=datetime(1970, 1, 5),  # noqa: DTZ001  Hypothesis takes the bounds without their zone.
    max_value=datetime(2120, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)

# Days on which a clock jumped over midnight, showed it twice, or left out a date.
ODD_DAYS = [
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("America/St_Johns", date(2010, 11, 7)),
    ("America/St_Johns", date(2010, 3, 14)),
    ("Africa/Cairo", date(2014, 5, 16)),
    ("Asia/Beirut", date(2021, 3, 28)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Pacific/Kwajalein", date(1993, 8, 21)),
    ("Pacific/Kiritimati", date(1994, 12, 31)),
    ("America/Denver", date(2026, 3, 8)),
    ("America/Denver", date(2026, 11, 1)),
    ("Antarctica/Troll", date(2026, 3, 29)),
]
NEAR_ODD_DAYS = st.builds(
    lambda odd, hours, minutes: (
        odd[0],
        datetime(odd[1].year, odd[1].month, odd[1].day, tzinfo=UTC) + timedelta(hours=hours, minutes=minutes),
    ),
    st.sampled_from(ODD_DAYS),
    st.integers(-48, 48),
    st.integers(0, 59),
)
PLACES = st.one_of(st.tuples(TIMEZONES, INSTANTS), NEAR_ODD_DAYS)


class TestStartOfDay:
    @given(st.one_of(st.tuples(TIMEZONES, DATES), st.sampled_from(ODD_DAYS)))
    def test_is_the_first_instant_of_its_date(self, place: tuple[str, date]) -> None:
        timezone, day = place

        start = start_of_day(day, timezone=timezone)

        assert local_date(start, timezone=timezone) >= day
        assert local_date(start - TICK, timezone=timezone) < day

    @given(PLACES)
    def test_is_not_after_any_instant_of_its_date(self, place: tuple[str, datetime]) -> None:
        timezone, instant = place

        assert start_of_day(local_date(instant, timezone=timezone), timezone=timezone) <= instant


class TestNextMidnight:
    @given(PLACES)
    def test_is_later_with_no_midnight_between(self, place: tuple[str, datetime]) -> None:
        timezone, instant = place

        midnight = next_midnight(instant, timezone=timezone)
        day = local_date(midnight, timezone=timezone)

        assert instant < midnight == start_of_day(day, timezone=timezone)
        assert count_days(instant, midnight, timezone=timezone) == 1
        assert next_midnight(midnight - TICK, timezone=timezone) == midnight


class TestFirstMidnightAtOrAfter:
    @given(PLACES)
    def test_is_the_next_midnight_of_the_tick_before(self, place: tuple[str, datetime]) -> None:
        timezone, instant = place

        midnight = first_midnight_at_or_after(instant, timezone=timezone)

        assert midnight == next_midnight(instant - TICK, timezone=timezone)
        assert first_midnight_at_or_after(midnight, timezone=timezone) == midnight


class TestAddMonths:
    @given(DATES, st.integers(-600, 600))
    def test_keeps_the_anchors_day_or_takes_the_months_last(self, anchor: date, months: int) -> None:
        day = add_months(anchor, months)

        assert (day.year - anchor.year) * 12 + day.month - anchor.month == months
        assert day.day == min(anchor.day, calendar.monthrange(day.year, day.month)[1])


class TestAddDays:
    @given(TIMEZONES, DATES, st.integers(0, 2000))
    @example("Pacific/Apia", date(2011, 12, 1), 29)
    @example("Pacific/Apia", date(2011, 12, 1), 30)
    @example("Pacific/Kiritimati", date(1994, 12, 1), 400)
    def test_is_undone_by_count_days(self, timezone: str, anchor: date, days: int) -> None:
        start = start_of_day(anchor, timezone=timezone)

        end = start_of_day(add_days(anchor, days, timezone=timezone), timezone=timezone)

        assert count_days(start, end, timezone=timezone) == days


class TestCountDays:
    @given(PLACES, st.lists(st.integers(0, 100 * 24 * 60), min_size=2, max_size=6))
    def test_of_adjoining_spans_adds_up(self, place: tuple[str, datetime], minutes: list[int]) -> None:
        timezone, instant = place
        cuts = [instant + timedelta(minutes=count) for count in sorted(minutes)]

        counts = [count_days(start, end, timezone=timezone) for start, end in pairwise(cuts)]

        assert all(count >= 0 for count in counts)
        assert sum(counts) == count_days(cuts[0], cuts[-1], timezone=timezone)

    @given(PLACES, st.integers(0, 40))
    def test_counts_midnights(self, place: tuple[str, datetime], midnights: int) -> None:
        timezone, instant = place
        end = instant
        for _ in range(midnights):
            end = next_midnight(end, timezone=timezone)

        assert count_days(instant, end, timezone=timezone) == midnights
