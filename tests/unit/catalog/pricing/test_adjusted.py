from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.adjusted import Adjusted, adjust
from catalog.pricing.flat import Flat
from catalog.pricing.graduated import Graduated
from catalog.pricing.matrix import Cell, Matrix
from catalog.pricing.params import BasisPoints
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.tiers import Tier
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Pricing, Stage, Usage

DOLLAR = 10**12
MODEL = PerUnit(DOLLAR)
ALL = Adjusted(MODEL, free_units=Decimal(10), minimum_nanos=5 * DOLLAR, maximum_nanos=20 * DOLLAR)


def price(model: Pricing, quantity: str, stage: Stage) -> int:
    """Charge and tell the amount in whole dollars."""
    dollars, rest = divmod(model.charge(Usage.of(Decimal(quantity)), stage).amount_nanos, DOLLAR)
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
        assert ALL.charge(Usage.of(12), Stage.FINAL) == Charge(
            (
                ChargeStep("free-units", "Free units", Decimal(10), 0, 0),
                ChargeStep("units", "Units", Decimal(2), DOLLAR, 2 * DOLLAR),
                ChargeStep("minimum", "Minimum", Decimal(1), 3 * DOLLAR, 3 * DOLLAR),
            )
        )

    @pytest.mark.parametrize("stage", Stage)
    def test_explains_the_maximum(self, stage: Stage) -> None:
        assert ALL.charge(Usage.of(37), stage).steps[-1] == ChargeStep(
            "maximum", "Maximum", Decimal(1), -7 * DOLLAR, -7 * DOLLAR
        )

    def test_counts_free_units_before_the_first_tier(self) -> None:
        model = Adjusted(Graduated((Tier(Decimal(5), DOLLAR), Tier(None, 0))), free_units=Decimal(10))

        assert price(model, "12", Stage.FINAL) == 2
        assert price(model, "100", Stage.FINAL) == 5

    def test_may_cap_at_nothing(self) -> None:
        assert price(Adjusted(MODEL, maximum_nanos=0), "5", Stage.FINAL) == 0

    @pytest.mark.parametrize(
        ("quantity", "in_progress", "final"),
        [
            ("0", "0", "1"),
            ("5", "0", "1"),  # Free.
            ("6", "0.9", "1"),
            ("10", "4.5", "4.5"),  # $5 less 10%.
            ("25", "18", "18"),  # $20 less 10%, just the maximum.
            ("30", "18", "18"),  # $22.50 by the rate.
        ],
    )
    def test_takes_the_discount_off_before_the_bounds_hold(
        self, quantity: str, in_progress: str, final: str
    ) -> None:
        model = Adjusted(MODEL, Decimal(5), BasisPoints(1_000), DOLLAR, 18 * DOLLAR)

        for stage, amount in ((Stage.IN_PROGRESS, in_progress), (Stage.FINAL, final)):
            assert model.charge(Usage.of(Decimal(quantity)), stage).amount_nanos == Decimal(amount) * DOLLAR

    def test_explains_the_discount_and_rounds_it_once(self) -> None:
        model = Adjusted(PerUnit(1), discount_bps=BasisPoints(1_250))

        # An eighth of 12 nanos is 1.5, to the even 2; of 4 it is 0.5, to the even 0, and then there is no step.
        assert model.charge(Usage.of(12), Stage.FINAL).steps[1:] == (
            ChargeStep("discount", "Discount of 12.5%", Decimal(1), -2, -2),
        )
        assert model.charge(Usage.of(4), Stage.FINAL).amount_nanos == 4
        assert len(model.charge(Usage.of(4), Stage.FINAL).steps) == 1

    def test_discounts_a_fee_and_a_model_of_several_steps_as_a_whole(self) -> None:
        tiers = Graduated((Tier(Decimal(10), 2 * DOLLAR), Tier(None, DOLLAR, 3 * DOLLAR)))
        half = BasisPoints(5_000)

        assert price(Adjusted(Flat(8 * DOLLAR), discount_bps=half), "1", Stage.FINAL) == 4
        # 10 at $2, $3 for entering the second tier, 5 at $1: $28.
        assert price(Adjusted(tiers, discount_bps=half), "15", Stage.FINAL) == 14

    def test_gives_all_away_at_the_whole(self) -> None:
        assert price(Adjusted(MODEL, discount_bps=BasisPoints(10_000)), "7", Stage.FINAL) == 0

    def test_takes_free_units_from_groups_in_the_order_of_their_values(self) -> None:
        model = Adjusted(
            Matrix(("model",), (Cell(("b",), 2 * DOLLAR), Cell(("a",), DOLLAR)), 5 * DOLLAR), Decimal(10)
        )
        usage = Usage(Decimal(20), {("b",): Decimal(6), (None,): Decimal(8), ("a",): Decimal(6)})

        # All 6 of a and 4 of b are free: 2 of b at $2 and 8 of any other at $5 are left.
        assert model.charge(usage, Stage.FINAL) == Charge(
            (
                ChargeStep("free-units", "Free units", Decimal(10), 0, 0),
                ChargeStep('["b"]', "model b", Decimal(2), 2 * DOLLAR, 4 * DOLLAR),
                ChargeStep("default", "Any other model", Decimal(8), 5 * DOLLAR, 40 * DOLLAR),
            )
        )

    def test_makes_up_a_flat_fee_only_at_the_end(self) -> None:
        model = Adjusted(Flat(2 * DOLLAR), minimum_nanos=3 * DOLLAR)

        assert price(model, "1", Stage.IN_PROGRESS) == 0
        assert price(model, "1", Stage.FINAL) == 3


class TestGrouping:
    def test_is_that_of_the_model(self) -> None:
        matrix = Matrix(("model",), (Cell(("a",), 1),), 0)

        assert Adjusted(matrix, minimum_nanos=1).grouping == matrix.grouping
        assert ALL.grouping == ()


class TestScale:
    def test_keeps_the_discount(self) -> None:
        model = Adjusted(MODEL, discount_bps=BasisPoints(250))

        assert model.scale(Fraction(1, 3)) == model

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

    def test_writes_a_discount(self) -> None:
        params = Adjusted(MODEL, discount_bps=BasisPoints(250)).to_params()

        assert params == {"unit_amount_nanos": "1000000000000", "discount_bps": "250"}

    def test_leaves_out_what_adjusts_nothing(self) -> None:
        assert Adjusted(MODEL).to_params() == {"unit_amount_nanos": "1000000000000"}


class TestAdjust:
    def test_takes_all_three(self) -> None:
        params = {"free_units": "10", "minimum_nanos": "5000000000000", "maximum_nanos": 20 * DOLLAR}

        assert adjust(MODEL, params) == ALL

    def test_takes_a_discount(self) -> None:
        assert adjust(MODEL, {"discount_bps": "250"}) == Adjusted(MODEL, discount_bps=BasisPoints(250))

    @pytest.mark.parametrize(
        "params",
        [{}, {"free_units": "0", "discount_bps": "0", "minimum_nanos": "0", "maximum_nanos": None}],
    )
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
            ({"discount_bps": "10001"}, "discount_bps"),
            ({"discount_bps": "2.5"}, "discount_bps"),
            ({"discount_bps": True}, "discount_bps"),
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
