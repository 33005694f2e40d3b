from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing_project.core.periods import count_days, first_midnight_at_or_after, local_date
from subscriptions.schedule import AnchorMode, Cadence, Schedule

TICK = timedelta(microseconds=1)
DAYS_IN_PERIOD = {
    Cadence.DAILY: (1, 1),
    Cadence.WEEKLY: (7, 7),
    Cadence.MONTHLY: (28, 31),
    Cadence.QUARTERLY: (89, 92),
    Cadence.SEMI_ANNUAL: (181, 184),
    Cadence.ANNUAL: (365, 366),
}
TIMEZONES = ["UTC", "Asia/Kolkata", "America/Denver", "Pacific/Apia", "America/Sao_Paulo", "America/St_Johns"]
COUNT = 24

HOURS = st.builds(timedelta, hours=st.integers(0, 23), seconds=st.sampled_from([0, 0, 0, 1, 1800]))
# Ends of months, leap days, and the weeks in which some zone changed its clock or its side of the date line.
ODD_DAYS = st.builds(
    lambda day, days: datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=days),
    st.sampled_from(
        [
            "2024-02-29",
            "2026-01-31",
            "2026-03-08",
            "2026-08-31",
            "2026-11-01",
            "2027-12-30",
            "2011-12-30",
            "2018-11-04",
            "2018-02-18",
            "2010-11-07",
        ]
    ),
    st.integers(-4, 4),
)
ANY_DAYS = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001  Hypothesis takes the bounds without their zone.
    max_value=datetime(2060, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
STARTS = st.one_of(st.builds(lambda day, hours: day + hours, ODD_DAYS, HOURS), ANY_DAYS)
TRIALS = st.one_of(st.just(0), st.integers(1, 400))

# A few starts for each of the 72 schedules: together they are more than a thousand.
few = settings(max_examples=15)

every_schedule = pytest.mark.parametrize(
    ("cadence", "anchor_mode", "timezone"),
    [(cadence, mode, timezone) for cadence in Cadence for mode in AnchorMode for timezone in TIMEZONES],
)


def begin(
    cadence: Cadence, anchor_mode: AnchorMode, timezone: str, starts_at: datetime, trial_days: int
) -> Schedule:
    """Begin a schedule."""
    return Schedule.begin(
        cadence=cadence,
        anchor_mode=anchor_mode,
        starts_at=starts_at,
        timezone=timezone,
        trial_days=trial_days,
    )


@every_schedule
class TestPeriod:
    @few
    @given(starts_at=STARTS, trial_days=TRIALS)
    @example(starts_at=datetime(2011, 12, 29, 12, tzinfo=UTC), trial_days=0)
    @example(starts_at=datetime(2026, 1, 31, 10, tzinfo=UTC), trial_days=14)
    def test_tiles_time(
        self, cadence: Cadence, anchor_mode: AnchorMode, timezone: str, starts_at: datetime, trial_days: int
    ) -> None:
        schedule = begin(cadence, anchor_mode, timezone, starts_at, trial_days)
        periods = [schedule.period(index) for index in range(COUNT)]

        assert periods[0].starts_at == starts_at
        for index, period in enumerate(periods):
            assert period.index == index
            assert period.is_trial == (index == 0 and trial_days > 0)
            assert period.nominal_starts_at <= period.starts_at < period.ends_at == period.nominal_ends_at
            assert first_midnight_at_or_after(period.ends_at, timezone=timezone) == period.ends_at
            assert first_midnight_at_or_after(period.nominal_starts_at, timezone=timezone) == (
                period.nominal_starts_at
            )
            if index:
                assert period.starts_at == periods[index - 1].ends_at

    @few
    @given(starts_at=STARTS, trial_days=TRIALS)
    def test_has_the_length_of_its_cadence(
        self, cadence: Cadence, anchor_mode: AnchorMode, timezone: str, starts_at: datetime, trial_days: int
    ) -> None:
        schedule = begin(cadence, anchor_mode, timezone, starts_at, trial_days)
        shortest, longest = DAYS_IN_PERIOD[cadence]
        first = 1 if trial_days else 0

        for index in range(first, COUNT):
            period = schedule.period(index)
            days = count_days(period.nominal_starts_at, period.nominal_ends_at, timezone=timezone)
            if index == first and cadence is Cadence.DAILY:
                assert days in (1, 2)  # A first daily period runs to the second midnight.
            else:
                # Apia's year of 2011 was a day short, and so is each period that contains the date left out.
                assert shortest - (timezone == "Pacific/Apia" and cadence != Cadence.DAILY) <= days <= longest
            if index > first:
                assert (period.starts_at, period.ends_at) == (
                    period.nominal_starts_at,
                    period.nominal_ends_at,
                )

    @few
    @given(starts_at=STARTS, trial_days=TRIALS)
    def test_begins_on_the_anchors_day_or_the_months_last(
        self, cadence: Cadence, anchor_mode: AnchorMode, timezone: str, starts_at: datetime, trial_days: int
    ) -> None:
        schedule = begin(cadence, anchor_mode, timezone, starts_at, trial_days)
        anchor_date = schedule.epochs[0].anchor_date

        for index in range(2, COUNT):
            day = local_date(schedule.period(index).starts_at, timezone=timezone)
            if timezone == "Pacific/Apia" and day.isoformat() == "2011-12-31":
                continue  # It stands for the 30th too.
            if cadence is Cadence.WEEKLY:
                assert day.weekday() == anchor_date.weekday()
            elif cadence is not Cadence.DAILY:
                is_last = (day + timedelta(days=1)).day == 1
                assert day.day == anchor_date.day or (is_last and day.day < anchor_date.day)
            if anchor_mode is AnchorMode.CALENDAR and cadence not in (Cadence.DAILY, Cadence.WEEKLY):
                assert day.day == 1

    @few
    @given(starts_at=STARTS, trial_days=st.integers(1, 400))
    def test_gives_a_trial_all_its_hours_and_at_most_a_midnight_more(
        self, cadence: Cadence, anchor_mode: AnchorMode, timezone: str, starts_at: datetime, trial_days: int
    ) -> None:
        trial = begin(cadence, anchor_mode, timezone, starts_at, trial_days).period(0)

        length = trial.ends_at - trial.starts_at

        assert timedelta(days=trial_days) <= length < timedelta(days=trial_days, hours=25)


@every_schedule
class TestPeriodAt:
    @few
    @given(starts_at=STARTS, trial_days=TRIALS, index=st.integers(0, 1000), data=st.data())
    def test_finds_each_period_again(
        self,
        cadence: Cadence,
        anchor_mode: AnchorMode,
        timezone: str,
        starts_at: datetime,
        trial_days: int,
        index: int,
        data: st.DataObject,
    ) -> None:
        schedule = begin(cadence, anchor_mode, timezone, starts_at, trial_days)
        period = schedule.period(index)
        length = (period.ends_at - period.starts_at) // TICK

        inside = period.starts_at + data.draw(st.integers(0, length - 1)) * TICK

        for instant in (period.starts_at, inside, period.ends_at - TICK):
            assert schedule.period_at(instant) == period
            assert schedule.first_period_ending_after(instant) == period
        assert schedule.period_at(period.ends_at) == schedule.period(index + 1)
