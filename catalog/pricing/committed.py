"""Committed pricing: an amount is promised for a period, usage draws it down, and what is left of it is due.

As long as the commitment lasts, units cost the unit rate; beyond it they cost the overage rate. Bills in the
course of the period ask for what was used and no more; what is missing to the commitment, the true-up, is due
once the period is final.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Self

from billing_project.core.money import (
    EXACT,
    SCALED_QUANTITY_PLACES,
    Rounding,
    multiply,
    multiply_ratio,
)
from catalog.pricing.params import read_amount, refuse_unknown
from catalog.pricing.types import Charge, ChargeStep, Dimension, InvalidPricingParams, Stage, Usage


@dataclass(frozen=True, slots=True)
class Committed:
    """A promise to pay so much for a period, used or not."""

    charges_units: ClassVar[bool] = True
    grouping: ClassVar[tuple[Dimension, ...]] = ()

    commit_amount_nanos: int
    unit_amount_nanos: int
    overage_unit_amount_nanos: int

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """Build the model from a price's JSON.

        Raises: InvalidPricingParams.
        """
        names = ("commit_amount_nanos", "unit_amount_nanos", "overage_unit_amount_nanos")
        refuse_unknown(params, known=names)
        commit_amount_nanos, unit_amount_nanos, overage_unit_amount_nanos = (
            read_amount(params, name) for name in names
        )
        if not unit_amount_nanos:
            raise InvalidPricingParams(
                "Enter a rate above zero: by it usage draws the commitment down.", field="unit_amount_nanos"
            )
        return cls(commit_amount_nanos, unit_amount_nanos, overage_unit_amount_nanos)

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        """Price what the commitment covers and what lies beyond; make it up to the commitment in the end."""
        covered = min(usage.quantity, self._count_covered())
        beyond = EXACT.subtract(usage.quantity, covered)
        drawn_nanos = multiply(self.unit_amount_nanos, covered, Rounding.HALF_EVEN)
        steps = [
            ChargeStep("committed", "Within the commitment", covered, self.unit_amount_nanos, drawn_nanos)
        ]
        if beyond:
            rate_nanos = self.overage_unit_amount_nanos
            amount_nanos = multiply(rate_nanos, beyond, Rounding.HALF_EVEN)
            steps.append(ChargeStep("overage", "Beyond the commitment", beyond, rate_nanos, amount_nanos))
        if stage is Stage.FINAL and drawn_nanos < self.commit_amount_nanos:
            missing_nanos = self.commit_amount_nanos - drawn_nanos
            steps.append(ChargeStep.once("true-up", "True-up to the commitment", missing_nanos))
        return Charge(tuple(steps))

    def scale(self, share: Fraction) -> Self:
        """Give the same price for a share of a period: with its share of the commitment."""
        commit_amount_nanos = multiply_ratio(self.commit_amount_nanos, share, Rounding.HALF_EVEN)
        return type(self)(commit_amount_nanos, self.unit_amount_nanos, self.overage_unit_amount_nanos)

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored."""
        return {
            "commit_amount_nanos": str(self.commit_amount_nanos),
            "unit_amount_nanos": str(self.unit_amount_nanos),
            "overage_unit_amount_nanos": str(self.overage_unit_amount_nanos),
        }

    def _count_covered(self) -> Decimal:
        """Tell how many units the commitment pays for.

        It is cut off behind the last decimal place that is kept: so much never costs more than was promised,
        and the true-up takes the rest.
        """
        steps = self.commit_amount_nanos * 10**SCALED_QUANTITY_PLACES // self.unit_amount_nanos
        return Decimal(steps).scaleb(-SCALED_QUANTITY_PLACES, EXACT).normalize(EXACT)
