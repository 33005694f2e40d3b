"""Per-unit pricing: every unit costs the same, be it metered or a licensed seat."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from billing_project.core.money import Rounding, multiply
from catalog.pricing.params import read_amount, refuse_unknown
from catalog.pricing.types import Charge, ChargeStep, Dimension, Stage, Usage


@dataclass(frozen=True, slots=True)
class PerUnit:
    """A price whose rate never changes."""

    charges_units: ClassVar[bool] = True
    grouping: ClassVar[tuple[Dimension, ...]] = ()

    unit_amount_nanos: int

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """Build the model from a price's JSON.

        Raises: InvalidPricingParams.
        """
        refuse_unknown(params, known=["unit_amount_nanos"])
        return cls(unit_amount_nanos=read_amount(params, "unit_amount_nanos"))

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        """Multiply the quantity by the rate, at any stage, and round once."""
        amount_nanos = multiply(self.unit_amount_nanos, usage.quantity, Rounding.HALF_EVEN)
        return Charge((ChargeStep("units", "Units", usage.quantity, self.unit_amount_nanos, amount_nanos),))

    def scale(self, share: Fraction) -> Self:
        """Give the same price: a rate holds for a unit, not for a period."""
        return self

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored."""
        return {"unit_amount_nanos": str(self.unit_amount_nanos)}
