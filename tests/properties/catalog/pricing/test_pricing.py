"""What holds for every pricing model of the registry, with and without what may adjust it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_project.core.money import EXACT
from catalog.pricing.package import PartialPackages
from catalog.pricing.registry import PRICING_MODELS, build_model
from catalog.pricing.types import ChargeStep, GroupValues, InvalidPricingParams, Pricing, Stage, Usage

Params = dict[str, object]

AMOUNTS = st.one_of(st.integers(0, 10), st.integers(0, 10**15)).map(str)
RATES_ABOVE_ZERO = st.one_of(st.integers(1, 10), st.integers(1, 10**15)).map(str)
QUANTITIES = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(0, 10**7), st.integers(0, 4)
)
SHARES = st.fractions(min_value=0, max_value=1, max_denominator=366)
MODELS, TOKEN_TYPES = ("claude", "gpt-4", "llama"), ("input", "output")
VALUES = (*MODELS, *TOKEN_TYPES, "never named", None)


@st.composite
def tier_lists(draw: st.DrawFn) -> list[Params]:
    """Draw tiers whose bounds rise."""
    widths = draw(st.lists(st.integers(1, 10**6), max_size=5))
    bounds = [str(sum(widths[: number + 1])) for number in range(len(widths))]
    return [
        {
            "up_to": bound,
            "unit_amount_nanos": draw(AMOUNTS),
            "flat_amount_nanos": draw(st.just("0") | AMOUNTS),
        }
        for bound in [*bounds, None]
    ]


@st.composite
def matrices(draw: st.DrawFn) -> Params:
    """Draw cells of one or two dimensions, and a cell for both wherever two would fit equally well."""
    pools: list[tuple[str, ...]] = draw(st.sampled_from([[MODELS], [TOKEN_TYPES], [MODELS, TOKEN_TYPES]]))
    every = [values for values in product(*((*pool, None) for pool in pools)) if any(values)]
    chosen = draw(st.sets(st.sampled_from(every), min_size=1))
    if len(pools) > 1:
        open_ends = ({first for first, second in chosen if second is None}, {second for _, second in chosen})
        chosen |= {
            (first, second)
            for first, second in product(*open_ends)
            if second is not None and (None, second) in chosen
        }
    return {
        "dimensions": ["model", "token_type"][: len(pools)],
        "cells": [
            {"values": list(values), "unit_amount_nanos": draw(AMOUNTS)}
            for values in sorted(chosen, key=repr)
        ],
        "default_unit_amount_nanos": draw(AMOUNTS),
    }


def covers_all(params: Params, units: Decimal, quantity: Decimal) -> bool:
    """Tell whether the steps are about all units that are not free."""
    return units == quantity


def covers_none(params: Params, units: Decimal, quantity: Decimal) -> bool:
    """Tell whether the steps are about no units."""
    return units == 0


def covers_packages(params: Params, units: Decimal, quantity: Decimal) -> bool:
    """Tell whether the packages hold all units, or leave less than a package."""
    size = Decimal(str(params["package_size"]))
    excess = EXACT.subtract(EXACT.multiply(units, size), quantity)
    if params.get("partial_packages", "RoundUp") == "RoundUp":
        return 0 <= excess < size
    return -size < excess <= 0


def slack_of_packages(params: Params) -> int:
    """Tell how much a segment may be off, which begins its own packages: by one."""
    is_linear = params.get("partial_packages") == "Prorate"
    return 0 if is_linear else int(str(params["package_amount_nanos"]))


def slack_of_commitment(params: Params) -> int:
    """Tell how much a segment may be off as its commitment is in whole nanos: by the units of half a nano."""
    unit, overage = (int(str(params[f"{name}unit_amount_nanos"])) for name in ("", "overage_"))
    return overage // unit + 1


@dataclass(frozen=True)
class Examples:
    """Parameters of a model, and what the model claims of its charges.

    `covers` compares the units that steps are about with the quantity without free units. `slack_nanos` is by
    how much each segment of a period may be off, rounding apart, where the usage is spread as the days are.
    """

    params: st.SearchStrategy[Params]
    never_falls: bool = True
    covers: Callable[[Params, Decimal, Decimal], bool] = covers_all
    slack_nanos: Callable[[Params], int] = lambda params: 0


# A model that is added to the registry is added here.
EXAMPLES = {
    "Flat": Examples(st.fixed_dictionaries({"unit_amount_nanos": AMOUNTS}), covers=covers_none),
    "PerUnit": Examples(st.fixed_dictionaries({"unit_amount_nanos": AMOUNTS})),
    "Graduated": Examples(st.fixed_dictionaries({"tiers": tier_lists()})),
    "Volume": Examples(st.fixed_dictionaries({"tiers": tier_lists()}), never_falls=False),
    "Package": Examples(
        st.fixed_dictionaries(
            {"package_size": st.sampled_from(["0.5", "1", "7", "1000"]), "package_amount_nanos": AMOUNTS},
            optional={"partial_packages": st.sampled_from([choice.value for choice in PartialPackages])},
        ),
        covers=covers_packages,
        slack_nanos=slack_of_packages,
    ),
    "Committed": Examples(
        st.fixed_dictionaries(
            {
                "commit_amount_nanos": AMOUNTS,
                "unit_amount_nanos": RATES_ABOVE_ZERO,
                "overage_unit_amount_nanos": AMOUNTS,
            }
        ),
        slack_nanos=slack_of_commitment,
    ),
    "Percentage": Examples(
        st.fixed_dictionaries(
            {"rate_bps": st.integers(0, 10_000).map(str)}, optional={"fixed_nanos": AMOUNTS}
        )
    ),
    "Matrix": Examples(matrices()),
}

FOR_EACH_MODEL = pytest.mark.parametrize("name", EXAMPLES)

# Steps of an amount that is due as a whole are about no units.
ONCE = {"fee", "part", "true-up", "fixed", "discount", "minimum", "maximum"}


@st.composite
def adjustments(draw: st.DrawFn, name: str) -> Params:
    """Draw free units, a discount, a minimum and a maximum, or some of them, or none."""
    minimum, maximum = sorted(draw(st.tuples(st.integers(0, 10**15), st.integers(0, 10**15))))
    every: Params = {
        "discount_bps": str(draw(st.integers(0, 10_000))),
        "minimum_nanos": str(minimum),
        "maximum_nanos": str(maximum),
    }
    if PRICING_MODELS[name].charges_units:
        every["free_units"] = str(draw(st.integers(0, 10**6)))
    kept = draw(st.sets(st.sampled_from(sorted(every))))
    return {key: value for key, value in every.items() if key in kept}


@st.composite
def priced(draw: st.DrawFn, *names: str) -> tuple[str, Params]:
    """Draw a model's name, of these or of all, with its parameters."""
    name = draw(st.sampled_from(names or [*EXAMPLES]))
    return name, draw(EXAMPLES[name].params) | draw(adjustments(name))


@dataclass(frozen=True)
class Case:
    """A price, and the growing usage of a period, which is something at any time or nothing."""

    name: str
    params: Params
    usages: Sequence[Usage]

    @property
    def model(self) -> Pricing:
        """Build the price."""
        return build_model(self.name, self.params)


@st.composite
def cases(draw: st.DrawFn, *names: str, count: int = 1) -> Case:
    """Draw a price with usage by the values that it tells apart, and by others."""
    name, params = draw(priced(*names))
    width = len(build_model(name, params).grouping)
    if width:
        values = st.tuples(*[st.sampled_from(VALUES)] * width)
        growth = st.dictionaries(values, QUANTITIES, max_size=5)
        parts = draw(st.lists(growth, min_size=count, max_size=count))
        return Case(name, params, list(accumulate(map(add_up, parts), add)))
    quantities = draw(st.lists(QUANTITIES, min_size=count, max_size=count))
    return Case(name, params, [Usage.of(quantity) for quantity in sorted(quantities)])


def add_up(groups: Mapping[GroupValues, Decimal]) -> Usage:
    """Make the usage of groups."""
    return Usage(sum(groups.values(), Decimal(0)), groups)


def add(before: Usage, more: Usage) -> Usage:
    """Add usage to that before."""
    keys = before.groups.keys() | more.groups.keys()
    nothing = Decimal(0)
    groups = {key: before.groups.get(key, nothing) + more.groups.get(key, nothing) for key in keys}
    return Usage(before.quantity + more.quantity, groups)


def times(usage: Usage, count: int) -> Usage:
    """Multiply usage."""
    groups = {key: part * count for key, part in usage.groups.items()}
    return Usage(usage.quantity * count, groups)


def sum_by_key(model: Pricing, usage: Usage, stage: Stage) -> dict[str, int]:
    """Charge and map each step's key to its amount."""
    amounts: dict[str, int] = {}
    for step in model.charge(usage, stage).steps:
        assert step.key not in amounts
        amounts[step.key] = step.amount_nanos
    return amounts


def count_units(steps: Sequence[ChargeStep]) -> tuple[Decimal, Decimal]:
    """Count the units that steps are about, and those that are free."""
    counted = {True: Decimal(0), False: Decimal(0)}
    for step in steps:
        if step.key not in ONCE and not step.key.endswith("-flat"):
            is_free = step.key == "free-units"
            counted[is_free] = EXACT.add(counted[is_free], step.quantity)
    return counted[False], counted[True]


def walk(value: object) -> Iterator[dict[str, object]]:
    """Find all objects in JSON."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)


class TestExamples:
    def test_cover_the_registry(self) -> None:
        assert EXAMPLES.keys() == PRICING_MODELS.keys()


class TestCharge:
    @FOR_EACH_MODEL
    @given(data=st.data(), stage=st.sampled_from(Stage))
    def test_has_steps_that_cover_the_quantity(self, name: str, data: st.DataObject, stage: Stage) -> None:
        case = data.draw(cases(name))
        (usage,) = case.usages

        units, free = count_units(case.model.charge(usage, stage).steps)

        assert free <= usage.quantity
        assert EXAMPLES[case.name].covers(case.params, units, EXACT.subtract(usage.quantity, free))

    @given(cases(), st.sampled_from(Stage))
    def test_has_steps_of_which_each_is_its_units_times_its_rate(self, case: Case, stage: Stage) -> None:
        for step in case.model.charge(case.usages[0], stage).steps:
            assert step.amount_nanos == round(Fraction(step.quantity) * step.unit_amount_nanos)

    @pytest.mark.parametrize("name", [name for name, model in EXAMPLES.items() if model.never_falls])
    @given(data=st.data(), stage=st.sampled_from(Stage))
    def test_never_falls_where_the_model_claims_it(
        self, name: str, data: st.DataObject, stage: Stage
    ) -> None:
        case = data.draw(cases(name, count=4))

        amounts = [case.model.charge(usage, stage).amount_nanos for usage in case.usages]

        assert amounts == sorted(amounts)

    @given(cases(), st.sampled_from(Stage))
    def test_stays_between_minimum_and_maximum(self, case: Case, stage: Stage) -> None:
        params = case.params
        minimum = int(str(params.get("minimum_nanos", 0))) if stage is Stage.FINAL else 0
        amount_nanos = case.model.charge(case.usages[0], stage).amount_nanos

        assert amount_nanos >= minimum
        assert "maximum_nanos" not in params or amount_nanos <= int(str(params["maximum_nanos"]))

    @given(priced())
    def test_is_nothing_for_nothing_in_progress(self, price: tuple[str, Params]) -> None:
        assert build_model(*price).charge(Usage.of(0), Stage.IN_PROGRESS).amount_nanos == 0

    @FOR_EACH_MODEL
    @given(data=st.data(), count=st.integers(1, 6), is_scaled=st.booleans())
    def test_adds_up_over_any_split_into_bills(
        self, name: str, data: st.DataObject, count: int, is_scaled: bool
    ) -> None:
        case = data.draw(cases(name, count=count))
        model = case.model.scale(Fraction(17, 31)) if is_scaled else case.model
        *in_progress, final = case.usages

        # Each bill asks, step by step, for the charge so far less what the bills before it asked for.
        billed: dict[str, int] = {}
        total = 0
        stages = [*((usage, Stage.IN_PROGRESS) for usage in in_progress), (final, Stage.FINAL)]
        for usage, stage in stages:
            charged = sum_by_key(model, usage, stage)
            bill = {
                key: charged.get(key, 0) - billed.get(key, 0)
                for key in sorted(charged.keys() | billed.keys())
            }
            billed = {key: billed.get(key, 0) + amount for key, amount in bill.items()}
            total += sum(bill.values())

        assert total == model.charge(final, Stage.FINAL).amount_nanos
        assert {key: amount for key, amount in billed.items() if amount} == {
            key: amount for key, amount in sum_by_key(model, final, Stage.FINAL).items() if amount
        }


class TestScale:
    @given(cases(), st.sampled_from(Stage))
    def test_to_the_whole_changes_nothing(self, case: Case, stage: Stage) -> None:
        (usage,) = case.usages

        assert case.model.scale(Fraction(1)).charge(usage, stage) == case.model.charge(usage, stage)

    @FOR_EACH_MODEL
    @given(data=st.data(), days=st.lists(st.integers(0, 31), min_size=2, max_size=5).filter(any))
    def test_gives_segments_of_one_plan_what_the_period_gives_once(
        self, name: str, data: st.DataObject, days: list[int]
    ) -> None:
        case = data.draw(cases(name))
        # Usage that is spread as the days are is charged as if there had been one segment, but for the
        # rounding of bounds to 10^-12 of a unit, at the largest rate, and of amounts to a nano.
        (usage,) = case.usages
        total = sum(days)

        charges = [
            case.model.scale(Fraction(count, total)).charge(times(usage, count), Stage.FINAL).amount_nanos
            for count in days
            if count
        ]

        slack = len(days) * (50 * (1 + 10**15 // 10**12) + EXAMPLES[case.name].slack_nanos(case.params))
        whole = case.model.charge(times(usage, total), Stage.FINAL).amount_nanos
        assert abs(sum(charges) - whole) <= slack

    @given(cases(), SHARES, st.sampled_from(Stage))
    def test_keeps_every_quantity_chargeable(self, case: Case, share: Fraction, stage: Stage) -> None:
        charge = case.model.scale(share).charge(case.usages[0], stage)

        assert charge.amount_nanos >= 0
        assert charge.amount_nanos == sum(step.amount_nanos for step in charge.steps)


class TestGrouping:
    @given(cases(), st.sampled_from(Stage))
    def test_tells_apart_all_that_makes_a_difference(self, case: Case, stage: Stage) -> None:
        # What the price does not tell apart may be merged before it is priced: so it is when usage is read.
        model = (
            build_model(case.name, case.params | {"free_units": "0"}) if case.usages[0].groups else case.model
        )
        (usage,) = case.usages
        dimensions = model.grouping

        merged = Usage.grouped(usage.groups.items(), dimensions=dimensions) if dimensions else usage

        assert model.charge(merged, stage) == model.charge(usage, stage)


class TestToParams:
    @given(priced())
    def test_is_read_back_as_the_same_model(self, price: tuple[str, Params]) -> None:
        name, params = price
        model = build_model(name, params)

        assert build_model(name, model.to_params()) == model

    @given(priced())
    def test_holds_no_number_but_as_a_string(self, price: tuple[str, Params]) -> None:
        leaves: list[object] = []

        def collect(value: object) -> None:
            if isinstance(value, Mapping):
                for item in value.values():
                    collect(item)
            elif isinstance(value, list):
                for item in value:
                    collect(item)
            else:
                leaves.append(value)

        collect(build_model(*price).to_params())

        assert all(value is None or isinstance(value, str) for value in leaves)


class TestFromParams:
    @pytest.mark.parametrize("number", [0.5, 2.0, True, False])
    @given(price=priced(), data=st.data())
    def test_refuses_floats_and_booleans_wherever_a_number_stands(
        self, number: object, price: tuple[str, Params], data: st.DataObject
    ) -> None:
        name, params = price
        # In a list, too, nothing but an object, a text or a null is taken.
        numbers = [(place, key) for place in walk(params) for key in place]
        place, key = data.draw(st.sampled_from(numbers))
        place[key] = number

        with pytest.raises(InvalidPricingParams):
            build_model(name, params)
