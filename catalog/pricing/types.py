"""What every pricing model takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Protocol, Self

from billing_project.core.errors import InvalidInput


class Stage(StrEnum):
    """How far the usage has come that is charged."""

    IN_PROGRESS = "InProgress"  # More may follow: what is due once a period is not due yet.
    FINAL = "Final"


class InvalidPricingParams(InvalidInput):
    """The parameters do not describe a price; the error names the wrong one, such as `tiers.0.up_to`."""

    code = "invalid_pricing_params"


@dataclass(frozen=True, slots=True)
class ChargeStep:
    """One part of a charge: so many units at such a price.

    The key stays the same while the quantity grows, so that a later charge can be set against an earlier
    one. The description names no money: how amounts are written depends on the currency and the reader.
    """

    key: str
    description: str
    quantity: Decimal
    unit_amount_nanos: int
    amount_nanos: int

    @classmethod
    def once(cls, key: str, description: str, amount_nanos: int) -> Self:
        """Build a step for an amount that is due as a whole."""
        return cls(key, description, Decimal(1), amount_nanos, amount_nanos)


@dataclass(frozen=True, slots=True)
class Charge:
    """What a quantity costs, step by step."""

    steps: tuple[ChargeStep, ...]

    @property
    def amount_nanos(self) -> int:
        """Add up the steps, each of which has been rounded once."""
        return sum(step.amount_nanos for step in self.steps)


class Pricing(Protocol):
    """Anything that turns a quantity into a charge."""

    def charge(self, quantity: Decimal, stage: Stage) -> Charge:
        """Price the whole quantity of a period so far, whatever has been billed of it."""
        ...

    def scale(self, share: Fraction) -> Self:
        """Give the same price for a share of a period.

        What holds for a period (tier bounds, free units, fixed amounts, minimum, maximum) shrinks to the
        share. What holds for a unit does not.
        """
        ...

    def to_params(self) -> dict[str, object]:
        """Write the parameters in the one form in which they are stored: every number a string."""
        ...


class PricingModel(Pricing, Protocol):
    """A pricing model: a way to price, which a SKU names and gives its own parameters."""

    # Whether the charge depends on the quantity. Free units mean nothing where it does not.
    charges_units: ClassVar[bool]

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """Build the model from a price's JSON.

        Raises: InvalidPricingParams.
        """
        ...
