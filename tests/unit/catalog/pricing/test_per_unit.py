from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.per_unit import PerUnit
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Stage, Usage

INPUT_TOKENS = PerUnit(unit_amount_nanos=2_000_000)


class TestFromParams:
    @pytest.mark.parametrize("amount", ["2000000", 2_000_000], ids=repr)
    def test_takes_the_rate(self, amount: object) -> None:
        assert PerUnit.from_params({"unit_amount_nanos": amount}) == INPUT_TOKENS

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"unit_amount_nanos": 2e6},
            {"unit_amount_nanos": "-1"},
            {"unit_amount_nanos": "1", "tiers": []},
        ],
    )
    def test_refuses(self, params: dict[str, object]) -> None:
        with pytest.raises(InvalidPricingParams):
            PerUnit.from_params(params)


class TestCharge:
    @pytest.mark.parametrize("stage", Stage)
    def test_is_rate_times_quantity_at_any_stage(self, stage: Stage) -> None:
        assert INPUT_TOKENS.charge(Usage.of(4977500), stage) == Charge(
            (ChargeStep("units", "Units", Decimal(4977500), 2_000_000, 9_955_000_000_000),)
        )

    def test_shows_the_rate_where_nothing_was_used(self) -> None:
        assert INPUT_TOKENS.charge(Usage.of(0), Stage.FINAL) == Charge(
            (ChargeStep("units", "Units", Decimal(0), 2_000_000, 0),)
        )

    @pytest.mark.parametrize(("quantity", "amount_nanos"), [("0.5", 0), ("1.5", 2), ("2.5", 2), ("2.51", 3)])
    def test_rounds_half_even_to_a_nano(self, quantity: str, amount_nanos: int) -> None:
        assert PerUnit(1).charge(Usage.of(Decimal(quantity)), Stage.FINAL).amount_nanos == amount_nanos

    def test_rounds_the_whole_quantity_so_that_parts_lose_nothing(self) -> None:
        # Each bill is the whole so far less what was billed: 0, 0 and 1 here, not three times 0.
        model = PerUnit(1)
        so_far = [
            model.charge(Usage.of(Decimal(text)), Stage.IN_PROGRESS).amount_nanos
            for text in ("0.3", "0.5", "0.9")
        ]

        assert so_far == [0, 0, 1]


class TestScale:
    def test_changes_no_rate(self) -> None:
        assert INPUT_TOKENS.scale(Fraction(17, 31)) == INPUT_TOKENS


class TestToParams:
    def test_writes_numbers_as_strings(self) -> None:
        assert INPUT_TOKENS.to_params() == {"unit_amount_nanos": "2000000"}
