"""What every pricing model takes and gives."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Protocol, Self

from billing_project.core.errors import InvalidInput
from billing_project.core.money import EXACT

# The values of the properties that a price looks at, in its order; None stands for any value that it does not
# name, and for none at all.
GroupValues = tuple[str | None, ...]


class Stage(StrEnum):
    """How far the usage has come that is charged."""

    IN_PROGRESS = "InProgress"  # More may follow: what is due once a period is not due yet.
    FINAL = "Final"


class InvalidPricingParams(InvalidInput):
    """The parameters do not describe a price; the error names the wrong one, such as `tiers.0.up_to`."""

    code = "invalid_pricing_params"


@dataclass(frozen=True, slots=True)
class Dimension:
    """A property by which a price tells usage apart, with the values it names; all others are one to it."""

    name: str
    values: frozenset[str]

    def tell(self, value: str | None) -> str | None:
        """Give back a value that is named, and None for every other."""
        return value if value in self.values else None


@dataclass(frozen=True, slots=True)
class Usage:
    """How much was used: in all and, for a price that tells usage apart, by the values of its dimensions.

    The groups add up to no more than the quantity; what is in none of them has no value that is known.
    """

    quantity: Decimal
    groups: Mapping[GroupValues, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse to exist below zero."""
        assert self.quantity >= 0, f"A quantity is never below zero: {self.quantity}"

    @classmethod
    def of(cls, quantity: Decimal | int) -> Self:
        """Build the usage of a quantity that nobody tells apart."""
        return cls(Decimal(quantity))

    @classmethod
    def of_groups(cls, groups: Mapping[GroupValues, Decimal]) -> Self:
        """Build the usage that groups come to."""
        quantity = Decimal(0)
        for part in groups.values():
            quantity = EXACT.add(quantity, part)
        return cls(quantity, groups)

    @classmethod
    def grouped(
        cls, parts: Iterable[tuple[GroupValues, Decimal]], *, dimensions: Sequence[Dimension]
    ) -> Self:
        """Build the usage of parts by their values, merging those that the dimensions do not tell apart."""
        groups: dict[GroupValues, Decimal] = {}
        for values, part in parts:
            told = tuple(dimension.tell(value) for dimension, value in zip(dimensions, values, strict=True))
            groups[told] = EXACT.add(groups.get(told, Decimal(0)), part)
        return cls.of_groups(groups)

    def less(self, units: Decimal) -> Self:
        """Take units away, from one group after the other in the order of their values, the unnamed last."""
        assert units <= self.quantity, f"There are {self.quantity} units, and not {units}"
        groups: dict[GroupValues, Decimal] = {}
        left = units
        for values in sorted(self.groups, key=order_of_values):
            taken = min(left, self.groups[values])
            groups[values] = EXACT.subtract(self.groups[values], taken)
            left = EXACT.subtract(left, taken)
        return type(self)(EXACT.subtract(self.quantity, units), groups)


def order_of_values(values: GroupValues) -> tuple[tuple[bool, str], ...]:
    """Give the key by which groups are sorted: by their values, with the unnamed behind all others."""
    return tuple((value is None, value or "") for value in values)


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
    """Anything that turns usage into a charge."""

    @property
    def grouping(self) -> Sequence[Dimension]:
        """List the properties by which it tells usage apart; most look at the quantity alone."""
        ...

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        """Price the whole usage of a period so far, whatever has been billed of it."""
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
