"""Reading the value that a meter looks at: a JSON number, or a string that is written like one."""

from collections.abc import Mapping
from decimal import Decimal

from billing_project.core.money import MAX_FRACTION_DIGITS, MAX_WHOLE_DIGITS, InvalidDecimal, parse_decimal
from metering.aggregation.types import InvalidValue

_LIMIT = 10**MAX_WHOLE_DIGITS


def read_number(properties: Mapping[str, object], name: str) -> Decimal | None:
    """Read a number of either sign; None if the event does not have the property, or null in it.

    Raises: InvalidValue if it is not a number, or longer than a quantity can be.
    """
    value = properties.get(name)
    if value is None:
        return None
    if type(value) is int and -_LIMIT < value < _LIMIT:  # What nearly all are; no bool.
        return Decimal(value)
    try:
        return _parse(value)
    except InvalidDecimal as error:
        raise InvalidValue(f"The property {name!r} cannot be counted: {error}") from None


def read_quantity(properties: Mapping[str, object], name: str) -> Decimal | None:
    """Read a number that is not below zero; None if the event does not have the property, or null in it.

    Raises: InvalidValue if it is not a number, negative, or longer than a quantity can be.
    """
    number = read_number(properties, name)
    if number is not None and number < 0:
        raise InvalidValue(f"The property {name!r} is negative.")
    return number


def _parse(value: object) -> Decimal:
    """Read a number from JSON, where it may be a string.

    Raises: InvalidDecimal.
    """
    if isinstance(value, Decimal) and abs(value.adjusted()) <= MAX_WHOLE_DIGITS + MAX_FRACTION_DIGITS:
        value = format(value, "f")  # Safe to write out: its exponent is small.
    if isinstance(value, str):
        return parse_decimal(value)
    raise InvalidDecimal("Enter a decimal number.")
