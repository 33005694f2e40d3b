"""Volume pricing: all units cost the rate of the tier that the whole quantity falls in.

The flat amount of that tier is due with it, and of no other. Nothing used falls in no tier. Where the next
tier is cheaper, more can cost less: a later bill of the period then gives back what earlier ones took.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar, Self

from billing_project.core.money import Rounding, multiply
from catalog.pricing.params import MAX_TIERS, AtMost
from catalog.pricing.tiers import Tier, check_tiers, describe_tier, read_tiers
from catalog.pricing.types import Charge, ChargeStep, Dimension, Stage, Usage


@dataclass(frozen=True, slots=True)
class Volume:
    """A price whose one rate depends on how much is used."""

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
        """Price the whole quantity by its tier."""
        if not usage.quantity:
            return Charge(())
        low = Decimal(0)
        for number, tier in enumerate(self.tiers, start=1):
            if tier.up_to is None or usage.quantity <= tier.up_to:
                return Charge(tuple(_charge_all(usage.quantity, tier, number=number, low=low)))
            low = tier.up_to
        raise AssertionError("The last tier is open")

    def scale(self, share: Fraction) -> Self:
        """Give the same tiers for a share of a period."""
        return type(self)(tuple(tier.scale(share) for tier in self.tiers))

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored."""
        return {"tiers": [tier.to_params() for tier in self.tiers]}


def _charge_all(quantity: Decimal, tier: Tier, *, number: int, low: Decimal) -> list[ChargeStep]:
    """Price all units by one tier, the bound below which is `low`."""
    description = describe_tier(low, tier.up_to)
    amount_nanos = multiply(tier.unit_amount_nanos, quantity, Rounding.HALF_EVEN)
    steps = [ChargeStep(f"tier-{number}", description, quantity, tier.unit_amount_nanos, amount_nanos)]
    if tier.flat_amount_nanos:
        steps.append(ChargeStep.once(f"tier-{number}-flat", f"{description}, fixed", tier.flat_amount_nanos))
    return steps
