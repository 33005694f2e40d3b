"""Exact arithmetic on money and quantities.

An amount is an `int` count of nanos, 10^-12 of the currency's major unit; a quantity is a `Decimal`. Every
rounding of the platform happens in this module, and each call names how it rounds. There is no float here
and no true division.
"""

import re
from collections.abc import Sequence
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
    Underflow,
)
from enum import Enum
from fractions import Fraction

NANOS_PER_UNIT = 10**12

# The precision holds the product of the largest amount and the longest quantity several times over. Should
# a result still need more digits, the trap on Inexact makes it an error instead of a number that is a
# little wrong.
EXACT = Context(
    prec=200,
    rounding=ROUND_HALF_EVEN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow, Underflow, FloatOperation],
)

MAX_WHOLE_DIGITS = 30
MAX_FRACTION_DIGITS = 30

# A quantity that is computed, as against one that is counted, is kept to this many decimal places.
SCALED_QUANTITY_PLACES = 12

# The grammar of a JSON number. The longest permitted text is bounded before it is matched.
_DECIMAL_TEXT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_MAX_DECIMAL_TEXT = 80


class InvalidDecimal(ValueError):
    """The text is not a decimal number within the limits."""


class WeightsSumToZero(ValueError):
    """Nothing can be shared out by weights that add up to nothing."""


class Rounding(Enum):
    """What happens to a part that is smaller than the unit; ties are where the two differ."""

    HALF_UP = "HalfUp"  # Away from zero, so that an amount and its reversal round to opposites.
    HALF_EVEN = "HalfEven"


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Divide two whole numbers, the second above zero, and round to a whole one."""
    assert denominator > 0, f"The denominator must be above zero, not {denominator}"
    quotient, remainder = divmod(abs(numerator), denominator)
    is_tie = 2 * remainder == denominator
    if 2 * remainder > denominator or (is_tie and (rounding is Rounding.HALF_UP or quotient % 2 == 1)):
        quotient += 1
    return quotient if numerator >= 0 else -quotient


def multiply(rate_nanos: int, quantity: Decimal, rounding: Rounding) -> int:
    """Multiply a rate by a quantity and round to a whole nano.

    The quantity goes in as an exact ratio, so that no decimal context can shorten it.
    """
    numerator, denominator = quantity.as_integer_ratio()
    return divide(rate_nanos * numerator, denominator, rounding)


def multiply_ratio(amount_nanos: int, ratio: Fraction, rounding: Rounding) -> int:
    """Multiply an amount by an exact fraction and round to a whole nano."""
    return divide(amount_nanos * ratio.numerator, ratio.denominator, rounding)


def round_to(amount_nanos: int, step_nanos: int, rounding: Rounding) -> int:
    """Round an amount to a multiple of a step, such as a currency's minor unit."""
    return divide(amount_nanos, step_nanos, rounding) * step_nanos


def allocate(total_nanos: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights into whole parts that add up to it exactly, by largest remainder.

    Each part is less than one nano away from its exact share, and a weight of zero gets nothing. Of equal
    remainders the earlier wins. Weights may be negative, as the lines of an invoice may; splitting the
    negated amount, or by the negated weights, changes nothing but the signs that have to change.

    Raises: WeightsSumToZero.
    """
    whole = sum(weights)
    if whole == 0:
        raise WeightsSumToZero(f"The weights add up to zero: {list(weights)}.")
    if whole < 0:
        return allocate(total_nanos, [-weight for weight in weights])
    if total_nanos < 0:
        return [-part for part in allocate(-total_nanos, weights)]

    shares = [divmod(total_nanos * weight, whole) for weight in weights]
    parts = [floor for floor, _ in shares]
    missing = total_nanos - sum(parts)
    by_remainder = sorted(range(len(shares)), key=lambda index: shares[index][1], reverse=True)
    for index in by_remainder[:missing]:
        parts[index] += 1
    return parts


def scale_quantity(quantity: Decimal, ratio: Fraction, rounding: Rounding) -> Decimal:
    """Multiply a quantity by an exact fraction and round to `SCALED_QUANTITY_PLACES` decimal places."""
    return round_quantity(Fraction(quantity) * ratio, rounding)


def round_quantity(quantity: Fraction, rounding: Rounding) -> Decimal:
    """Round a computed quantity, an exact fraction, to `SCALED_QUANTITY_PLACES` decimal places."""
    steps = divide(quantity.numerator * 10**SCALED_QUANTITY_PLACES, quantity.denominator, rounding)
    return Decimal(steps).scaleb(-SCALED_QUANTITY_PLACES, EXACT).normalize(EXACT)


def parse_decimal(text: str) -> Decimal:
    """Read a decimal number written as JSON writes numbers, with or without an exponent.

    NaN, infinities, signs of plus, spaces, underscores and digits of other scripts are refused, and so is a
    number with more than `MAX_WHOLE_DIGITS` before or `MAX_FRACTION_DIGITS` after the point: a short text
    must not be able to name a number that fills the memory. Negative zero is zero.

    Raises: InvalidDecimal.
    """
    if len(text) > _MAX_DECIMAL_TEXT or _DECIMAL_TEXT.fullmatch(text) is None:
        raise InvalidDecimal("Enter a decimal number.")
    number = Decimal(text)
    if number == 0:
        return Decimal(0)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # Only NaN and infinities have a letter here.
    if number.adjusted() >= MAX_WHOLE_DIGITS or exponent < -MAX_FRACTION_DIGITS:
        raise InvalidDecimal(
            f"Enter a number with at most {MAX_WHOLE_DIGITS} digits before the point "
            f"and {MAX_FRACTION_DIGITS} after it."
        )
    return number


def format_quantity(quantity: Decimal) -> str:
    """Write a quantity with digits alone: no exponent, no trailing zeros, and no point in a whole number."""
    assert quantity.is_finite(), f"A quantity is a number, not {quantity}"
    if quantity == 0:
        return "0"
    text = format(quantity, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
