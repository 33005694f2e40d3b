"""Package pricing: units are sold by the package, such as a thousand at a time.

A package is a unit of sale and no part of a period: where a period has several segments, each begins its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Self

from billing_project.core.money import EXACT, Rounding, format_quantity, multiply_ratio
from catalog.pricing.params import (
    read_amount,
    read_choice,
    read_optional_decimal,
    refuse_unknown,
)
from catalog.pricing.tiers import write_in_groups
from catalog.pricing.types import Charge, ChargeStep, Dimension, InvalidPricingParams, Stage, Usage


class PartialPackages(StrEnum):
    """What a package costs that is not full."""

    ROUND_UP = "RoundUp"  # As much as a full one.
    PRORATE = "Prorate"  # Its part of a full one.
    FREE = "Free"  # Nothing, until it is full.


@dataclass(frozen=True, slots=True)
class Package:
    """A price for so many units together."""

    charges_units: ClassVar[bool] = True
    grouping: ClassVar[tuple[Dimension, ...]] = ()

    package_size: Decimal
    package_amount_nanos: int
    partial_packages: PartialPackages = PartialPackages.ROUND_UP

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """Build the model from a price's JSON.

        Raises: InvalidPricingParams.
        """
        refuse_unknown(params, known=["package_size", "package_amount_nanos", "partial_packages"])
        package_size = read_optional_decimal(params, "package_size")
        if not package_size:
            raise InvalidPricingParams("Enter how many units a package has.", field="package_size")
        return cls(
            package_size=package_size,
            package_amount_nanos=read_amount(params, "package_amount_nanos"),
            partial_packages=read_choice(
                params, "partial_packages", choices=PartialPackages, default=PartialPackages.ROUND_UP
            ),
        )

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        """Price the packages that are full, and the one that is not as it is said."""
        full = int(EXACT.divide_int(usage.quantity, self.package_size))
        rest = EXACT.remainder(usage.quantity, self.package_size)
        if rest and self.partial_packages is PartialPackages.ROUND_UP:
            full += 1
        size = write_in_groups(self.package_size)
        steps = [
            ChargeStep(
                "packages",
                f"Packages of {size}",
                Decimal(full),
                self.package_amount_nanos,
                self.package_amount_nanos * full,
            )
        ]
        if rest and self.partial_packages is PartialPackages.PRORATE:
            part = _find_part(rest, of=self.package_size)
            amount_nanos = multiply_ratio(self.package_amount_nanos, part, Rounding.HALF_EVEN)
            steps.append(
                ChargeStep.once("part", f"Part of a package, {write_in_groups(rest)} of {size}", amount_nanos)
            )
        return Charge(tuple(steps))

    def scale(self, share: Fraction) -> Self:
        """Give the same price: a package is the same one in any part of a period."""
        return self

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored."""
        return {
            "package_size": format_quantity(self.package_size),
            "package_amount_nanos": str(self.package_amount_nanos),
            "partial_packages": self.partial_packages.value,
        }


def _find_part(units: Decimal, *, of: Decimal) -> Fraction:
    """Tell exactly which part of a package so many units are."""
    units_top, units_bottom = units.as_integer_ratio()
    size_top, size_bottom = of.as_integer_ratio()
    return Fraction(units_top * size_bottom, units_bottom * size_top)
