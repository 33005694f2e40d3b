"""Schedules that change: whatever changes whenever, the periods tile, and the anchor's day does not drift."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_project.core.periods import local_date
from subscriptions.schedule import AnchorMode, Cadence, Schedule

TICK = timedelta(microseconds=1)
TIMEZONES = [
    "UTC",
    "Asia/Kolkata",
    "America/Denver",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
]
COUNT = 40

# The last days of months, of a leap year and of a common one, at any hour.
STARTS = st.builds(
    lambda year, month, day, hours: datetime(year, month, day, tzinfo=UTC) + timedelta(hours=hours),
    st.sampled_from([2024, 2026]),
    st.sampled_from([1, 3, 5, 8, 10, 12]),
    st.sampled_from([28, 29, 30, 31]),
    st.integers(0, 23),
)
MOMENTS = st.builds(
    lambda days, seconds: timedelta(days=days, seconds=seconds),
    st.integers(0, 400),
    st.sampled_from([0, 0, 1, 3_600, 43_200, 86_399]),
)


@dataclass(frozen=True)
class Turn:
    """A change of a schedule, so long after its start."""

    after: timedelta
    cadence: Cadence | None
    anchor_mode: AnchorMode
    timezone: str

    def apply(self, schedule: Schedule) -> Schedule:
        """Change the schedule: its periods, or its zone."""
        at = schedule.starts_at + self.after
        if self.cadence is None:
            return schedule.change_timezone(timezone=self.timezone, at=at)
        return schedule.change_cadence(cadence=self.cadence, anchor_mode=self.anchor_mode, at=at)


TURNS = st.lists(
    st.builds(
        Turn,
        MOMENTS,
        st.one_of(st.none(), st.sampled_from(Cadence)),
        st.sampled_from(AnchorMode),
        st.sampled_from(TIMEZONES),
    ),
    max_size=5,
).map(lambda turns: sorted(turns, key=lambda turn: turn.after))

every_schedule = pytest.mark.parametrize(
    ("cadence", "anchor_mode", "timezone"),
    [(cadence, mode, timezone) for cadence in Cadence for mode in AnchorMode for timezone in TIMEZONES[:4]],
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
class TestChanges:
    @settings(max_examples=12)
    @given(starts_at=STARTS, trial_days=st.sampled_from([0, 0, 1, 30]), turns=TURNS)
    def test_leave_periods_that_tile_and_are_found_again(
        self,
        cadence: Cadence,
        anchor_mode: AnchorMode,
        timezone: str,
        starts_at: datetime,
        trial_days: int,
        turns: list[Turn],
    ) -> None:
        schedule = begin(cadence, anchor_mode, timezone, starts_at, trial_days)
        for turn in turns:
            schedule = turn.apply(schedule)
        periods = [schedule.period(index) for index in range(COUNT)]

        assert periods[0].starts_at == starts_at
        for index, period in enumerate(periods):
            assert period.index == index
            assert period.is_trial == (index == 0 and trial_days > 0)
            assert period.nominal_starts_at <= period.starts_at < period.ends_at <= period.nominal_ends_at
            if index:
                assert period.starts_at == periods[index - 1].ends_at
            for instant in (period.starts_at, period.ends_at - TICK):
                assert schedule.period_at(instant) == period
        assert Schedule.from_plain(schedule.to_plain()) == schedule

    @settings(max_examples=12)
    @given(starts_at=STARTS, trial_days=st.sampled_from([0, 0, 1, 30]), turns=TURNS)
    def test_leave_what_was_before_them(
        self,
        cadence: Cadence,
        anchor_mode: AnchorMode,
        timezone: str,
        starts_at: datetime,
        trial_days: int,
        turns: list[Turn],
    ) -> None:
        schedule = begin(cadence, anchor_mode, timezone, starts_at, trial_days)
        for turn in turns:
            at = schedule.starts_at + turn.after
            changed = turn.apply(schedule)
            for index in range(COUNT):
                before, after = schedule.period(index), changed.period(index)
                if before.ends_at <= at:
                    assert after == before
                elif before.starts_at < at:
                    assert after.starts_at == before.starts_at
                    assert after.ends_at in (at, before.ends_at)
            schedule = changed

    @settings(max_examples=12)
    @given(starts_at=STARTS, days=st.lists(st.integers(0, 500), min_size=1, max_size=4))
    def test_of_the_zone_never_let_the_anchors_day_drift(
        self, cadence: Cadence, anchor_mode: AnchorMode, timezone: str, starts_at: datetime, days: list[int]
    ) -> None:
        schedule = begin(cadence, anchor_mode, timezone, starts_at, 0)
        anchor_date = schedule.epochs[0].anchor_date
        for count, timezone_now in zip(sorted(days), TIMEZONES[1:], strict=False):
            at = starts_at + timedelta(days=count)
            schedule = schedule.change_timezone(timezone=timezone_now, at=at)

        for index in range(1, COUNT):
            period = schedule.period(index)
            epoch = schedule.epoch_at(period.starts_at)
            day = local_date(period.ends_at, timezone=epoch.timezone)
            if schedule.epoch_at(period.ends_at) != epoch or cadence is Cadence.DAILY:
                continue
            if cadence is Cadence.WEEKLY:
                assert (day - anchor_date).days % 7 == 0
            else:
                is_last = (day + timedelta(days=1)).day == 1
                assert day.day == anchor_date.day or (is_last and day.day < anchor_date.day)
