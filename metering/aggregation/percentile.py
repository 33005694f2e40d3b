"""Percentile: the least value that so many of a hundred events do not exceed, by nearest rank.

It is always a value that occurred: with 95, that of the event at place ceil(0.95 x events) when they are in
order. That is how bandwidth is billed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import ClassVar, Self

from billing_project.core.money import format_quantity
from metering.aggregation.types import Accumulated, Contribution, Definition, Span, State
from metering.aggregation.values import read_quantity

_HUNDRED = 100


@dataclass(frozen=True, slots=True)
class Percentile:
    """A meter of a percentile of a property."""

    state: ClassVar[State] = State.VALUES
    is_flow: ClassVar[bool] = False

    property_name: str
    percentile: Decimal

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """Build the rule for a property."""
        assert definition.percentile is not None, "A percentile meter says which one."
        return cls(definition.property_name, definition.percentile)

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Keep the property's value.

        Raises: InvalidValue if it is not a number, negative, or longer than a quantity can be.
        """
        quantity = read_quantity(properties, self.property_name)
        return None if quantity is None else Contribution(quantity, member=format_quantity(quantity))

    def measure(self, accumulated: Accumulated, *, span: Span) -> Decimal:
        """Return the value at the percentile's place; nothing without an event."""
        return accumulated.picked or Decimal(0)

    def reduce(self, members: Mapping[str, int]) -> Decimal:
        """Find the value at the percentile's place."""
        left = ceil(Fraction(Fraction(self.percentile) * sum(members.values()), _HUNDRED))
        for value, count in sorted((Decimal(member), count) for member, count in members.items()):
            left -= count
            if left <= 0:
                return value
        raise AssertionError("A percentile is at most 100, and there is a value.")
