"""Flat pricing: a fixed fee for a period, however much is used.

The fee is due when the period is final. An item that is billed in advance is charged as final at the
period's start; when that is, is not the model's affair.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from billing_project.core.money import Rounding, multiply_ratio
from catalog.pricing.params import read_amount, refuse_unknown
from catalog.pricing.types import Charge, ChargeStep, Dimension, Stage, Usage


@dataclass(frozen=True, slots=True)
class Flat:
    """A fee for a period."""

    charges_units: ClassVar[bool] = False
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
        """Charge the fee once the period is final."""
        if stage is not Stage.FINAL:
            return Charge(())
        return Charge((ChargeStep.once("fee", "Fixed fee", self.unit_amount_nanos),))

    def scale(self, share: Fraction) -> Self:
        """Give the fee for a share of a period."""
        return type(self)(multiply_ratio(self.unit_amount_nanos, share, Rounding.HALF_EVEN))

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored."""
        return {"unit_amount_nanos": str(self.unit_amount_nanos)}
