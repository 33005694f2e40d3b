"""The parameters of pricing models as fields of a SKU."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Self

import pytest

from catalog.api.pricing import make_input_fields, make_output_fields, split_params
from catalog.pricing import registry
from catalog.pricing.types import Charge, Stage

AMOUNT = {"type": "string", "pattern": r"^[0-9]{1,38}$", "example": "2000000"}
QUANTITY = {"type": "string", "pattern": r"^[0-9]{1,30}(\.[0-9]{1,30})?$", "example": "1000"}
INTEGER = {"type": "integer"}
NULL = {"type": "null"}

# A set of parameters for each model, adjusted in every way, such that all of its parameters are in the stored form.
COMPLETE: dict[str, dict[str, Any]] = {
    "Flat": {"unit_amount_nanos": "1", "minimum_nanos": "1", "maximum_nanos": "2"},
    "PerUnit": {"unit_amount_nanos": "1", "free_units": "1", "minimum_nanos": "1", "maximum_nanos": "2"},
    "Graduated": {
        "tiers": [
            {"up_to": "1", "unit_amount_nanos": "2", "flat_amount_nanos": "3"},
            {"unit_amount_nanos": "1"},
        ],
        "free_units": "1",
        "minimum_nanos": "1",
        "maximum_nanos": "2",
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
            "free_units": {"oneOf": [QUANTITY, INTEGER]},
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
        monkeypatch.setitem(registry.PRICING_MODELS, "Package", Package)

        assert make_input_fields()["package_size"].schema == {"oneOf": [QUANTITY, INTEGER]}
        assert split_params({"package_size": "1", "name": "x"}) == ({"package_size": "1"}, {"name": "x"})


class TestSplitParams:
    def test_parts_parameters_from_the_rest(self) -> None:
        given = {"name": "Tokens", "unit_amount_nanos": "1", "free_units": None, "currency": "USD"}

        assert split_params(given) == (
            {"unit_amount_nanos": "1", "free_units": None},
            {"name": "Tokens", "currency": "USD"},
        )


@dataclass(frozen=True, slots=True)
class Package:
    """A pricing model of the test's own."""

    charges_units: ClassVar[bool] = True

    package_size: Decimal

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        return cls(Decimal(str(params["package_size"])))

    def charge(self, quantity: Decimal, stage: Stage) -> Charge:
        return Charge(())

    def scale(self, share: Fraction) -> Self:
        return self

    def to_params(self) -> dict[str, object]:
        return {"package_size": str(self.package_size)}
