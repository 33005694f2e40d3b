"""Count: each event counts as one, whatever it carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Count:
    """A meter that counts events."""

    @classmethod
    def from_meter(cls, *, property_name: str) -> Self:  # noqa: ARG003 (counting looks at none)
        """Build the rule; it looks at no property."""
        return cls()

    def contribute(self, properties: Mapping[str, object]) -> Decimal | None:
        """Count the event."""
        return ONE
