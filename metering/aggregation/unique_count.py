"""UniqueCount: how many different values a property has.

Values are compared as text: 1, 1.0 and "1" are one value. An event without the property, or with null in it,
is not counted; a list or an object has no value that could be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Self

from catalog.property_filters import write_scalar
from metering.aggregation.types import Accumulated, Contribution, Definition, InvalidValue, Span, State

MAX_MEMBER_LENGTH = 255
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class UniqueCount:
    """A meter that counts different values of a property."""

    state: ClassVar[State] = State.VALUES
    is_flow: ClassVar[bool] = False

    property_name: str

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """Build the rule for a property."""
        return cls(definition.property_name)

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Keep the property's value.

        Raises: InvalidValue if it is a list, an object, or longer than can be kept.
        """
        value = properties.get(self.property_name)
        if value is None:
            return None
        member = write_scalar(value)
        if member is None or len(member) > MAX_MEMBER_LENGTH:
            raise InvalidValue(
                f"The property {self.property_name!r} must be a text, a number or a truth value of at most "
                f"{MAX_MEMBER_LENGTH} characters."
            )
        return Contribution(_NOTHING, member=member)

    def measure(self, accumulated: Accumulated, *, span: Span) -> Decimal:
        """Return the number of different values."""
        return accumulated.picked or Decimal(0)

    def reduce(self, members: Mapping[str, int]) -> Decimal:
        """Count the values."""
        return Decimal(len(members))
