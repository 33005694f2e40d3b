from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.adjusted import Adjusted, adjust
from catalog.pricing.flat import Flat
from catalog.pricing.graduated import Graduated, Tier
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Pricing, Stage

DOLLAR = 10**12
MODEL = PerUnit(DOLLAR)
ALL = Adjusted(MODEL, free_units=Decimal(10), minimum_nanos=5 * DOLLAR, maximum_nanos=20 * DOLLAR)


def price(model: Pricing, quantity: str, stage: Stage) -> int:
    """Charge and tell the amount in whole dollars."""
    dollars, rest = divmod(model.charge(Decimal(quantity), stage).amount_nanos, DOLLAR)
    assert rest == 0
    return dollars


class TestCharge:
    @pytest.mark.parametrize(
        ("quantity", "in_progress", "final"),
        [
            ("0", 0, 5),
            ("10", 0, 5),
            ("12", 2, 5),
            ("15", 5, 5),
            ("16", 6, 6),
            ("30", 20, 20),
            ("31", 20, 20),
            ("1000", 20, 20),
        ],
    )
    def test_holds_the_sum_between_its_bounds(self, quantity: str, in_progress: int, final: int) -> None:
        assert price(ALL, quantity, Stage.IN_PROGRESS) == in_progress
        assert price(ALL, quantity, Stage.FINAL) == final

    def test_explains_free_units_and_minimum(self) -> None:
        assert ALL.charge(Decimal(12), Stage.FINAL) == Charge(
            (
                ChargeStep("free-units", "Free units", Decimal(10), 0, 0),
                ChargeStep("units", "Units", Decimal(2), DOLLAR, 2 * DOLLAR),
                ChargeStep("minimum", "Minimum", Decimal(1), 3 * DOLLAR, 3 * DOLLAR),
            )
        )

    @pytest.mark.parametrize("stage", Stage)
    def test_explains_the_maximum(self, stage: Stage) -> None:
        assert ALL.charge(Decimal(37), stage).steps[-1] == ChargeStep(
            "maximum", "Maximum", Decimal(1), -7 * DOLLAR, -7 * DOLLAR
        )

    def test_counts_free_units_before_the_first_tier(self) -> None:
        model = Adjusted(Graduated((Tier(Decimal(5), DOLLAR), Tier(None, 0))), free_units=Decimal(10))

        assert price(model, "12", Stage.FINAL) == 2
        assert price(model, "100", Stage.FINAL) == 5

    def test_may_cap_at_nothing(self) -> None:
        assert price(Adjusted(MODEL, maximum_nanos=0), "5", Stage.FINAL) == 0

    def test_makes_up_a_flat_fee_only_at_the_end(self) -> None:
        model = Adjusted(Flat(2 * DOLLAR), minimum_nanos=3 * DOLLAR)

        assert price(model, "1", Stage.IN_PROGRESS) == 0
        assert price(model, "1", Stage.FINAL) == 3


class TestScale:
    def test_scales_what_holds_for_a_period(self) -> None:
        assert ALL.scale(Fraction(1, 4)) == Adjusted(
            MODEL,
            free_units=Decimal("2.5"),
            minimum_nanos=125 * 10**10,
            maximum_nanos=5 * DOLLAR,
        )

    def test_scales_the_model_inside(self) -> None:
        assert Adjusted(Flat(4), minimum_nanos=8).scale(Fraction(1, 2)) == Adjusted(Flat(2), minimum_nanos=4)

    def test_gives_the_free_units_once_to_two_segments_of_a_period(self) -> None:
        shares = [ALL.scale(Fraction(days, 31)) for days in (17, 14)]

        assert sum(share.free_units for share in shares) == 10

    def test_leaves_no_maximum_without_one(self) -> None:
        assert Adjusted(MODEL, free_units=Decimal(1)).scale(Fraction(1, 2)).maximum_nanos is None


class TestToParams:
    def test_writes_numbers_as_strings(self) -> None:
        assert ALL.to_params() == {
            "unit_amount_nanos": "1000000000000",
            "free_units": "10",
            "minimum_nanos": "5000000000000",
            "maximum_nanos": "20000000000000",
        }

    def test_leaves_out_what_adjusts_nothing(self) -> None:
        assert Adjusted(MODEL).to_params() == {"unit_amount_nanos": "1000000000000"}


class TestAdjust:
    def test_takes_all_three(self) -> None:
        params = {"free_units": "10", "minimum_nanos": "5000000000000", "maximum_nanos": 20 * DOLLAR}

        assert adjust(MODEL, params) == ALL

    @pytest.mark.parametrize("params", [{}, {"free_units": "0", "minimum_nanos": "0", "maximum_nanos": None}])
    def test_gives_back_the_model_where_nothing_is_adjusted(self, params: dict[str, object]) -> None:
        assert adjust(MODEL, params) is MODEL

    def test_takes_a_maximum_of_nothing_seriously(self) -> None:
        assert adjust(MODEL, {"maximum_nanos": "0"}) == Adjusted(MODEL, maximum_nanos=0)

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({"free_units": 0.5}, "free_units"),
            ({"free_units": "-1"}, "free_units"),
            ({"minimum_nanos": True}, "minimum_nanos"),
            ({"maximum_nanos": "-1"}, "maximum_nanos"),
            ({"minimum_nanos": "2", "maximum_nanos": "1"}, "maximum_nanos"),
        ],
    )
    def test_names_what_is_wrong(self, params: dict[str, object], field: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            adjust(MODEL, params)

        assert [error.field for error in caught.value.errors] == [field]

    def test_refuses_free_units_of_a_fixed_fee(self) -> None:
        with pytest.raises(InvalidPricingParams, match="does not depend on the quantity"):
            adjust(Flat(1), {"free_units": "1"})
