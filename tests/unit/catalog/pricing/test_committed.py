from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.committed import Committed
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Stage, Usage

DOLLAR = 10**12
# $1,000 are promised; a unit costs $0.50 as long as they last, which is 2,000 units, and then $0.40.
MODEL = Committed(1_000 * DOLLAR, 5 * 10**11, 4 * 10**11)
PARAMS: dict[str, object] = {
    "commit_amount_nanos": "1000000000000000",
    "unit_amount_nanos": "500000000000",
    "overage_unit_amount_nanos": "400000000000",
}


class TestFromParams:
    def test_takes_the_commitment_and_the_rates(self) -> None:
        assert Committed.from_params(PARAMS) == MODEL

    @pytest.mark.parametrize("name", PARAMS)
    def test_requires_each(self, name: str) -> None:
        with pytest.raises(InvalidPricingParams, match="required") as caught:
            Committed.from_params({key: value for key, value in PARAMS.items() if key != name})

        assert [error.field for error in caught.value.errors] == [name]

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({**PARAMS, "unit_amount_nanos": "0"}, "unit_amount_nanos"),
            ({**PARAMS, "commit_amount_nanos": 0.5}, "commit_amount_nanos"),
            ({**PARAMS, "overage": "1"}, "overage"),
        ],
    )
    def test_names_what_is_wrong(self, params: dict[str, object], field: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            Committed.from_params(params)

        assert [error.field for error in caught.value.errors] == [field]


class TestCharge:
    @pytest.mark.parametrize(
        ("quantity", "in_progress", "final"),
        [
            ("0", "0", "1000"),
            ("1", "0.5", "1000"),
            ("1999", "999.5", "1000"),
            ("2000", "1000", "1000"),
            ("2001", "1000.4", "1000.4"),
            ("2500", "1200", "1200"),
        ],
    )
    def test_asks_for_what_was_used_and_in_the_end_for_the_commitment(
        self, quantity: str, in_progress: str, final: str
    ) -> None:
        for stage, amount in ((Stage.IN_PROGRESS, in_progress), (Stage.FINAL, final)):
            assert MODEL.charge(Usage.of(Decimal(quantity)), stage).amount_nanos == Decimal(amount) * DOLLAR

    def test_explains_the_true_up(self) -> None:
        assert MODEL.charge(Usage.of(600), Stage.FINAL) == Charge(
            (
                ChargeStep("committed", "Within the commitment", Decimal(600), 5 * 10**11, 300 * DOLLAR),
                ChargeStep("true-up", "True-up to the commitment", Decimal(1), 700 * DOLLAR, 700 * DOLLAR),
            )
        )

    def test_explains_the_overage(self) -> None:
        assert MODEL.charge(Usage.of(2_500), Stage.FINAL) == Charge(
            (
                ChargeStep("committed", "Within the commitment", Decimal(2_000), 5 * 10**11, 1_000 * DOLLAR),
                ChargeStep("overage", "Beyond the commitment", Decimal(500), 4 * 10**11, 200 * DOLLAR),
            )
        )

    def test_comes_to_the_commitment_where_it_does_not_buy_whole_units(self) -> None:
        # $10 at $3 are 3.333333333333 units, for 9.999999999999; the last nano is made up in the end.
        model = Committed(10 * DOLLAR, 3 * DOLLAR, DOLLAR)

        assert model.charge(Usage.of(Decimal("3.333333333333")), Stage.FINAL).amount_nanos == 10 * DOLLAR
        steps = model.charge(Usage.of(4), Stage.FINAL).steps
        assert [(step.key, step.amount_nanos) for step in steps] == [
            ("committed", 9_999_999_999_999),
            ("overage", 666_666_666_667),
            ("true-up", 1),
        ]


class TestScale:
    def test_shrinks_the_commitment_and_no_rate(self) -> None:
        assert MODEL.scale(Fraction(1, 4)) == Committed(250 * DOLLAR, 5 * 10**11, 4 * 10**11)


class TestToParams:
    def test_writes_numbers_as_strings(self) -> None:
        assert MODEL.to_params() == PARAMS
