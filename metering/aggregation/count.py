"""Count: each event counts as one, whatever it carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Self

from metering.aggregation.types import Accumulated, Contribution, Definition, Span, State

ONE = Contribution(Decimal(1))


@dataclass(frozen=True, slots=True)
class Count:
    """A meter that counts events."""

    state: ClassVar[State] = State.TOTALS
    is_flow: ClassVar[bool] = True

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:  # noqa: ARG003 (counting looks at no property)
        """Build the rule."""
        return cls()

    def contribute(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Count the event."""
        return ONE

    def measure(self, accumulated: Accumulated, *, span: Span) -> Decimal:
        """Return the number of events."""
        return accumulated.total
