from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.graduated import Graduated
from catalog.pricing.tiers import Tier
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Stage, Usage

# The first 10,000 units at $0.002, the next 40,000 at $0.001 and $5 for entering, all others at $0.0005.
TIERS = Graduated(
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


def bounded(*bounds: object) -> dict[str, object]:
    """Write parameters with tiers of these bounds."""
    return {"tiers": [{"up_to": bound, "unit_amount_nanos": "1"} for bound in bounds]}


class TestFromParams:
    def test_takes_tiers(self) -> None:
        assert Graduated.from_params(PARAMS) == TIERS

    def test_takes_integers_and_lets_out_what_is_open_or_zero(self) -> None:
        tiers = [
            {"up_to": 10_000, "unit_amount_nanos": 2 * 10**9},
            {"up_to": 50_000, "unit_amount_nanos": 10**9, "flat_amount_nanos": 5 * 10**12},
            {"unit_amount_nanos": 5 * 10**8},
        ]

        assert Graduated.from_params({"tiers": tiers}) == TIERS

    def test_takes_a_single_open_tier(self) -> None:
        assert Graduated.from_params(bounded(None)) == Graduated((Tier(None, 1),))

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({}, "tiers"),
            ({"tiers": []}, "tiers"),
            ({**PARAMS, "mode": "volume"}, "mode"),
            (bounded("10"), "tiers.0.up_to"),
            (bounded("10", "20"), "tiers.1.up_to"),
            (bounded(None, None), "tiers.0.up_to"),
            (bounded("10", None, "20", None), "tiers.1.up_to"),
            (bounded("0", None), "tiers.0.up_to"),
            (bounded("10", "10", None), "tiers.1.up_to"),
            (bounded("20", "10", None), "tiers.1.up_to"),
            (bounded("10", "10.0", None), "tiers.1.up_to"),
            (bounded("-1", None), "tiers.0.up_to"),
            (bounded(0.5, None), "tiers.0.up_to"),
            ({"tiers": [{"up_to": None, "unit_amount_nanos": 0.5}]}, "tiers.0.unit_amount_nanos"),
            ({"tiers": [{"up_to": None}]}, "tiers.0.unit_amount_nanos"),
            (
                {"tiers": [{"unit_amount_nanos": "1", "flat_amount_nanos": True}]},
                "tiers.0.flat_amount_nanos",
            ),
            ({"tiers": [{"unit_amount_nanos": "1", "upto": None}]}, "tiers.0.upto"),
        ],
    )
    def test_names_what_is_wrong(self, params: dict[str, object], field: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            Graduated.from_params(params)

        assert [error.field for error in caught.value.errors] == [field]


class TestInit:
    @pytest.mark.parametrize(
        "tiers",
        [(), (Tier(Decimal(1), 1),), (Tier(None, 1), Tier(None, 1)), (Tier(None, 1), Tier(Decimal(1), 1))],
    )
    def test_refuses_tiers_that_leave_a_quantity_without_a_price(self, tiers: tuple[Tier, ...]) -> None:
        with pytest.raises(AssertionError, match="is open"):
            Graduated(tiers)


class TestCharge:
    @pytest.mark.parametrize(
        ("quantity", "amount_nanos"),
        [
            ("0", 0),
            ("1", 2 * 10**9),
            ("9999", 19_998 * 10**9),
            ("10000", 20 * 10**12),
            ("10000.5", 25 * 10**12 + 5 * 10**8),
            ("10001", 25 * 10**12 + 10**9),
            ("50000", 65 * 10**12),
            ("50002", 65 * 10**12 + 10**9),
            ("150000", 115 * 10**12),
        ],
    )
    @pytest.mark.parametrize("stage", Stage)
    def test_adds_up_the_tiers(self, quantity: str, amount_nanos: int, stage: Stage) -> None:
        assert TIERS.charge(Usage.of(Decimal(quantity)), stage).amount_nanos == amount_nanos

    def test_explains_each_tier(self) -> None:
        assert TIERS.charge(Usage.of(Decimal("60000.5")), Stage.FINAL) == Charge(
            (
                ChargeStep("tier-1", "Up to 10,000", Decimal(10_000), 2 * 10**9, 20 * 10**12),
                ChargeStep("tier-2", "10,000 to 50,000", Decimal(40_000), 10**9, 40 * 10**12),
                ChargeStep("tier-2-flat", "10,000 to 50,000, fixed", Decimal(1), 5 * 10**12, 5 * 10**12),
                ChargeStep("tier-3", "Above 50,000", Decimal("10000.5"), 5 * 10**8, 5_000_250_000_000),
            )
        )

    def test_has_no_step_where_nothing_was_used(self) -> None:
        assert TIERS.charge(Usage.of(0), Stage.FINAL) == Charge(())

    def test_speaks_plainly_of_a_single_tier(self) -> None:
        (step,) = Graduated((Tier(None, 1),)).charge(Usage.of(5), Stage.FINAL).steps

        assert step.description == "Any quantity"

    def test_keeps_digits_that_the_default_context_would_drop(self) -> None:
        model = Graduated((Tier(Decimal(1), 0), Tier(None, 10**12)))

        charge = model.charge(Usage.of(Decimal("12345678901234567890.123456789012")), Stage.FINAL)

        assert charge.amount_nanos == 12345678901234567889123456789012


class TestScale:
    def test_narrows_the_tiers_and_prorates_what_entering_costs(self) -> None:
        assert TIERS.scale(Fraction(1, 4)) == Graduated(
            (
                Tier(Decimal(2_500), 2 * 10**9),
                Tier(Decimal(12_500), 10**9, 125 * 10**10),
                Tier(None, 5 * 10**8),
            )
        )

    def test_changes_nothing_for_the_whole(self) -> None:
        assert TIERS.scale(Fraction(1)) == TIERS

    def test_leaves_only_the_open_tier_where_the_share_is_nothing(self) -> None:
        charge = TIERS.scale(Fraction(0)).charge(Usage.of(100), Stage.FINAL)

        assert charge == Charge((ChargeStep("tier-3", "Any quantity", Decimal(100), 5 * 10**8, 5 * 10**10),))

    def test_gives_the_first_tier_once_to_two_segments_of_a_period(self) -> None:
        # 10,000 units in all, spread as the days are: none of them may leave the first tier.
        first = TIERS.scale(Fraction(17, 31)).charge(Usage.of(Decimal("5483.870967741935")), Stage.FINAL)
        second = TIERS.scale(Fraction(14, 31)).charge(Usage.of(Decimal("4516.129032258065")), Stage.FINAL)

        assert [step.key for step in (*first.steps, *second.steps)] == ["tier-1", "tier-1"]
        assert first.amount_nanos + second.amount_nanos == 20 * 10**12


class TestToParams:
    def test_writes_numbers_as_strings(self) -> None:
        assert TIERS.to_params() == PARAMS
