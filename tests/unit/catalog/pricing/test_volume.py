from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.tiers import Tier
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Stage, Usage
from catalog.pricing.volume import Volume

# Up to 10,000 units all cost $0.002, up to 50,000 $0.001 and $5 on top, and above that $0.0005.
TIERS = Volume(
    (
        Tier(up_to=Decimal(10_000), unit_amount_nanos=2 * 10**9),
        Tier(up_to=Decimal(50_000), unit_amount_nanos=10**9, flat_amount_nanos=5 * 10**12),
        Tier(up_to=None, unit_amount_nanos=5 * 10**8),
    )
)
PARAMS: dict[str, object] = {
    "tiers": [
        {"up_to": "10000", "unit_amount_nanos": "2000000000", "flat_amount_nanos": "0"},
        {"up_to": "50000", "unit_amount_nanos": "1000000000", "flat_amount_nanos": "5000000000000"},
        {"up_to": None, "unit_amount_nanos": "500000000", "flat_amount_nanos": "0"},
    ]
}


class TestFromParams:
    def test_takes_tiers(self) -> None:
        assert Volume.from_params(PARAMS) == TIERS

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({}, "tiers"),
            ({"tiers": [{"up_to": "10", "unit_amount_nanos": "1"}]}, "tiers.0.up_to"),
            ({**PARAMS, "mode": "graduated"}, "mode"),
        ],
    )
    def test_names_what_is_wrong(self, params: dict[str, object], field: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            Volume.from_params(params)

        assert [error.field for error in caught.value.errors] == [field]


class TestInit:
    @pytest.mark.parametrize("tiers", [(), (Tier(Decimal(1), 1),), (Tier(None, 1), Tier(None, 1))])
    def test_refuses_tiers_that_leave_a_quantity_without_a_price(self, tiers: tuple[Tier, ...]) -> None:
        with pytest.raises(AssertionError, match="is open"):
            Volume(tiers)


class TestCharge:
    @pytest.mark.parametrize(
        ("quantity", "amount_nanos"),
        [
            ("0", 0),
            ("1", 2 * 10**9),
            ("10000", 20 * 10**12),  # The bound itself is in the tier below.
            ("10000.5", 15_000_500_000_000),  # $5 and 10,000.5 at $0.001: less than 10,000 units cost.
            ("50000", 55 * 10**12),
            ("50001", 25_000_500_000_000),
            ("150000", 75 * 10**12),
        ],
    )
    @pytest.mark.parametrize("stage", Stage)
    def test_prices_all_units_by_one_tier(self, quantity: str, amount_nanos: int, stage: Stage) -> None:
        assert TIERS.charge(Usage.of(Decimal(quantity)), stage).amount_nanos == amount_nanos

    def test_explains_the_tier(self) -> None:
        assert TIERS.charge(Usage.of(20_000), Stage.FINAL) == Charge(
            (
                ChargeStep("tier-2", "10,000 to 50,000", Decimal(20_000), 10**9, 20 * 10**12),
                ChargeStep("tier-2-flat", "10,000 to 50,000, fixed", Decimal(1), 5 * 10**12, 5 * 10**12),
            )
        )

    def test_has_no_step_where_nothing_was_used(self) -> None:
        assert Volume((Tier(None, 1, 5),)).charge(Usage.of(0), Stage.FINAL) == Charge(())


class TestScale:
    def test_narrows_the_tiers_and_prorates_what_entering_costs(self) -> None:
        assert TIERS.scale(Fraction(1, 4)) == Volume(
            (
                Tier(Decimal(2_500), 2 * 10**9),
                Tier(Decimal(12_500), 10**9, 125 * 10**10),
                Tier(None, 5 * 10**8),
            )
        )


class TestToParams:
    def test_writes_numbers_as_strings(self) -> None:
        assert TIERS.to_params() == PARAMS
