"""The parameters of pricing models, as fields of a SKU.

Which there are is read off the models in the registry, so that a new model needs nothing here. A parameter is
handed to its model as it came in: the model alone reads it, and says what is wrong with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers

from catalog.pricing.adjusted import ADJUSTMENT_PARAMS, Adjusted
from catalog.pricing.params import AtMost, BasisPoints
from catalog.pricing.registry import PRICING_MODELS

Schema = dict[str, Any]

_AMOUNT: Schema = {"type": "string", "pattern": r"^[0-9]{1,38}$", "example": "2000000"}
_QUANTITY: Schema = {"type": "string", "pattern": r"^[0-9]{1,30}(\.[0-9]{1,30})?$", "example": "1000"}
_BPS: Schema = {"type": "string", "pattern": r"^[0-9]{1,5}$", "example": "250"}
_TEXT: Schema = {"type": "string"}
_NULL: Schema = {"type": "null"}
_NUMBERS: Mapping[Any, Schema] = {int: _AMOUNT, Decimal: _QUANTITY, BasisPoints: _BPS}


class PricingParam(serializers.Field[Any, Any, Any, Any]):
    """A parameter of a pricing model. It is shown where the price has it."""

    def __init__(self, *, schema: Schema, allow_null: bool) -> None:
        super().__init__(required=False, allow_null=allow_null)
        self.schema = schema

    def get_attribute(self, instance: Any) -> Any:
        """Look the parameter up on the price of what is shown."""
        if instance.price is None or self.field_name not in instance.price.params:
            raise serializers.SkipField
        return instance.price.params[self.field_name]

    def to_internal_value(self, data: Any) -> Any:
        """Take the parameter as it is."""
        return data

    def to_representation(self, value: Any) -> Any:
        """Show the parameter as it is stored, every number a string."""
        return value


class PricingParamExtension(OpenApiSerializerFieldExtension):
    """Describes a parameter by its type in the model."""

    target_class = "catalog.api.pricing.PricingParam"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> Schema:
        """Return the description."""
        assert isinstance(self.target, PricingParam)
        return self.target.schema


def make_input_fields() -> dict[str, PricingParam]:
    """Make a field for every parameter: a number may be a string or an integer, and null says nothing."""
    schemas = _describe_params(lambda number: {"oneOf": [number, {"type": "integer"}]})
    return {name: PricingParam(schema=schema, allow_null=True) for name, schema in schemas.items()}


def make_output_fields() -> dict[str, PricingParam]:
    """Make a field for every parameter, in which each number is a string."""
    schemas = _describe_params(dict)
    return {name: PricingParam(schema=schema, allow_null=False) for name, schema in schemas.items()}


def split_params(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part what was given into the pricing parameters and the rest."""
    names = make_input_fields().keys()
    params = {name: value for name, value in given.items() if name in names}
    return params, {name: value for name, value in given.items() if name not in names}


def _describe_params(describe_number: Callable[[Schema], Schema]) -> dict[str, Schema]:
    """Describe every parameter that some pricing model, or an adjustment, has."""
    types = {name: hint for model in PRICING_MODELS.values() for name, hint in _read_types(model).items()}
    adjustments = _read_types(Adjusted)
    types |= {name: adjustments[name] for name in ADJUSTMENT_PARAMS}
    return {name: _describe(hint, describe_number) for name, hint in types.items()}


def _read_types(model: type) -> dict[str, Any]:
    """Read the types of a dataclass's fields."""
    hints = get_type_hints(model, include_extras=True)
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}


def _describe(hint: Any, describe_number: Callable[[Schema], Schema]) -> Schema:
    """Describe a type in the words of JSON Schema."""
    arguments = get_args(hint)
    if hint in _NUMBERS:
        return describe_number(_NUMBERS[hint])
    if hint is str:
        return _TEXT
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"type": "string", "enum": [choice.value for choice in hint]}
    if isinstance(hint, UnionType) and NoneType in arguments:
        (given,) = set(arguments) - {NoneType}
        return {"oneOf": [_describe(given, describe_number), _NULL]}
    if get_origin(hint) is Annotated:
        listed, at_most = arguments
        assert get_origin(listed) is tuple and isinstance(at_most, AtMost), f"not a list: {hint}"
        items = _describe(get_args(listed)[0], describe_number)
        return {"type": "array", "items": items, "minItems": 1, "maxItems": at_most.count}
    assert isinstance(hint, type) and is_dataclass(hint), f"a parameter cannot be described: {hint}"
    types = _read_types(hint)
    return {
        "type": "object",
        "properties": {name: _describe(part, describe_number) for name, part in types.items()},
        "required": [
            field.name
            for field in fields(hint)
            if field.default is MISSING and NoneType not in get_args(types[field.name])
        ],
        "additionalProperties": False,
    }
