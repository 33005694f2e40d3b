from decimal import Decimal

import pytest

from catalog.pricing.adjusted import Adjusted
from catalog.pricing.committed import Committed
from catalog.pricing.flat import Flat
from catalog.pricing.graduated import Graduated
from catalog.pricing.matrix import Cell, Matrix
from catalog.pricing.package import Package
from catalog.pricing.params import BasisPoints
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.registry import PRICING_MODELS, build_model
from catalog.pricing.tiers import Tier
from catalog.pricing.types import InvalidPricingParams
from catalog.pricing.volume import Volume


class TestPricingModels:
    def test_go_by_the_names_of_the_api(self) -> None:
        assert [*PRICING_MODELS.items()] == [
            ("Flat", Flat),
            ("PerUnit", PerUnit),
            ("Graduated", Graduated),
            ("Volume", Volume),
            ("Package", Package),
            ("Committed", Committed),
            ("Percentage", Percentage),
            ("Matrix", Matrix),
        ]


class TestBuildModel:
    @pytest.mark.parametrize(
        ("pricing_model", "params", "model"),
        [
            ("Flat", {"unit_amount_nanos": "5"}, Flat(5)),
            ("PerUnit", {"unit_amount_nanos": 5}, PerUnit(5)),
            ("PerUnit", {"unit_amount_nanos": "5", "free_units": "0"}, PerUnit(5)),
            ("PerUnit", {"unit_amount_nanos": "5", "free_units": "7"}, Adjusted(PerUnit(5), Decimal(7))),
            ("Graduated", {"tiers": [{"unit_amount_nanos": "5"}]}, Graduated((Tier(None, 5),))),
            ("Volume", {"tiers": [{"unit_amount_nanos": "5"}]}, Volume((Tier(None, 5),))),
            ("Package", {"package_size": "10", "package_amount_nanos": "5"}, Package(Decimal(10), 5)),
            (
                "Committed",
                {"commit_amount_nanos": "9", "unit_amount_nanos": "5", "overage_unit_amount_nanos": "4"},
                Committed(9, 5, 4),
            ),
            (
                "Percentage",
                {"rate_bps": "250", "discount_bps": 100},
                Adjusted(Percentage(BasisPoints(250)), discount_bps=BasisPoints(100)),
            ),
            (
                "Matrix",
                {
                    "dimensions": ["model"],
                    "cells": [{"values": ["a"], "unit_amount_nanos": "5"}],
                    "default_unit_amount_nanos": "6",
                },
                Matrix(("model",), (Cell(("a",), 5),), 6),
            ),
            (
                "Graduated",
                {"tiers": [{"unit_amount_nanos": "5"}], "maximum_nanos": "9"},
                Adjusted(Graduated((Tier(None, 5),)), maximum_nanos=9),
            ),
        ],
    )
    def test_builds(self, pricing_model: str, params: dict[str, object], model: object) -> None:
        assert build_model(pricing_model, params) == model

    @pytest.mark.parametrize("pricing_model", ["", "flat", "Tiered", "per_unit"])
    def test_refuses_an_unknown_model(self, pricing_model: str) -> None:
        with pytest.raises(InvalidPricingParams, match="Flat, PerUnit, Graduated") as caught:
            build_model(pricing_model, {})

        assert [error.field for error in caught.value.errors] == ["pricing_model"]

    @pytest.mark.parametrize("key", ["unit_amount", "maximum", "free_unit", "tiers"])
    def test_refuses_an_unknown_parameter_by_name(self, key: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            build_model("PerUnit", {"unit_amount_nanos": "5", key: "1"})

        assert [error.field for error in caught.value.errors] == [key]
