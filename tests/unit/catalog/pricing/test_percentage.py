from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.params import BasisPoints
from catalog.pricing.percentage import Percentage
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Stage, Usage

DOLLAR = 10**12
# 2.9% of what was paid, and $10 a period.
MODEL = Percentage(BasisPoints(290), 10 * DOLLAR)


class TestFromParams:
    def test_takes_rate_and_fixed_part(self) -> None:
        assert Percentage.from_params({"rate_bps": "290", "fixed_nanos": 10 * DOLLAR}) == MODEL
        assert Percentage.from_params({"rate_bps": 290}) == Percentage(BasisPoints(290))

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({}, "rate_bps"),
            ({"rate_bps": "10001"}, "rate_bps"),
            ({"rate_bps": 2.9}, "rate_bps"),
            ({"rate_bps": "290", "fixed_nanos": "-1"}, "fixed_nanos"),
            ({"rate_bps": "290", "fixed": "1"}, "fixed"),
        ],
    )
    def test_names_what_is_wrong(self, params: dict[str, object], field: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            Percentage.from_params(params)

        assert [error.field for error in caught.value.errors] == [field]


class TestCharge:
    @pytest.mark.parametrize(
        ("amount", "in_progress", "final"),
        [
            ("0", 0, 10 * DOLLAR),
            ("100", 2_900_000_000_000, 12_900_000_000_000),
            ("1234.56", 35_802_240_000_000, 45_802_240_000_000),
            # 2.9% of 10^-11 dollars are 0.29 nanos.
            ("0.00000000001", 0, 10 * DOLLAR),
        ],
    )
    def test_is_the_part_and_in_the_end_the_fixed_part(
        self, amount: str, in_progress: int, final: int
    ) -> None:
        usage = Usage.of(Decimal(amount))

        assert MODEL.charge(usage, Stage.IN_PROGRESS).amount_nanos == in_progress
        assert MODEL.charge(usage, Stage.FINAL).amount_nanos == final

    def test_explains_both_parts(self) -> None:
        assert MODEL.charge(Usage.of(100), Stage.FINAL) == Charge(
            (
                ChargeStep("percentage", "2.9% of the amount", Decimal(100), 29_000_000_000, 29 * 10**11),
                ChargeStep("fixed", "Fixed part", Decimal(1), 10 * DOLLAR, 10 * DOLLAR),
            )
        )

    def test_of_the_whole_is_the_amount(self) -> None:
        charge = Percentage(BasisPoints(10_000)).charge(Usage.of(Decimal("12.5")), Stage.IN_PROGRESS)

        assert charge.amount_nanos == 12_500_000_000_000


class TestScale:
    def test_prorates_the_fixed_part(self) -> None:
        assert MODEL.scale(Fraction(1, 4)) == Percentage(BasisPoints(290), 25 * 10**11)


class TestToParams:
    def test_writes_numbers_as_strings_and_leaves_out_what_is_nothing(self) -> None:
        assert MODEL.to_params() == {"rate_bps": "290", "fixed_nanos": "10000000000000"}
        assert Percentage(BasisPoints(0)).to_params() == {"rate_bps": "0"}
