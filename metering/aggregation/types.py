"""What every aggregation is: a rule that gives an event's contribution to the quantity of a meter."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol, Self


class InvalidValue(ValueError):
    """The event has a value that the meter cannot count."""


class Aggregation(Protocol):
    """A rule of counting. It is a frozen value, built from a meter's definition."""

    @classmethod
    def from_meter(cls, *, property_name: str) -> Self:
        """Build the rule for a meter on a property; the name is empty where the meter has none."""

    def contribute(self, properties: Mapping[str, object]) -> Decimal | None:
        """Say what an event with these properties adds to the quantity; None if it does not count.

        Raises: InvalidValue.
        """
