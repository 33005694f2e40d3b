"""Readers of pricing parameters: JSON in which numbers are strings or integers, and never fractions.

A JSON fraction has been through a float on its way, here or with whoever sent it. A boolean counts as an
integer in Python. Both are refused, and so is every key that nobody reads: a misspelt maximum must not mean
"no maximum".
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NewType, TypeVar

from billing_project.core.money import (
    MAX_FRACTION_DIGITS,
    MAX_WHOLE_DIGITS,
    format_quantity,
    parse_decimal,
)
from catalog.pricing.types import InvalidPricingParams

# What NUMERIC(38,0) holds.
MAX_AMOUNT_NANOS = 10**38 - 1
MAX_TIERS = 100
BPS_PER_WHOLE = 10_000

# Hundredths of a percent, from none to the whole.
BasisPoints = NewType("BasisPoints", int)

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)

_AMOUNT_TEXT = re.compile(r"(?:0|[1-9][0-9]{0,37})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AtMost:
    """Annotates a list among a model's parameters with how many items it may have; it has one at least."""

    count: int


def refuse_unknown(params: Mapping[str, object], *, known: Collection[str], within: str = "") -> None:
    """Refuse keys that have no meaning.

    Raises: InvalidPricingParams for the first of them, in alphabetical order.
    """
    for key in sorted(params.keys() - set(known)):
        raise _fault(f"Unknown field; known here: {', '.join(known)}.", key=key, within=within)


def read_amount(params: Mapping[str, object], key: str, *, within: str = "") -> int:
    """Read an amount in nanos, zero or above.

    Raises: InvalidPricingParams.
    """
    amount = read_optional_amount(params, key, within=within)
    if amount is None:
        raise _fault("This field is required.", key=key, within=within)
    return amount


def read_optional_amount(params: Mapping[str, object], key: str, *, within: str = "") -> int | None:
    """Read an amount in nanos, zero or above, or None where the key is absent or null.

    Raises: InvalidPricingParams.
    """
    value = params.get(key)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_AMOUNT_NANOS:
        return value
    if isinstance(value, str) and _AMOUNT_TEXT.fullmatch(value):
        return int(value)
    raise _fault(
        "Enter a whole number of 10^-12 units, zero or above, as a string of at most 38 digits.",
        key=key,
        within=within,
    )


def read_optional_decimal(params: Mapping[str, object], key: str, *, within: str = "") -> Decimal | None:
    """Read a quantity, zero or above, or None where the key is absent or null.

    Raises: InvalidPricingParams.
    """
    value = params.get(key)
    if value is None:
        return None
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise _fault("Enter a decimal number as a string.", key=key, within=within)
    try:
        quantity = parse_decimal(str(value))
    except ValueError as error:  # Not a number, or an integer that Python finds too long to write out.
        detail = f"Enter a number of at most {MAX_WHOLE_DIGITS} digits and {MAX_FRACTION_DIGITS} decimals."
        raise _fault(detail, key=key, within=within) from error
    if quantity < 0:
        raise _fault("Enter a number that is not below zero.", key=key, within=within)
    return quantity


def read_bps(params: Mapping[str, object], key: str) -> BasisPoints:
    """Read a part of a whole in basis points.

    Raises: InvalidPricingParams.
    """
    bps = read_optional_bps(params, key)
    if bps is None:
        raise _fault("This field is required.", key=key, within="")
    return bps


def read_optional_bps(params: Mapping[str, object], key: str) -> BasisPoints | None:
    """Read a part of a whole in basis points, or None where the key is absent or null.

    Raises: InvalidPricingParams.
    """
    value = params.get(key)
    if value is None:
        return None
    if isinstance(value, str) and _AMOUNT_TEXT.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= BPS_PER_WHOLE:
        return BasisPoints(value)
    raise _fault(
        f"Enter a whole number of basis points, 0 to {BPS_PER_WHOLE}; 100 are one percent.",
        key=key,
        within="",
    )


def write_percent(bps: BasisPoints) -> str:
    """Write basis points as a percentage, without zeros that say nothing."""
    return f"{format_quantity(Decimal(bps).scaleb(-2))}%"


def read_choice(
    params: Mapping[str, object], key: str, *, choices: type[ChoiceT], default: ChoiceT
) -> ChoiceT:
    """Read one of a few words; where the key is absent or null, it is the default.

    Raises: InvalidPricingParams.
    """
    value = params.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or value not in list(choices):
        raise _fault(f"Choose one of {', '.join(choices)}.", key=key, within="")
    return choices(value)


def read_list(params: Mapping[str, object], key: str, *, at_most: int, within: str = "") -> list[object]:
    """Read a list of one item or more.

    Raises: InvalidPricingParams.
    """
    value = params.get(key)
    if not isinstance(value, list) or not 1 <= len(value) <= at_most:
        raise _fault(f"Enter a list of 1 to {at_most} items.", key=key, within=within)
    return value


def read_objects(params: Mapping[str, object], key: str, *, at_most: int) -> list[Mapping[str, object]]:
    """Read a list of one object or more.

    Raises: InvalidPricingParams.
    """
    objects: list[Mapping[str, object]] = []
    for number, item in enumerate(read_list(params, key, at_most=at_most)):
        if not isinstance(item, dict):
            raise _fault("Enter an object.", key=str(number), within=key)
        objects.append(item)
    return objects


def _fault(detail: str, *, key: str, within: str) -> InvalidPricingParams:
    return InvalidPricingParams(detail, field=f"{within}.{key}" if within else key)
