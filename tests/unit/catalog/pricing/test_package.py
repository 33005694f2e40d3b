from decimal import Decimal
from fractions import Fraction

import pytest

from catalog.pricing.package import Package, PartialPackages
from catalog.pricing.types import Charge, ChargeStep, InvalidPricingParams, Stage, Usage

DOLLAR = 10**12
# A thousand messages for $7.
PARAMS: dict[str, object] = {"package_size": "1000", "package_amount_nanos": "7000000000000"}


def make(partial_packages: PartialPackages) -> Package:
    """Make a price of packages."""
    return Package(Decimal(1_000), 7 * DOLLAR, partial_packages)


class TestFromParams:
    @pytest.mark.parametrize("partial_packages", PartialPackages)
    def test_takes_the_package(self, partial_packages: PartialPackages) -> None:
        params = {**PARAMS, "partial_packages": partial_packages.value}

        assert Package.from_params(params) == make(partial_packages)

    def test_rounds_up_unless_told_otherwise(self) -> None:
        assert Package.from_params(PARAMS) == make(PartialPackages.ROUND_UP)

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({"package_amount_nanos": "1"}, "package_size"),
            ({**PARAMS, "package_size": "0"}, "package_size"),
            ({**PARAMS, "package_size": 0.5}, "package_size"),
            ({"package_size": "1"}, "package_amount_nanos"),
            ({**PARAMS, "partial_packages": "roundup"}, "partial_packages"),
            ({**PARAMS, "size": "1"}, "size"),
        ],
    )
    def test_names_what_is_wrong(self, params: dict[str, object], field: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            Package.from_params(params)

        assert [error.field for error in caught.value.errors] == [field]


class TestCharge:
    @pytest.mark.parametrize(
        ("quantity", "round_up", "prorate", "free"),
        [
            ("0", "0", "0", "0"),
            ("1", "7", "0.007", "0"),
            ("999.9", "7", "6.9993", "0"),
            ("1000", "7", "7", "7"),
            ("1000.5", "14", "7.0035", "7"),
            ("2500", "21", "17.5", "14"),
        ],
    )
    @pytest.mark.parametrize("stage", Stage)
    def test_prices_full_packages_and_the_rest_as_it_is_set(
        self, quantity: str, round_up: str, prorate: str, free: str, stage: Stage
    ) -> None:
        amounts = {
            PartialPackages.ROUND_UP: round_up,
            PartialPackages.PRORATE: prorate,
            PartialPackages.FREE: free,
        }
        for partial_packages, amount in amounts.items():
            charge = make(partial_packages).charge(Usage.of(Decimal(quantity)), stage)
            assert charge.amount_nanos == Decimal(amount) * DOLLAR

    def test_explains_packages_and_a_part(self) -> None:
        assert make(PartialPackages.PRORATE).charge(Usage.of(2_500), Stage.FINAL) == Charge(
            (
                ChargeStep("packages", "Packages of 1,000", Decimal(2), 7 * DOLLAR, 14 * DOLLAR),
                ChargeStep(
                    "part",
                    "Part of a package, 500 of 1,000",
                    Decimal(1),
                    3_500_000_000_000,
                    3_500_000_000_000,
                ),
            )
        )

    def test_rounds_a_part_once_half_to_even(self) -> None:
        model = Package(Decimal(2), 5, PartialPackages.PRORATE)

        assert model.charge(Usage.of(1), Stage.FINAL).amount_nanos == 2  # 2.5.
        assert model.charge(Usage.of(3), Stage.FINAL).amount_nanos == 7
        assert (
            Package(Decimal(2), 7, PartialPackages.PRORATE).charge(Usage.of(1), Stage.FINAL).amount_nanos == 4
        )

    def test_counts_packages_of_a_part_of_a_unit(self) -> None:
        # 0.75 in packages of 0.1 are seven, and a half of one.
        model = Package(Decimal("0.1"), DOLLAR, PartialPackages.ROUND_UP)

        assert model.charge(Usage.of(Decimal("0.75")), Stage.FINAL).amount_nanos == 8 * DOLLAR
        assert model.charge(Usage.of(Decimal("0.7")), Stage.FINAL).amount_nanos == 7 * DOLLAR


class TestScale:
    def test_changes_no_package(self) -> None:
        model = make(PartialPackages.ROUND_UP)

        assert model.scale(Fraction(17, 31)) == model


class TestToParams:
    def test_writes_numbers_as_strings(self) -> None:
        assert make(PartialPackages.FREE).to_params() == {**PARAMS, "partial_packages": "Free"}
