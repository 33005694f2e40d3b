"""Sum: the values of a property add up.

An event without the property, or with null in it, adds nothing and is not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Self

from metering.aggregation.types import Accumulated, Contribution, Definition, Span, State
from metering.aggregation.values import read_quantity


@dataclass(frozen=True, slots=True)
class Sum:
    """A meter that adds up a property."""

    state: ClassVar[State] = State.TOTALS
    is_flow: ClassVar[bool] = True

    property_name: str

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """Build the rule for a property."""
        return cls(definition.property_name)

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Add the property's value.

        Raises: InvalidValue if it is not a number, negative, or longer than a quantity can be.
        """
        quantity = read_quantity(properties, self.property_name)
        return None if quantity is None else Contribution(quantity)

    def measure(self, accumulated: Accumulated, *, span: Span) -> Decimal:
        """Return the sum."""
        return accumulated.total
