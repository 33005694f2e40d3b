"""What every aggregation is: a rule for what an event contributes, and for what the contributions come to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, NamedTuple, Protocol, Self

# A decimal was counted, and is exact as it stands. A fraction was computed, and has yet to be rounded, when
# nothing more is done with it.
Measured = Decimal | Fraction


class InvalidValue(ValueError):
    """The event has a value that the meter cannot count."""


class State(StrEnum):
    """What has to be kept of many events to know their quantity.

    Totals: the sum of their values and their number. Moments: besides, the sum of value times instant.
    Leader: the value of the highest rank, and of equal ranks the greatest. Values: how often each occurred.
    """

    TOTALS = "Totals"
    MOMENTS = "Moments"
    LEADER = "Leader"
    VALUES = "Values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a meter says about its aggregation. `property_name` is empty where it looks at no property."""

    property_name: str = ""
    percentile: Decimal | None = None
    carries_over: bool = False


class Contribution(NamedTuple):
    """What one event adds to a meter.

    `value` adds to the total. `rank` is there where the greatest leads, `member` where each value is kept.
    """

    value: Decimal
    rank: Decimal | None = None
    member: str | None = None


class Span(NamedTuple):
    """The stretch of time that a quantity is measured over, half-open."""

    starts_at: datetime
    ends_at: datetime

    def until(self, at: datetime) -> "Span":
        """Return the part of it that has passed at an instant; it has no length before the start."""
        return Span(self.starts_at, min(self.ends_at, max(at, self.starts_at)))

    def elapsed(self, at: datetime) -> Fraction:
        """Return the share of it that has passed at an instant; the whole of a span without length."""
        whole = (self.ends_at - self.starts_at) // timedelta.resolution
        passed = (self.until(at).ends_at - self.starts_at) // timedelta.resolution
        return Fraction(passed, whole) if whole else Fraction(1)


@dataclass(frozen=True, slots=True)
class Accumulated:
    """What the events of a span have added up to.

    `moment` is the sum of each value times the microseconds from 1970 to its instant. `picked` is the
    leader's value, or what the kept values were reduced to, and None without an event. `carried` is the sum
    of all values before the span, where the level goes on from there.
    """

    total: Decimal = Decimal(0)
    event_count: int = 0
    late_total: Decimal = Decimal(0)
    late_count: int = 0
    moment: Decimal = Decimal(0)
    picked: Decimal | None = None
    carried: Decimal = Decimal(0)


class Aggregation(Protocol):
    """A rule of counting. It is a frozen value, built from a meter's definition.

    A flow adds up over stretches of time: the quantity of a period is the sum of those of its parts. A level
    does not: each part of a period counts its level for its share of the period.
    """

    state: ClassVar[State]
    is_flow: ClassVar[bool]

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """Build the rule for a meter."""

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Say what an event with these properties adds; None if it does not count.

        Raises: InvalidValue.
        """

    def measure(self, accumulated: Accumulated, *, span: Span) -> Measured:
        """Read the exact quantity of a span from what its events have added up to; never below zero."""


class ValueAggregation(Aggregation, Protocol):
    """An aggregation that needs to know how often each value occurred."""

    def reduce(self, members: Mapping[str, int]) -> Decimal:
        """Reduce the values of a span, one at least, to the number that is asked for."""
