"""What holds for every pricing model of the registry, with and without free units, minimum and maximum."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_project.core.money import EXACT
from catalog.pricing.registry import PRICING_MODELS, build_model
from catalog.pricing.types import InvalidPricingParams, Pricing, Stage

Params = dict[str, object]

AMOUNTS = st.one_of(st.integers(0, 10), st.integers(0, 10**15)).map(str)
QUANTITIES = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(0, 10**7), st.integers(0, 4)
)
SHARES = st.fractions(min_value=0, max_value=1, max_denominator=366)


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


@dataclass(frozen=True)
class Examples:
    """Parameters of a model, and what the model claims of its charges."""

    params: st.SearchStrategy[Params]
    never_falls: bool = True


# A model that is added to the registry is added here.
EXAMPLES = {
    "Flat": Examples(st.fixed_dictionaries({"unit_amount_nanos": AMOUNTS})),
    "PerUnit": Examples(st.fixed_dictionaries({"unit_amount_nanos": AMOUNTS})),
    "Graduated": Examples(st.fixed_dictionaries({"tiers": tier_lists()})),
}


@st.composite
def adjustments(draw: st.DrawFn, name: str) -> Params:
    """Draw free units, a minimum and a maximum, or some of them, or none."""
    minimum, maximum = sorted(draw(st.tuples(st.integers(0, 10**15), st.integers(0, 10**15))))
    every: Params = {"minimum_nanos": str(minimum), "maximum_nanos": str(maximum)}
    if PRICING_MODELS[name].charges_units:
        every["free_units"] = str(draw(st.integers(0, 10**6)))
    kept = draw(st.sets(st.sampled_from(sorted(every))))
    return {key: value for key, value in every.items() if key in kept}


@st.composite
def priced(draw: st.DrawFn, *, only_rising: bool = False) -> tuple[str, Params]:
    """Draw a model's name with its parameters."""
    name = draw(st.sampled_from([name for name in EXAMPLES if not only_rising or EXAMPLES[name].never_falls]))
    return name, draw(EXAMPLES[name].params) | draw(adjustments(name))


def sum_by_key(model: Pricing, quantity: Decimal, stage: Stage) -> dict[str, int]:
    """Charge and map each step's key to its amount."""
    amounts: dict[str, int] = {}
    for step in model.charge(quantity, stage).steps:
        assert step.key not in amounts
        amounts[step.key] = step.amount_nanos
    return amounts


class TestExamples:
    def test_cover_the_registry(self) -> None:
        assert EXAMPLES.keys() == PRICING_MODELS.keys()


class TestCharge:
    @given(priced(), QUANTITIES, st.sampled_from(Stage))
    def test_has_steps_that_cover_the_quantity(
        self, price: tuple[str, Params], quantity: Decimal, stage: Stage
    ) -> None:
        name, params = price

        steps = build_model(name, params).charge(quantity, stage).steps

        # A step of a single amount (a fee, a bound) is no part of the quantity, and its key says so.
        covered = [step for step in steps if step.key in {"units", "free-units"} or step.key[-1].isdigit()]
        total = Decimal(0)
        for step in covered:
            total = EXACT.add(total, step.quantity)
        assert total == (quantity if PRICING_MODELS[name].charges_units else 0)

    @given(priced(), QUANTITIES, st.sampled_from(Stage))
    def test_has_steps_of_which_each_is_its_units_times_its_rate(
        self, price: tuple[str, Params], quantity: Decimal, stage: Stage
    ) -> None:
        for step in build_model(*price).charge(quantity, stage).steps:
            assert step.amount_nanos == round(Fraction(step.quantity) * step.unit_amount_nanos)

    @given(priced(only_rising=True), st.lists(QUANTITIES, min_size=2, max_size=5), st.sampled_from(Stage))
    def test_never_falls_where_the_model_claims_it(
        self, price: tuple[str, Params], quantities: list[Decimal], stage: Stage
    ) -> None:
        model = build_model(*price)

        amounts = [model.charge(quantity, stage).amount_nanos for quantity in sorted(quantities)]

        assert amounts == sorted(amounts)

    @given(priced(), QUANTITIES, st.sampled_from(Stage))
    def test_stays_between_minimum_and_maximum(
        self, price: tuple[str, Params], quantity: Decimal, stage: Stage
    ) -> None:
        _, params = price
        minimum = int(str(params.get("minimum_nanos", 0))) if stage is Stage.FINAL else 0
        amount_nanos = build_model(*price).charge(quantity, stage).amount_nanos

        assert amount_nanos >= minimum
        assert "maximum_nanos" not in params or amount_nanos <= int(str(params["maximum_nanos"]))

    @given(priced())
    def test_is_nothing_for_nothing_in_progress(self, price: tuple[str, Params]) -> None:
        assert build_model(*price).charge(Decimal(0), Stage.IN_PROGRESS).amount_nanos == 0

    @given(priced(), st.lists(QUANTITIES, max_size=6), st.booleans())
    def test_adds_up_over_any_split_into_bills(
        self, price: tuple[str, Params], quantities: list[Decimal], is_scaled: bool
    ) -> None:
        model = build_model(*price)
        if is_scaled:
            model = model.scale(Fraction(17, 31))
        *in_progress, final = sorted([*quantities, Decimal(5)])

        # Each bill asks, step by step, for the charge so far less what the bills before it asked for.
        billed: dict[str, int] = {}
        total = 0
        stages = [*((quantity, Stage.IN_PROGRESS) for quantity in in_progress), (final, Stage.FINAL)]
        for quantity, stage in stages:
            charged = sum_by_key(model, quantity, stage)
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
    @given(priced(), QUANTITIES, st.sampled_from(Stage))
    def test_to_the_whole_changes_nothing(
        self, price: tuple[str, Params], quantity: Decimal, stage: Stage
    ) -> None:
        model = build_model(*price)

        assert model.scale(Fraction(1)).charge(quantity, stage) == model.charge(quantity, stage)

    @given(priced(), st.lists(st.integers(0, 31), min_size=1, max_size=5).filter(any), QUANTITIES)
    def test_gives_segments_of_one_plan_what_the_period_gives_once(
        self, price: tuple[str, Params], days: list[int], quantity: Decimal
    ) -> None:
        # Usage that is spread as the days are is charged as if there had been one segment, but for the
        # rounding of bounds to 10^-12 of a unit, at the largest rate, and of amounts to a nano.
        model = build_model(*price)
        total = sum(days)
        parts = [Fraction(count, total) for count in days]
        units = quantity * total

        charges = [
            model.scale(part).charge(Decimal(quantity * count), Stage.FINAL).amount_nanos
            for part, count in zip(parts, days, strict=True)
            if count
        ]

        slack = len(days) * 50 * (1 + 10**15 // 10**12)
        assert abs(sum(charges) - model.charge(units, Stage.FINAL).amount_nanos) <= slack

    @given(priced(), SHARES, QUANTITIES, st.sampled_from(Stage))
    def test_keeps_every_quantity_chargeable(
        self, price: tuple[str, Params], share: Fraction, quantity: Decimal, stage: Stage
    ) -> None:
        name, params = price

        charge = build_model(name, params).scale(share).charge(quantity, stage)

        assert charge.amount_nanos >= 0
        assert charge.amount_nanos == sum(step.amount_nanos for step in charge.steps)


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
        places: list[Params] = [params]
        tiers = params.get("tiers")
        if isinstance(tiers, list):
            places.extend(tiers)
        numbers = [(place, key) for place in places for key in place if key != "tiers"]
        place, key = data.draw(st.sampled_from(numbers))
        place[key] = number

        with pytest.raises(InvalidPricingParams):
            build_model(name, params)
