"""Min: the least value of a property."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Self

from billing_project.core.money import EXACT
from metering.aggregation.types import Accumulated, Contribution, Definition, Span, State
from metering.aggregation.values import read_quantity


@dataclass(frozen=True, slots=True)
class Min:
    """A meter of the least value of a property."""

    state: ClassVar[State] = State.LEADER
    is_flow: ClassVar[bool] = False

    property_name: str

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """Build the rule for a property."""
        return cls(definition.property_name)

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Rank the event by its value, the least first.

        Raises: InvalidValue if it is not a number, negative, or longer than a quantity can be.
        """
        quantity = read_quantity(properties, self.property_name)
        return None if quantity is None else Contribution(quantity, rank=EXACT.minus(quantity))

    def measure(self, accumulated: Accumulated, *, span: Span) -> Decimal:
        """Return the least value; nothing without an event."""
        return accumulated.picked or Decimal(0)
