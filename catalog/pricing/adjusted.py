"""Free units, a discount, a minimum and a maximum for a period: what any pricing model may carry.

The free units come first, so that the model prices what is left; the discount is a part of what that comes
to, and then the bounds hold. A maximum holds at any time. A minimum is due once the period is final, when no
usage can reach it any more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Self

from billing_project.core.money import Rounding, format_quantity, multiply_ratio, scale_quantity
from catalog.pricing.params import (
    BPS_PER_WHOLE,
    BasisPoints,
    read_optional_amount,
    read_optional_bps,
    read_optional_decimal,
    write_percent,
)
from catalog.pricing.types import (
    Charge,
    ChargeStep,
    Dimension,
    InvalidPricingParams,
    Pricing,
    PricingModel,
    Stage,
    Usage,
)

ADJUSTMENT_PARAMS = ("free_units", "discount_bps", "minimum_nanos", "maximum_nanos")
NO_DISCOUNT = BasisPoints(0)


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A pricing model with free units, a discount, a minimum, a maximum, or several of them."""

    model: PricingModel
    free_units: Decimal = Decimal(0)
    discount_bps: BasisPoints = NO_DISCOUNT
    minimum_nanos: int = 0
    maximum_nanos: int | None = None

    @property
    def grouping(self) -> Sequence[Dimension]:
        """List the properties by which the model tells usage apart."""
        return self.model.grouping

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        """Price what is above the free units, take the discount off, and hold the sum between its bounds."""
        free = min(usage.quantity, self.free_units)
        charge = self.model.charge(usage.less(free), stage)
        steps = list(charge.steps)
        if free:
            steps.insert(0, ChargeStep("free-units", "Free units", free, 0, 0))
        part = Fraction(self.discount_bps, BPS_PER_WHOLE)
        discount_nanos = multiply_ratio(charge.amount_nanos, part, Rounding.HALF_EVEN)
        if discount_nanos:
            description = f"Discount of {write_percent(self.discount_bps)}"
            steps.append(ChargeStep.once("discount", description, -discount_nanos))
        amount_nanos = charge.amount_nanos - discount_nanos
        if stage is Stage.FINAL and amount_nanos < self.minimum_nanos:
            steps.append(ChargeStep.once("minimum", "Minimum", self.minimum_nanos - amount_nanos))
        if self.maximum_nanos is not None and amount_nanos > self.maximum_nanos:
            steps.append(ChargeStep.once("maximum", "Maximum", self.maximum_nanos - amount_nanos))
        return Charge(tuple(steps))

    def scale(self, share: Fraction) -> Self:
        """Give the same price for a share of a period."""
        maximum_nanos = self.maximum_nanos
        if maximum_nanos is not None:
            maximum_nanos = multiply_ratio(maximum_nanos, share, Rounding.HALF_EVEN)
        return replace(
            self,
            model=self.model.scale(share),
            free_units=scale_quantity(self.free_units, share, Rounding.HALF_EVEN),
            minimum_nanos=multiply_ratio(self.minimum_nanos, share, Rounding.HALF_EVEN),
            maximum_nanos=maximum_nanos,
        )

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored, without the adjustments that adjust nothing."""
        params = self.model.to_params()
        if self.free_units:
            params["free_units"] = format_quantity(self.free_units)
        if self.discount_bps:
            params["discount_bps"] = str(self.discount_bps)
        if self.minimum_nanos:
            params["minimum_nanos"] = str(self.minimum_nanos)
        if self.maximum_nanos is not None:
            params["maximum_nanos"] = str(self.maximum_nanos)
        return params


def adjust(model: PricingModel, params: Mapping[str, object]) -> Pricing:
    """Give a model the adjustments that the parameters ask for, or give it back where they ask for none.

    Raises: InvalidPricingParams.
    """
    free_units = read_optional_decimal(params, "free_units") or Decimal(0)
    discount_bps = read_optional_bps(params, "discount_bps") or NO_DISCOUNT
    minimum_nanos = read_optional_amount(params, "minimum_nanos") or 0
    maximum_nanos = read_optional_amount(params, "maximum_nanos")
    if free_units and not model.charges_units:
        raise InvalidPricingParams(
            "A price that does not depend on the quantity has no free units.", field="free_units"
        )
    if maximum_nanos is not None and maximum_nanos < minimum_nanos:
        raise InvalidPricingParams("The maximum must not be below the minimum.", field="maximum_nanos")
    adjusted = Adjusted(model, free_units, discount_bps, minimum_nanos, maximum_nanos)
    return model if adjusted == Adjusted(model) else adjusted
