"""Max: the greatest value of a property."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Self

from metering.aggregation.types import Accumulated, Contribution, Definition, Span, State
from metering.aggregation.values import read_quantity


@dataclass(frozen=True, slots=True)
class Max:
    """A meter of the greatest value of a property."""

    state: ClassVar[State] = State.LEADER
    is_flow: ClassVar[bool] = False

    property_name: str

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """Build the rule for a property."""
        return cls(definition.property_name)

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Rank the event by its value.

        Raises: InvalidValue if it is not a number, negative, or longer than a quantity can be.
        """
        quantity = read_quantity(properties, self.property_name)
        return None if quantity is None else Contribution(quantity, rank=quantity)

    def measure(self, accumulated: Accumulated, *, span: Span) -> Decimal:
        """Return the greatest value; nothing without an event."""
        return accumulated.picked or Decimal(0)
