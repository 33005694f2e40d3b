"""WeightedSum: a level that events move up and down, weighted by how long it held.

A value is a change of the level, so it may be below zero: 10 when ten gigabytes are stored, -4 when four are
deleted. The quantity is the average level over the span: ten gigabytes for half a month are five. Where the
meter carries over, the level at a period's start is the one at which the last period ended, else it is zero.
Within a period the level always goes on from one segment to the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Self

from billing_project.core.money import Rounding, round_quantity
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

    def measure(self, accumulated: Accumulated, *, span: Span) -> Decimal:
        """Return the average level, to 12 decimal places; one below zero counts as nothing.

        Each change holds from its instant to the end of the span: the area under the level is that of the
        carried level plus, for each change, its value times the time that is left.
        """
        starts_at, ends_at = count_microseconds(span.starts_at), count_microseconds(span.ends_at)
        if ends_at <= starts_at:
            return Decimal(0)
        area = Fraction(accumulated.carried) * Fraction(ends_at - starts_at)
        area += Fraction(accumulated.total) * Fraction(ends_at) - Fraction(accumulated.moment)
        return round_quantity(
            max(Fraction(area, Fraction(ends_at - starts_at)), Fraction(0)), Rounding.HALF_EVEN
        )
