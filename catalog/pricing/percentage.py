"""Percentage pricing: a rate in basis points of the amounts that a meter adds up, and a fixed part.

The quantity is an amount of money, in major units of the price's own currency: 12.5 are twelve dollars fifty.
Elsewhere (Lago) the fixed part is due for each event and a minimum holds for each, which makes the charge
depend on how many events an amount came in. Here the fixed part is due for each period, once that is final,
and shrinks with a share of it; a minimum and a maximum are those that any price may carry. A fee for each
event is a SKU of its own, on a meter that counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from billing_project.core.money import NANOS_PER_UNIT, Rounding, multiply, multiply_ratio
from catalog.pricing.params import (
    BPS_PER_WHOLE,
    BasisPoints,
    read_bps,
    read_optional_amount,
    refuse_unknown,
    write_percent,
)
from catalog.pricing.types import Charge, ChargeStep, Dimension, Stage, Usage


@dataclass(frozen=True, slots=True)
class Percentage:
    """A part of an amount of money."""

    charges_units: ClassVar[bool] = True
    grouping: ClassVar[tuple[Dimension, ...]] = ()

    rate_bps: BasisPoints
    fixed_nanos: int = 0

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """Build the model from a price's JSON.

        Raises: InvalidPricingParams.
        """
        refuse_unknown(params, known=["rate_bps", "fixed_nanos"])
        return cls(
            rate_bps=read_bps(params, "rate_bps"),
            fixed_nanos=read_optional_amount(params, "fixed_nanos") or 0,
        )

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        """Charge the part of the amount, at any stage, and the fixed part once the period is final."""
        rate_nanos = self.rate_bps * (NANOS_PER_UNIT // BPS_PER_WHOLE)
        amount_nanos = multiply(rate_nanos, usage.quantity, Rounding.HALF_EVEN)
        description = f"{write_percent(self.rate_bps)} of the amount"
        steps = [ChargeStep("percentage", description, usage.quantity, rate_nanos, amount_nanos)]
        if stage is Stage.FINAL and self.fixed_nanos:
            steps.append(ChargeStep.once("fixed", "Fixed part", self.fixed_nanos))
        return Charge(tuple(steps))

    def scale(self, share: Fraction) -> Self:
        """Give the same rate for a share of a period, with its share of the fixed part."""
        fixed_nanos = multiply_ratio(self.fixed_nanos, share, Rounding.HALF_EVEN)
        return type(self)(self.rate_bps, fixed_nanos)

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored."""
        params: dict[str, object] = {"rate_bps": str(self.rate_bps)}
        if self.fixed_nanos:
            params["fixed_nanos"] = str(self.fixed_nanos)
        return params
