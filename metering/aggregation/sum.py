"""Sum: the values of a property add up.

A value is a JSON number or a string that is written like one; it is not negative. An event without the
property, or with null in it, adds nothing and is not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from billing_project.core.money import MAX_FRACTION_DIGITS, MAX_WHOLE_DIGITS, InvalidDecimal, parse_decimal
from metering.aggregation.types import InvalidValue

_LIMIT = 10**MAX_WHOLE_DIGITS


@dataclass(frozen=True, slots=True)
class Sum:
    """A meter that adds up a property."""

    property_name: str

    @classmethod
    def from_meter(cls, *, property_name: str) -> Self:
        """Build the rule for a property."""
        assert property_name, "A sum needs a property."
        return cls(property_name)

    def contribute(self, properties: Mapping[str, object]) -> Decimal | None:
        """Add the property's value.

        Raises: InvalidValue if it is not a number, negative, or longer than a quantity can be.
        """
        value = properties.get(self.property_name)
        if value is None:
            return None
        try:
            quantity = _read_quantity(value)
        except InvalidDecimal as error:
            raise InvalidValue(f"The property {self.property_name!r} cannot be added up: {error}") from None
        if quantity < 0:
            raise InvalidValue(f"The property {self.property_name!r} is negative.")
        return quantity


def _read_quantity(value: object) -> Decimal:
    """Read a number from JSON, where it may be a string.

    Raises: InvalidDecimal.
    """
    if type(value) is int and -_LIMIT < value < _LIMIT:  # What nearly all are; no bool.
        return Decimal(value)
    if isinstance(value, Decimal) and abs(value.adjusted()) <= MAX_WHOLE_DIGITS + MAX_FRACTION_DIGITS:
        value = format(value, "f")  # Safe to write out: its exponent is small.
    if isinstance(value, str):
        return parse_decimal(value)
    raise InvalidDecimal("Enter a decimal number.")
