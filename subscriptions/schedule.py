"""When a subscription's billing periods begin and end, as pure arithmetic.

Every boundary but the first start is a local midnight, and each is counted from the schedule's anchor: no
period is computed from the one before it, so that the 31st stays the 31st after a February, and any period
is found at once.

    trial?      first regular period            every later one
    |-----------|-------------------------------|---------------------|---
    starts_at   trial's end                     anchor + 1 cadence    anchor + 2 cadences

The anchor is a local date: of the instant at which the regular periods begin (Anniversary), or of the last
calendar boundary up to it (Calendar). In the second case the first regular period may be a stub of a full
one, whose bounds it carries as nominal ones. A daily schedule that begins in the course of a day is
anchored to the day after it, so that its first period is never a few hours short of a day's fee.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Self

from billing_project.core.periods import (
    add_days,
    add_months,
    count_days,
    first_midnight_at_or_after,
    local_date,
    start_of_day,
)


class Cadence(StrEnum):
    """How long a period is."""

    DAILY = "Daily"
    WEEKLY = "Weekly"
    MONTHLY = "Monthly"
    QUARTERLY = "Quarterly"
    SEMI_ANNUAL = "SemiAnnual"
    ANNUAL = "Annual"


class AnchorMode(StrEnum):
    """What the boundaries follow: the subscription's own date, or the calendar."""

    ANNIVERSARY = "Anniversary"
    CALENDAR = "Calendar"


_MONTHS_IN_PERIOD = {Cadence.MONTHLY: 1, Cadence.QUARTERLY: 3, Cadence.SEMI_ANNUAL: 6, Cadence.ANNUAL: 12}


class InstantBeforeStart(ValueError):
    """The instant lies before the schedule's first period."""


@dataclass(frozen=True, slots=True)
class ScheduledPeriod:
    """One billing period, half-open; the nominal bounds are those of the full one that a stub is part of."""

    index: int
    starts_at: datetime
    ends_at: datetime
    nominal_starts_at: datetime
    nominal_ends_at: datetime
    is_trial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The billing periods of a subscription in one time zone, numbered from 0.

    It is plain data and is all that has to be stored. `begin` makes the first one of a subscription.
    """

    cadence: Cadence
    anchor_date: date
    starts_at: datetime
    timezone: str
    trial_days: int = 0

    def __post_init__(self) -> None:
        """Refuse what the arithmetic does not stand on."""
        assert self.starts_at.utcoffset() == timedelta(0), (
            f"The start is kept in UTC, not as {self.starts_at}"
        )
        assert self.trial_days >= 0, f"A trial of {self.trial_days} days"

    @classmethod
    def begin(
        cls,
        *,
        cadence: Cadence,
        anchor_mode: AnchorMode,
        starts_at: datetime,
        timezone: str,
        trial_days: int = 0,
    ) -> Self:
        """Make the schedule of a subscription that starts at an instant."""
        regular_starts_at = _end_trial(starts_at, trial_days, timezone=timezone)
        if cadence is Cadence.DAILY:
            first_midnight = first_midnight_at_or_after(regular_starts_at, timezone=timezone)
            anchor_date = local_date(first_midnight, timezone=timezone)
        else:
            anchor_date = local_date(regular_starts_at, timezone=timezone)
            if anchor_mode is AnchorMode.CALENDAR:
                anchor_date = _find_calendar_boundary(anchor_date, cadence=cadence)
        return cls(
            cadence=cadence,
            anchor_date=anchor_date,
            starts_at=starts_at.astimezone(UTC),
            timezone=timezone,
            trial_days=trial_days,
        )

    def period(self, index: int) -> ScheduledPeriod:
        """Compute the period with a number, in constant time."""
        assert index >= 0, f"Periods are numbered from 0, not {index}"
        if index == 0 and self._has_trial:
            return self._build_trial()
        return self._build_regular(index - self._has_trial)

    def period_at(self, instant: datetime) -> ScheduledPeriod:
        """Find the period that contains an instant.

        Raises: InstantBeforeStart.
        """
        if instant < self.starts_at:
            raise InstantBeforeStart(
                f"{instant} is before the first period, which starts at {self.starts_at}."
            )
        return self.first_period_ending_after(instant)

    def first_period_ending_after(self, instant: datetime) -> ScheduledPeriod:
        """Find the earliest period that ends after an instant: the first one for any instant before it."""
        if instant < self._regular_starts_at:
            return self.period(0)
        estimate = self._estimate_number(instant)
        for number in range(max(estimate - 1, 0), estimate + 2):
            if self._boundary(number + 1) > instant:
                return self._build_regular(number)
        raise AssertionError(f"No period of {self} was found to end after {instant}")

    @property
    def _has_trial(self) -> bool:
        return self.trial_days > 0

    @property
    def _regular_starts_at(self) -> datetime:
        return _end_trial(self.starts_at, self.trial_days, timezone=self.timezone)

    def _build_trial(self) -> ScheduledPeriod:
        return ScheduledPeriod(
            index=0,
            starts_at=self.starts_at,
            ends_at=self._regular_starts_at,
            nominal_starts_at=self._start_of_day_of(self.starts_at),
            nominal_ends_at=self._regular_starts_at,
            is_trial=True,
        )

    def _build_regular(self, number: int) -> ScheduledPeriod:
        starts_at = self._boundary(number)
        ends_at = self._boundary(number + 1)
        nominal_starts_at = starts_at
        if number == 0:
            anchored_at = start_of_day(self.anchor_date, timezone=self.timezone)
            nominal_starts_at = min(anchored_at, self._start_of_day_of(starts_at))
        return ScheduledPeriod(
            index=number + self._has_trial,
            starts_at=starts_at,
            ends_at=ends_at,
            nominal_starts_at=nominal_starts_at,
            nominal_ends_at=ends_at,
            is_trial=False,
        )

    def _boundary(self, number: int) -> datetime:
        """Compute the start of a regular period, numbered from 0."""
        if number == 0:
            return self._regular_starts_at
        if self.cadence is Cadence.DAILY:
            day = add_days(self.anchor_date, number, timezone=self.timezone)
        elif self.cadence is Cadence.WEEKLY:
            day = self.anchor_date + timedelta(weeks=number)
        else:
            day = add_months(self.anchor_date, number * _MONTHS_IN_PERIOD[self.cadence])
        return start_of_day(day, timezone=self.timezone)

    def _estimate_number(self, instant: datetime) -> int:
        """Guess the number of the regular period that contains an instant, to within one."""
        anchored_at = start_of_day(self.anchor_date, timezone=self.timezone)
        if instant < anchored_at:
            return 0
        if self.cadence in _MONTHS_IN_PERIOD:
            day = local_date(instant, timezone=self.timezone)
            months = (day.year - self.anchor_date.year) * 12 + day.month - self.anchor_date.month
            return months // _MONTHS_IN_PERIOD[self.cadence]
        days = count_days(anchored_at, instant, timezone=self.timezone)
        return days if self.cadence is Cadence.DAILY else days // 7

    def _start_of_day_of(self, instant: datetime) -> datetime:
        return start_of_day(local_date(instant, timezone=self.timezone), timezone=self.timezone)


def _end_trial(starts_at: datetime, trial_days: int, *, timezone: str) -> datetime:
    """Find the start of the regular periods: a midnight, once the trial has had its days of 24 hours."""
    if trial_days == 0:
        return starts_at.astimezone(UTC)
    return first_midnight_at_or_after(starts_at + timedelta(days=trial_days), timezone=timezone)


def _find_calendar_boundary(day: date, *, cadence: Cadence) -> date:
    """Find the last Monday, or first of a month, quarter, half-year or year, up to a date."""
    if cadence is Cadence.WEEKLY:
        return day - timedelta(days=day.weekday())
    months = _MONTHS_IN_PERIOD[cadence]
    return date(day.year, (day.month - 1) // months * months + 1, 1)
