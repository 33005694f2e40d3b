"""Graduated pricing: each unit costs the rate of the tier that it falls in.

Bounds are inclusive: with bounds 10 and None, the tenth unit is in the first tier. A tier may have a flat
amount, which is due as soon as the tier is entered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import ClassVar, Self

from billing_project.core.money import (
    EXACT,
    Rounding,
    format_quantity,
    multiply,
    multiply_ratio,
    scale_quantity,
)
from catalog.pricing.params import (
    read_amount,
    read_objects,
    read_optional_amount,
    read_optional_decimal,
    refuse_unknown,
)
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Stage


@dataclass(frozen=True, slots=True)
class Tier:
    """A rate for the units above the previous bound, up to and including `up_to`."""

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


@dataclass(frozen=True, slots=True)
class Graduated:
    """A price whose rate changes with each further tier of usage."""

    charges_units: ClassVar[bool] = True

    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        """Refuse to exist without a price for every quantity.

        That bounds rise is not asked for here: a small share of a period can leave a tier no width.
        """
        is_open = [tier.up_to is None for tier in self.tiers]
        assert is_open == [False] * (len(is_open) - 1) + [True], "The last tier, and no other, is open"

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """Build the model from a price's JSON.

        Raises: InvalidPricingParams.
        """
        refuse_unknown(params, known=["tiers"])
        tiers = tuple(
            Tier.from_params(tier, within=f"tiers.{number}")
            for number, tier in enumerate(read_objects(params, "tiers"))
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
        return cls(tiers)

    def charge(self, quantity: Decimal, stage: Stage) -> Charge:
        """Price the quantity tier by tier."""
        assert quantity >= 0, f"A quantity is never below zero: {quantity}"
        steps: list[ChargeStep] = []
        start = Decimal(0)
        for number, tier in enumerate(self.tiers, start=1):
            end = quantity if tier.up_to is None else min(quantity, tier.up_to)
            if end <= start:
                continue
            units = EXACT.subtract(end, start)
            amount_nanos = multiply(tier.unit_amount_nanos, units, Rounding.HALF_EVEN)
            description = _describe(start, tier.up_to)
            steps.append(
                ChargeStep(f"tier-{number}", description, units, tier.unit_amount_nanos, amount_nanos)
            )
            if tier.flat_amount_nanos:
                steps.append(
                    ChargeStep.once(f"tier-{number}-flat", f"{description}, fixed", tier.flat_amount_nanos)
                )
            start = end
        return Charge(tuple(steps))

    def scale(self, share: Fraction) -> Self:
        """Give the same tiers for a share of a period."""
        return type(self)(tuple(tier.scale(share) for tier in self.tiers))

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored."""
        return {"tiers": [tier.to_params() for tier in self.tiers]}


def _describe(low: Decimal, high: Decimal | None) -> str:
    """Say in words which units a tier covers."""
    if high is None:
        return f"Above {_group(low)}" if low else "Any quantity"
    return f"{_group(low)} to {_group(high)}" if low else f"Up to {_group(high)}"


def _group(quantity: Decimal) -> str:
    return f"{Decimal(format_quantity(quantity)):,f}"
