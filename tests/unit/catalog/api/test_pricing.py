"""The parameters of pricing models as fields of a SKU."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Self

import pytest

from catalog.api.pricing import make_input_fields, make_output_fields, split_params
from catalog.pricing import registry
from catalog.pricing.types import Charge, Dimension, Stage, Usage

AMOUNT = {"type": "string", "pattern": r"^[0-9]{1,38}$", "example": "2000000"}
QUANTITY = {"type": "string", "pattern": r"^[0-9]{1,30}(\.[0-9]{1,30})?$", "example": "1000"}
BPS = {"type": "string", "pattern": r"^[0-9]{1,5}$", "example": "250"}
INTEGER = {"type": "integer"}
NULL = {"type": "null"}

# A set of parameters for each model, adjusted in every way, such that all of its parameters are in the stored form.
ADJUSTED = {"free_units": "1", "discount_bps": "1", "minimum_nanos": "1", "maximum_nanos": "2"}
TIERS = [
    {"up_to": "1", "unit_amount_nanos": "2", "flat_amount_nanos": "3"},
    {"unit_amount_nanos": "1"},
]
COMPLETE: dict[str, dict[str, Any]] = {
    "Flat": {"unit_amount_nanos": "1", "discount_bps": "1", "minimum_nanos": "1", "maximum_nanos": "2"},
    "PerUnit": {"unit_amount_nanos": "1", **ADJUSTED},
    "Graduated": {"tiers": TIERS, **ADJUSTED},
    "Volume": {"tiers": TIERS, **ADJUSTED},
    "Package": {
        "package_size": "1",
        "package_amount_nanos": "1",
        "partial_packages": "Prorate",
        **ADJUSTED,
    },
    "Committed": {
        "commit_amount_nanos": "1",
        "unit_amount_nanos": "1",
        "overage_unit_amount_nanos": "1",
        **ADJUSTED,
    },
    "Percentage": {"rate_bps": "1", "fixed_nanos": "1", **ADJUSTED},
    "Matrix": {
        "dimensions": ["model"],
        "cells": [{"values": ["gpt-4"], "unit_amount_nanos": "1"}],
        "default_unit_amount_nanos": "1",
        **ADJUSTED,
    },
}


class TestFields:
    @pytest.mark.parametrize("pricing_model", registry.PRICING_MODELS)
    def test_are_there_for_every_parameter(self, pricing_model: str) -> None:
        stored = registry.build_model(pricing_model, COMPLETE[pricing_model]).to_params()

        assert stored.keys() == COMPLETE[pricing_model].keys()
        assert stored.keys() <= make_input_fields().keys()
        assert stored.keys() <= make_output_fields().keys()

    def test_describe_what_goes_in(self) -> None:
        schemas = {name: field.schema for name, field in make_input_fields().items()}

        assert schemas == {
            "unit_amount_nanos": {"oneOf": [AMOUNT, INTEGER]},
            "tiers": {
                "type": "array",
                "minItems": 1,
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "properties": {
                        "up_to": {"oneOf": [{"oneOf": [QUANTITY, INTEGER]}, NULL]},
                        "unit_amount_nanos": {"oneOf": [AMOUNT, INTEGER]},
                        "flat_amount_nanos": {"oneOf": [AMOUNT, INTEGER]},
                    },
                    "required": ["unit_amount_nanos"],
                    "additionalProperties": False,
                },
            },
            "package_size": {"oneOf": [QUANTITY, INTEGER]},
            "package_amount_nanos": {"oneOf": [AMOUNT, INTEGER]},
            "partial_packages": {"type": "string", "enum": ["RoundUp", "Prorate", "Free"]},
            "commit_amount_nanos": {"oneOf": [AMOUNT, INTEGER]},
            "overage_unit_amount_nanos": {"oneOf": [AMOUNT, INTEGER]},
            "rate_bps": {"oneOf": [BPS, INTEGER]},
            "fixed_nanos": {"oneOf": [AMOUNT, INTEGER]},
            "dimensions": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
            "cells": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": {
                    "type": "object",
                    "properties": {
                        "values": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 2,
                            "items": {"oneOf": [{"type": "string"}, NULL]},
                        },
                        "unit_amount_nanos": {"oneOf": [AMOUNT, INTEGER]},
                    },
                    "required": ["values", "unit_amount_nanos"],
                    "additionalProperties": False,
                },
            },
            "default_unit_amount_nanos": {"oneOf": [AMOUNT, INTEGER]},
            "free_units": {"oneOf": [QUANTITY, INTEGER]},
            "discount_bps": {"oneOf": [BPS, INTEGER]},
            "minimum_nanos": {"oneOf": [AMOUNT, INTEGER]},
            "maximum_nanos": {"oneOf": [{"oneOf": [AMOUNT, INTEGER]}, NULL]},
        }

    def test_describe_what_comes_out_as_strings(self) -> None:
        schemas = {name: field.schema for name, field in make_output_fields().items()}

        assert schemas["unit_amount_nanos"] == AMOUNT
        assert schemas["tiers"]["items"]["properties"] == {
            "up_to": {"oneOf": [QUANTITY, NULL]},
            "unit_amount_nanos": AMOUNT,
            "flat_amount_nanos": AMOUNT,
        }

    def test_follow_a_model_that_is_added(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(registry.PRICING_MODELS, "Dozen", Dozen)

        assert make_input_fields()["eggs"].schema == {"oneOf": [QUANTITY, INTEGER]}
        assert split_params({"eggs": "1", "name": "x"}) == ({"eggs": "1"}, {"name": "x"})


class TestSplitParams:
    def test_parts_parameters_from_the_rest(self) -> None:
        given = {"name": "Tokens", "unit_amount_nanos": "1", "free_units": None, "currency": "USD"}

        assert split_params(given) == (
            {"unit_amount_nanos": "1", "free_units": None},
            {"name": "Tokens", "currency": "USD"},
        )


@dataclass(frozen=True, slots=True)
class Dozen:
    """A pricing model of the test's own."""

    charges_units: ClassVar[bool] = True
    grouping: ClassVar[tuple[Dimension, ...]] = ()

    eggs: Decimal

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        return cls(Decimal(str(params["eggs"])))

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        return Charge(())

    def scale(self, share: Fraction) -> Self:
        return self

    def to_params(self) -> dict[str, object]:
        return {"eggs": str(self.eggs)}
