"""Graduated pricing: each unit costs the rate of the tier that it falls in.

A tier may have a flat amount, which is due as soon as the tier is entered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar, Self

from billing_project.core.money import EXACT, Rounding, multiply
from catalog.pricing.params import MAX_TIERS, AtMost
from catalog.pricing.tiers import Tier, check_tiers, describe_tier, read_tiers
from catalog.pricing.types import Charge, ChargeStep, Dimension, Stage, Usage


@dataclass(frozen=True, slots=True)
class Graduated:
    """A price whose rate changes with each further tier of usage."""

    charges_units: ClassVar[bool] = True
    grouping: ClassVar[tuple[Dimension, ...]] = ()

    tiers: Annotated[tuple[Tier, ...], AtMost(MAX_TIERS)]

    def __post_init__(self) -> None:
        """Refuse to exist without a price for every quantity."""
        check_tiers(self.tiers)

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """Build the model from a price's JSON.

        Raises: InvalidPricingParams.
        """
        return cls(read_tiers(params))

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        """Price the quantity tier by tier."""
        steps: list[ChargeStep] = []
        start = Decimal(0)
        for number, tier in enumerate(self.tiers, start=1):
            end = usage.quantity if tier.up_to is None else min(usage.quantity, tier.up_to)
            if end <= start:
                continue
            units = EXACT.subtract(end, start)
            amount_nanos = multiply(tier.unit_amount_nanos, units, Rounding.HALF_EVEN)
            description = describe_tier(start, tier.up_to)
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
