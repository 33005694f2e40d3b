"""Parting time into hours, days and windows, as clocks in a time zone show them. Pure.

But for the start of what slides or is parted, each bound is an instant at which the hour of a rollup begins:
rollups add up to each part. A day that a change of the clock makes shorter or longer has 23 or 25 hours.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from billing_project.core.periods import day_of, floor_to_hour, next_midnight, start_of_day
from metering.aggregation.types import Span

HOURS_PER_DAY = 24
MAX_WINDOW_HOURS = 168
MAX_WINDOW_DAYS = 31
MAX_WINDOW_COUNT = 100
MAX_REACH_DAYS = 366
FIRST_MONDAY = date(1970, 1, 5)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class InvalidWindow(ValueError):
    """No windows can be laid like this."""


class Granularity(StrEnum):
    """How finely a period is parted."""

    HOUR = "hour"
    DAY = "day"


class WindowKind(StrEnum):
    """How a window lies in time.

    Tumbling: side by side. Of up to 24 hours, they begin at local midnight, and the next midnight cuts the
    last one off; of several days, they are whole local days, counted on from Monday, 5 January 1970, so that
    seven days are a week. Sliding: the hours that end now.
    """

    TUMBLING = "Tumbling"
    SLIDING = "Sliding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which windows are looked at: the last `count` of those that tumble, or the one that slides."""

    kind: WindowKind
    hours: int
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.hours <= MAX_WINDOW_DAYS * HOURS_PER_DAY:
            raise InvalidWindow(f"A window has 1 hour to {MAX_WINDOW_DAYS} days.")
        if not 1 <= self.count <= MAX_WINDOW_COUNT:
            raise InvalidWindow(f"There are 1 to {MAX_WINDOW_COUNT} windows.")
        if self.hours * self.count > MAX_REACH_DAYS * HOURS_PER_DAY:
            raise InvalidWindow(f"Windows reach back at most {MAX_REACH_DAYS} days together.")
        if self.kind is WindowKind.SLIDING and self.count != 1:
            raise InvalidWindow("There is one sliding window: the one that ends now.")
        if self.kind is WindowKind.TUMBLING and self.hours > HOURS_PER_DAY and self.hours % HOURS_PER_DAY:
            raise InvalidWindow("Tumbling windows of more than 24 hours are whole days.")

    def list_spans(self, *, at: datetime, timezone: str) -> list[Span]:
        """List the windows in order of time; the last one contains `at`, or ends with it if it slides."""
        if self.kind is WindowKind.SLIDING:
            return [Span(at - self.hours * _HOUR, at)]
        if self.hours >= HOURS_PER_DAY:
            return _list_days(days=self.hours // HOURS_PER_DAY, count=self.count, at=at, timezone=timezone)
        return _list_hours(hours=self.hours, count=self.count, at=at, timezone=timezone)


def next_hour(instant: datetime, *, timezone: str) -> datetime:
    """Find the start of the next hour that clocks in the zone show, never the instant itself."""
    return floor_to_hour(instant, timezone=timezone) + _HOUR


def part(span: Span, *, granularity: Granularity, timezone: str) -> list[Span]:
    """Part a span at each local hour or midnight in it."""
    find_next = next_hour if granularity is Granularity.HOUR else next_midnight
    bounds = [span.starts_at]
    while bounds[-1] < span.ends_at:
        bounds.append(min(find_next(bounds[-1], timezone=timezone), span.ends_at))
    return [Span(*pair) for pair in pairwise(bounds)]


def _list_hours(*, hours: int, count: int, at: datetime, timezone: str) -> list[Span]:
    """List the last windows that are laid from each local midnight on."""
    spans: list[Span] = []
    day = day_of(at, timezone=timezone)
    while len(spans) < count:
        whole_day = Span(start_of_day(day, timezone=timezone), start_of_day(day + _DAY, timezone=timezone))
        parts = part(whole_day, granularity=Granularity.HOUR, timezone=timezone)
        windows = [
            Span(parts[first].starts_at, parts[min(first + hours, len(parts)) - 1].ends_at)
            for first in range(0, len(parts), hours)
        ]
        spans = [window for window in windows if window.starts_at <= at] + spans
        day -= _DAY
    return spans[-count:]


def _list_days(*, days: int, count: int, at: datetime, timezone: str) -> list[Span]:
    """List the last windows of whole days; one of a date that the zone left out is none."""
    ordinal = day_of(at, timezone=timezone).toordinal()
    first = ordinal - (ordinal - FIRST_MONDAY.toordinal()) % days
    spans: list[Span] = []
    while len(spans) < count:
        starts_at, ends_at = (
            start_of_day(date.fromordinal(day), timezone=timezone) for day in (first, first + days)
        )
        if starts_at < ends_at:
            spans.insert(0, Span(starts_at, ends_at))
        first -= days
    return spans
