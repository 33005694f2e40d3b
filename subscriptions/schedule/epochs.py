"""Periods in a row that follow one cadence, counted from one anchor in one time zone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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


_DAY = timedelta(days=1)
_MONTHS_IN_PERIOD = {Cadence.MONTHLY: 1, Cadence.QUARTERLY: 3, Cadence.SEMI_ANNUAL: 6, Cadence.ANNUAL: 12}


@dataclass(frozen=True, slots=True)
class ScheduledPeriod:
    """One billing period, half-open; the nominal bounds are those of the full one that a stub is part of."""

    index: int
    starts_at: datetime
    ends_at: datetime
    nominal_starts_at: datetime
    nominal_ends_at: datetime
    is_trial: bool
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Periods in a row that follow one cadence, from one anchor, in one time zone.

    The first one has the number `first_number` and begins at `starts_at`. `passed_count` boundaries of the
    anchor lie before it: more than none where only the time zone has changed.
    """

    cadence: Cadence
    anchor_mode: AnchorMode
    anchor_date: date
    starts_at: datetime
    timezone: str
    trial_days: int = 0
    first_number: int = 0
    passed_count: int = 0

    def __post_init__(self) -> None:
        """Refuse what the arithmetic does not stand on."""
        assert self.starts_at.utcoffset() == timedelta(0), (
            f"The start is kept in UTC, not as {self.starts_at}"
        )
        assert self.trial_days >= 0, f"A trial of {self.trial_days} days"
        assert not (self.trial_days and self.passed_count), "A trial comes before all boundaries"

    @classmethod
    def begin(
        cls,
        *,
        cadence: Cadence,
        anchor_mode: AnchorMode,
        starts_at: datetime,
        timezone: str,
        trial_days: int = 0,
        first_number: int = 0,
    ) -> Self:
        """Make the epoch that begins at an instant, with a trial or without one."""
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
            anchor_mode=anchor_mode,
            anchor_date=anchor_date,
            starts_at=starts_at.astimezone(UTC),
            timezone=timezone,
            trial_days=trial_days,
            first_number=first_number,
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, str | int]) -> Self:
        """Read an epoch as it is stored."""
        return cls(
            cadence=Cadence(str(plain["cadence"])),
            anchor_mode=AnchorMode(str(plain["anchor_mode"])),
            anchor_date=date.fromisoformat(str(plain["anchor_date"])),
            starts_at=datetime.fromisoformat(str(plain["starts_at"])),
            timezone=str(plain["timezone"]),
            trial_days=int(plain["trial_days"]),
            first_number=int(plain["first_number"]),
            passed_count=int(plain["passed_count"]),
        )

    def to_plain(self) -> dict[str, str | int]:
        """Write the epoch as it is stored."""
        return {
            "cadence": self.cadence.value,
            "anchor_mode": self.anchor_mode.value,
            "anchor_date": self.anchor_date.isoformat(),
            "starts_at": self.starts_at.isoformat(),
            "timezone": self.timezone,
            "trial_days": self.trial_days,
            "first_number": self.first_number,
            "passed_count": self.passed_count,
        }

    @property
    def regular_starts_at(self) -> datetime:
        """Return the end of the trial, or the start where there is none."""
        return _end_trial(self.starts_at, self.trial_days, timezone=self.timezone)

    def period(self, index: int) -> ScheduledPeriod:
        """Compute the period with a number, in constant time, as if the epoch never ended."""
        assert index >= self.first_number, f"The periods of {self} are numbered from {self.first_number}"
        if self._has_trial and index == self.first_number:
            return self._build_trial()
        return self._build_regular(self._count_boundaries(index))

    def first_period_ending_after(self, instant: datetime) -> ScheduledPeriod:
        """Find the earliest period that ends after an instant: the first one for any instant before it."""
        if instant < self.regular_starts_at:
            return self.period(self.first_number)
        estimate = max(self._estimate_number(instant), self.passed_count)
        for number in range(max(estimate - 1, self.passed_count), estimate + 2):
            if self._boundary(number + 1) > instant:
                return self._build_regular(number)
        raise AssertionError(f"No period of {self} was found to end after {instant}")

    def move(self, *, index: int, timezone: str) -> Self:
        """Give the epoch that goes on from the start of a period on in another time zone.

        Months are counted on from the same anchor, so that the 31st stays the 31st. Days are counted from
        the day that the period would have been; where the other zone has left it already, from the next.
        """
        starts_at = self.period(index).starts_at
        anchor_date, passed_count = self.anchor_date, self._count_boundaries(index)
        if self.cadence is Cadence.DAILY:
            anchor_date, passed_count = local_date(starts_at, timezone=self.timezone), 0
            while start_of_day(anchor_date + _DAY, timezone=timezone) <= starts_at:
                anchor_date += _DAY
        return replace(
            self,
            anchor_date=anchor_date,
            starts_at=starts_at,
            timezone=timezone,
            trial_days=0,
            first_number=index,
            passed_count=passed_count,
        )

    @property
    def _has_trial(self) -> bool:
        return self.trial_days > 0

    def _count_boundaries(self, index: int) -> int:
        """Count the boundaries of the anchor up to the start of a regular period."""
        return index - self.first_number - self._has_trial + self.passed_count

    def _build_trial(self) -> ScheduledPeriod:
        return ScheduledPeriod(
            index=self.first_number,
            starts_at=self.starts_at,
            ends_at=self.regular_starts_at,
            nominal_starts_at=self._start_of_day_of(self.starts_at),
            nominal_ends_at=self.regular_starts_at,
            is_trial=True,
            timezone=self.timezone,
        )

    def _build_regular(self, number: int) -> ScheduledPeriod:
        starts_at = self._boundary(number)
        ends_at = self._boundary(number + 1)
        nominal_starts_at = starts_at
        if number == self.passed_count:
            nominal_starts_at = self._start_of_day_of(starts_at)
            if number == 0:
                nominal_starts_at = min(
                    nominal_starts_at, start_of_day(self.anchor_date, timezone=self.timezone)
                )
        return ScheduledPeriod(
            index=number - self.passed_count + self._has_trial + self.first_number,
            starts_at=starts_at,
            ends_at=ends_at,
            nominal_starts_at=nominal_starts_at,
            nominal_ends_at=ends_at,
            is_trial=False,
            timezone=self.timezone,
        )

    def _boundary(self, number: int) -> datetime:
        """Compute the start of a regular period, numbered from 0 at the anchor."""
        if number == self.passed_count:
            return self.regular_starts_at
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
