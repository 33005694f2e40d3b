"""Tiers: what the graduated and the volume model have in common.

Bounds are inclusive: with bounds 10 and None, the tenth unit is in the first tier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Self

from billing_project.core.money import Rounding, format_quantity, multiply_ratio, scale_quantity
from catalog.pricing.params import (
    MAX_TIERS,
    read_amount,
    read_objects,
    read_optional_amount,
    read_optional_decimal,
    refuse_unknown,
)
from catalog.pricing.types import InvalidPricingParams


@dataclass(frozen=True, slots=True)
class Tier:
    """A rate for the units above the previous bound, up to and including `up_to`, and the price of entry."""

    up_to: Decimal | None
    unit_amount_nanos: int
    flat_amount_nanos: int = 0

    @classmethod
    def from_params(cls, params: Mapping[str, object], *, within: str) -> Self:
        """Build the tier from its part of a price's JSON.

        Raises: InvalidPricingParams.
        """
        refuse_unknown(params, known=["up_to", "unit_amount_nanos", "flat_amount_nanos"], within=within)
        return cls(
            up_to=read_optional_decimal(params, "up_to", within=within),
            unit_amount_nanos=read_amount(params, "unit_amount_nanos", within=within),
            flat_amount_nanos=read_optional_amount(params, "flat_amount_nanos", within=within) or 0,
        )

    def scale(self, share: Fraction) -> Self:
        """Give the tier for a share of a period: a narrower one, with less to pay for entering it."""
        return type(self)(
            up_to=None if self.up_to is None else scale_quantity(self.up_to, share, Rounding.HALF_EVEN),
            unit_amount_nanos=self.unit_amount_nanos,
            flat_amount_nanos=multiply_ratio(self.flat_amount_nanos, share, Rounding.HALF_EVEN),
        )

    def to_params(self) -> dict[str, object]:
        """Write the tier as it is stored."""
        return {
            "up_to": None if self.up_to is None else format_quantity(self.up_to),
            "unit_amount_nanos": str(self.unit_amount_nanos),
            "flat_amount_nanos": str(self.flat_amount_nanos),
        }


def read_tiers(params: Mapping[str, object]) -> tuple[Tier, ...]:
    """Read the tiers of a price's JSON: their bounds rise, and the last one, and no other, has none.

    Raises: InvalidPricingParams.
    """
    refuse_unknown(params, known=["tiers"])
    tiers = tuple(
        Tier.from_params(tier, within=f"tiers.{number}")
        for number, tier in enumerate(read_objects(params, "tiers", at_most=MAX_TIERS))
    )
    bounds = [Decimal(0), *(tier.up_to for tier in tiers)]
    for number, (low, high) in enumerate(pairwise(bounds)):
        is_last = number == len(tiers) - 1
        if is_last != (high is None):
            raise InvalidPricingParams(
                "The last tier, and no other, is open: it has no bound.", field=f"tiers.{number}.up_to"
            )
        if low is not None and high is not None and low >= high:
            raise InvalidPricingParams(
                "Tier bounds must rise, starting above zero.", field=f"tiers.{number}.up_to"
            )
    return tiers


def check_tiers(tiers: tuple[Tier, ...]) -> None:
    """Assert that there is a tier for every quantity.

    That bounds rise is not asked for here: a small share of a period can leave a tier no width.
    """
    is_open = [tier.up_to is None for tier in tiers]
    assert is_open == [False] * (len(is_open) - 1) + [True], "The last tier, and no other, is open"


def describe_tier(low: Decimal, high: Decimal | None) -> str:
    """Say in words which quantities lie between two bounds."""
    if high is None:
        return f"Above {write_in_groups(low)}" if low else "Any quantity"
    return f"{write_in_groups(low)} to {write_in_groups(high)}" if low else f"Up to {write_in_groups(high)}"


def write_in_groups(quantity: Decimal) -> str:
    """Write a quantity with all its digits, in groups of three."""
    return f"{Decimal(format_quantity(quantity)):,f}"
