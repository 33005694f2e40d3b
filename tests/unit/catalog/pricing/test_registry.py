from decimal import Decimal

import pytest

from catalog.pricing.adjusted import Adjusted
from catalog.pricing.flat import Flat
from catalog.pricing.graduated import Graduated, Tier
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.registry import PRICING_MODELS, build_model
from catalog.pricing.types import InvalidPricingParams


class TestPricingModels:
    def test_go_by_the_names_of_the_api(self) -> None:
        assert [*PRICING_MODELS.items()] == [("Flat", Flat), ("PerUnit", PerUnit), ("Graduated", Graduated)]


class TestBuildModel:
    @pytest.mark.parametrize(
        ("pricing_model", "params", "model"),
        [
            ("Flat", {"unit_amount_nanos": "5"}, Flat(5)),
            ("PerUnit", {"unit_amount_nanos": 5}, PerUnit(5)),
            ("PerUnit", {"unit_amount_nanos": "5", "free_units": "0"}, PerUnit(5)),
            ("PerUnit", {"unit_amount_nanos": "5", "free_units": "7"}, Adjusted(PerUnit(5), Decimal(7))),
            ("Graduated", {"tiers": [{"unit_amount_nanos": "5"}]}, Graduated((Tier(None, 5),))),
            (
                "Graduated",
                {"tiers": [{"unit_amount_nanos": "5"}], "maximum_nanos": "9"},
                Adjusted(Graduated((Tier(None, 5),)), maximum_nanos=9),
            ),
        ],
    )
    def test_builds(self, pricing_model: str, params: dict[str, object], model: object) -> None:
        assert build_model(pricing_model, params) == model

    @pytest.mark.parametrize("pricing_model", ["", "flat", "Volume", "per_unit"])
    def test_refuses_an_unknown_model(self, pricing_model: str) -> None:
        with pytest.raises(InvalidPricingParams, match="Flat, PerUnit, Graduated") as caught:
            build_model(pricing_model, {})

        assert [error.field for error in caught.value.errors] == ["pricing_model"]

    @pytest.mark.parametrize("key", ["unit_amount", "maximum", "free_unit", "tiers"])
    def test_refuses_an_unknown_parameter_by_name(self, key: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            build_model("PerUnit", {"unit_amount_nanos": "5", key: "1"})

        assert [error.field for error in caught.value.errors] == [key]
