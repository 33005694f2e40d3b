"""WeightedSum: a level that events move up and down, weighted by how long it held.

A value is a change of the level, so it may be below zero: 10 when ten gigabytes are stored, -4 when four are
deleted. The quantity is the average level over the span: ten gigabytes for half a month are five. Where the
meter carries over, the level at a period's start is the one at which the last period ended, else it is zero.
Within a period the level always goes on from one segment to the next.

A change counts from its instant on. It may be stored up to an hour before that has come: until then it holds
for no time, and so adds no area.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Self

from billing_project.core.money import EXACT
from metering.aggregation.instants import count_microseconds
from metering.aggregation.types import Accumulated, Contribution, Definition, Span, State
from metering.aggregation.values import read_number


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """A meter of the average of a level."""

    state: ClassVar[State] = State.MOMENTS
    is_flow: ClassVar[bool] = False

    property_name: str
    carries_over: bool

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """Build the rule for a property."""
        return cls(definition.property_name, definition.carries_over)

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Move the level by the property's value.

        Raises: InvalidValue if it is not a number, or longer than a quantity can be.
        """
        change = read_number(properties, self.property_name)
        return None if change is None else Contribution(change)

    def measure(self, accumulated: Accumulated, *, span: Span) -> Fraction:
        """Return the average level, an exact fraction; one below zero counts as nothing.

        Each change holds from its instant to the end of the span: the area under the level is that of the
        carried level plus, for each change, its value times the time that is left.
        """
        starts_at, ends_at = count_microseconds(span.starts_at), count_microseconds(span.ends_at)
        if ends_at <= starts_at:
            return Fraction(0)
        area = Fraction(accumulated.carried) * Fraction(ends_at - starts_at)
        area += Fraction(accumulated.total) * Fraction(ends_at) - Fraction(accumulated.moment)
        return max(Fraction(area, Fraction(ends_at - starts_at)), Fraction(0))


def hold_back(
    change: Decimal, *, billed_at: datetime, number: int, spans: Sequence[Span], at: datetime
) -> Iterator[tuple[int, Decimal]]:
    """Say what to add to the moments of spans so that a change does not count before its instant.

    The spans adjoin, and are measured up to `at`. The change belongs to the one of that number, which may
    have been ended before its instant, as by a cancellation. It holds for no time there, and in the spans
    that follow, to which the level goes on, from its instant and not from their start.
    """
    for later, span in enumerate(spans[number:], start=number):
        counts_from = billed_at if later == number else span.starts_at
        holds_from = min(max(billed_at, span.starts_at), span.until(at).ends_at)
        delay = EXACT.subtract(count_microseconds(holds_from), count_microseconds(counts_from))
        if delay:
            yield later, EXACT.multiply(change, delay)
