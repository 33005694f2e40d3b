"""All the periods of a subscription: its epochs, one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Self

from subscriptions.schedule.epochs import AnchorMode, Cadence, Epoch, ScheduledPeriod


class InstantBeforeStart(ValueError):
    """The instant lies before the schedule's first period."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The billing periods of a subscription, numbered from 0. It is plain data.

    `begin` makes the first one of a subscription.
    """

    epochs: tuple[Epoch, ...]

    def __post_init__(self) -> None:
        """Refuse epochs that are not in order."""
        assert self.epochs and self.epochs[0].first_number == 0, "The first period has the number 0."
        for epoch, later in pairwise(self.epochs):
            assert epoch.first_number < later.first_number, f"{later} has no number of its own."

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
        epoch = Epoch.begin(
            cadence=cadence,
            anchor_mode=anchor_mode,
            starts_at=starts_at,
            timezone=timezone,
            trial_days=trial_days,
        )
        return cls((epoch,))

    @classmethod
    def from_plain(cls, plain: Sequence[Mapping[str, str | int]]) -> Self:
        """Read a schedule as it is stored."""
        return cls(tuple(Epoch.from_plain(epoch) for epoch in plain))

    def to_plain(self) -> list[dict[str, str | int]]:
        """Write the schedule as it is stored."""
        return [epoch.to_plain() for epoch in self.epochs]

    @property
    def starts_at(self) -> datetime:
        """Return the start of the first period."""
        return self.epochs[0].starts_at

    @property
    def trial_ends_at(self) -> datetime | None:
        """Return the end of the trial, if it begins with one."""
        return self.epochs[0].regular_starts_at if self.epochs[0].trial_days else None

    def period(self, index: int) -> ScheduledPeriod:
        """Compute the period with a number, in constant time."""
        assert index >= 0, f"Periods are numbered from 0, not {index}"
        position = max(number for number, epoch in enumerate(self.epochs) if epoch.first_number <= index)
        return self._cut(self.epochs[position].period(index), position=position)

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
        position = self._find_position(instant)
        return self._cut(self.epochs[position].first_period_ending_after(instant), position=position)

    def epoch_at(self, instant: datetime) -> Epoch:
        """Find the epoch that is in force at an instant: the first one for any instant before it."""
        return self.epochs[self._find_position(instant)]

    def change_cadence(self, *, cadence: Cadence, anchor_mode: AnchorMode, at: datetime) -> Self:
        """Have other periods begin at an instant: the period that it falls into ends there.

        A trial goes on to its end. What has not begun yet begins with the other periods. The same cadence and
        kind of anchor change nothing.
        """
        first = self.epochs[0]
        begins_at = max(at, first.regular_starts_at) if at > first.starts_at else first.starts_at
        current = self.epoch_at(begins_at)
        if (current.cadence, current.anchor_mode) == (cadence, anchor_mode):
            return self
        number = 0
        if begins_at > first.starts_at:
            period = self.period_at(begins_at)
            number = period.index + (period.starts_at < begins_at)
        epoch = Epoch.begin(
            cadence=cadence,
            anchor_mode=anchor_mode,
            starts_at=begins_at,
            timezone=current.timezone,
            trial_days=0 if number else first.trial_days,
            first_number=number,
        )
        return self._go_on_with(epoch)

    def change_timezone(self, *, timezone: str, at: datetime) -> Self:
        """Have the periods that begin at an instant or later bounded by the midnights of another zone.

        The first period of all stays as it is.
        """
        period = self.first_period_ending_after(at)
        if period.starts_at < at or period.index == 0:
            period = self.period(period.index + 1)
        epoch = self.epoch_at(period.starts_at)
        return self._go_on_with(epoch.move(index=period.index, timezone=timezone))

    def _go_on_with(self, epoch: Epoch) -> Self:
        kept = [earlier for earlier in self.epochs if earlier.first_number < epoch.first_number]
        return type(self)((*kept, epoch))

    def _find_position(self, instant: datetime) -> int:
        begun = [number for number, epoch in enumerate(self.epochs) if epoch.starts_at <= instant]
        return begun[-1] if begun else 0

    def _cut(self, period: ScheduledPeriod, *, position: int) -> ScheduledPeriod:
        """End the last period of an epoch where the next epoch begins."""
        following = self.epochs[position + 1 : position + 2]
        if following and following[0].first_number == period.index + 1:
            return replace(period, ends_at=following[0].starts_at)
        return period
