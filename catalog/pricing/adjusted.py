"""Free units, a minimum and a maximum for a period: what any pricing model may carry.

The free units come first, so that the model prices what is left; then the bounds hold for what that comes
to. A maximum holds at any time. A minimum is due once the period is final, when no usage can reach it any
more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Self

from billing_project.core.money import EXACT, Rounding, format_quantity, multiply_ratio, scale_quantity
from catalog.pricing.params import read_optional_amount, read_optional_decimal
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Pricing, PricingModel, Stage

ADJUSTMENT_PARAMS = ("free_units", "minimum_nanos", "maximum_nanos")


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A pricing model with free units, a minimum, a maximum, or several of them."""

    model: PricingModel
    free_units: Decimal = Decimal(0)
    minimum_nanos: int = 0
    maximum_nanos: int | None = None

    def charge(self, quantity: Decimal, stage: Stage) -> Charge:
        """Price what is above the free units, then hold the sum between its bounds."""
        free = min(quantity, self.free_units)
        steps = list(self.model.charge(EXACT.subtract(quantity, free), stage).steps)
        amount_nanos = Charge(tuple(steps)).amount_nanos
        if free:
            steps.insert(0, ChargeStep("free-units", "Free units", free, 0, 0))
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
        return type(self)(
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
    minimum_nanos = read_optional_amount(params, "minimum_nanos") or 0
    maximum_nanos = read_optional_amount(params, "maximum_nanos")
    if free_units and not model.charges_units:
        raise InvalidPricingParams(
            "A price that does not depend on the quantity has no free units.", field="free_units"
        )
    if maximum_nanos is not None and maximum_nanos < minimum_nanos:
        raise InvalidPricingParams("The maximum must not be below the minimum.", field="maximum_nanos")
    if not free_units and not minimum_nanos and maximum_nanos is None:
        return model
    return Adjusted(model, free_units, minimum_nanos, maximum_nanos)
