from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.flat import Flat
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Stage, Usage

FEE = Flat(unit_amount_nanos=99 * 10**12)


class TestFromParams:
    def test_takes_the_fee(self) -> None:
        assert Flat.from_params({"unit_amount_nanos": "99000000000000"}) == FEE

    @pytest.mark.parametrize(
        "params", [{}, {"unit_amount_nanos": 99.0}, {"unit_amount_nanos": "1", "fee": "1"}]
    )
    def test_refuses(self, params: dict[str, object]) -> None:
        with pytest.raises(InvalidPricingParams):
            Flat.from_params(params)


class TestCharge:
    @pytest.mark.parametrize("quantity", ["0", "1", "1000.5"])
    def test_is_the_fee_once_the_period_is_final(self, quantity: str) -> None:
        assert FEE.charge(Usage.of(Decimal(quantity)), Stage.FINAL) == Charge(
            (ChargeStep("fee", "Fixed fee", Decimal(1), 99 * 10**12, 99 * 10**12),)
        )

    def test_is_nothing_before(self) -> None:
        charge = FEE.charge(Usage.of(1000), Stage.IN_PROGRESS)

        assert charge == Charge(())
        assert charge.amount_nanos == 0


class TestScale:
    def test_prorates_the_fee(self) -> None:
        assert FEE.scale(Fraction(10, 30)) == Flat(33 * 10**12)
        assert FEE.scale(Fraction(17, 31)) == Flat(54_290_322_580_645)
        assert FEE.scale(Fraction(0)) == Flat(0)
        assert FEE.scale(Fraction(1)) == FEE


class TestToParams:
    def test_writes_numbers_as_strings(self) -> None:
        assert FEE.to_params() == {"unit_amount_nanos": "99000000000000"}
