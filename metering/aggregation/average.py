"""Average: the mean of a property over the events that have it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import ClassVar, Self

from metering.aggregation.types import Accumulated, Contribution, Definition, Span, State
from metering.aggregation.values import read_quantity


@dataclass(frozen=True, slots=True)
class Average:
    """A meter of the mean of a property."""

    state: ClassVar[State] = State.TOTALS
    is_flow: ClassVar[bool] = False

    property_name: str

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """Build the rule for a property."""
        return cls(definition.property_name)

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Add the property's value, and one to the number of events.

        Raises: InvalidValue if it is not a number, negative, or longer than a quantity can be.
        """
        quantity = read_quantity(properties, self.property_name)
        return None if quantity is None else Contribution(quantity)

    def measure(self, accumulated: Accumulated, *, span: Span) -> Fraction:
        """Return the mean, an exact fraction; nothing without an event."""
        if not accumulated.event_count:
            return Fraction(0)
        return Fraction(Fraction(accumulated.total), accumulated.event_count)
