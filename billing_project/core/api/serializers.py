"""Bases of the API's inputs and outputs. Neither writes: a view hands an input's values to an operation."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db import models
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from billing_project.core import fields as model_fields
from billing_project.core.api.fields import NanosField, QuantityField, UtcDateTimeField

RowT = TypeVar("RowT", bound=models.Model)

_STRING = (serializers.CharField, serializers.ChoiceField, serializers.UUIDField, serializers.DateField)
_TYPES: tuple[tuple[Any, Any, str], ...] = (
    (serializers.BooleanField, bool, "true or false"),
    (serializers.IntegerField, int, "an integer"),
    ((*_STRING, serializers.DateTimeField), str, "a string"),
    ((serializers.ListField, serializers.ListSerializer), list, "an array"),
    ((serializers.DictField, serializers.Serializer), Mapping, "an object"),
)


class InputSerializer(serializers.Serializer[Any]):
    """The body of a request. Fields that it does not declare are refused; JSON types are not converted."""

    def to_internal_value(self, data: Any) -> Any:
        """Read a body.

        Raises: ValidationError.
        """
        if isinstance(data, Mapping):
            errors: dict[str, Any] = {
                str(name): [ErrorDetail("There is no such field.", code="unknown_field")]
                for name in data
                if name not in self.fields
            }
            for name, field in self.fields.items():
                problem = find_type_problem(field, data[name]) if name in data else None
                if problem:
                    errors[name] = problem
            if errors:
                raise ValidationError(errors)
        return super().to_internal_value(data)

    def create(self, validated_data: Any) -> Any:
        """Refuse: operations write, serializers do not."""
        raise AssertionError("An input is read; an operation writes.")

    def update(self, instance: Any, validated_data: Any) -> Any:
        """Refuse: operations write, serializers do not."""
        raise AssertionError("An input is read; an operation writes.")


class OutputSerializer(serializers.ModelSerializer[RowT]):
    """What the API shows of a row: amounts and quantities as strings, instants in UTC."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        model_fields.NanosField: NanosField,
        model_fields.QuantityField: QuantityField,
        models.DateTimeField: UtcDateTimeField,
    }

    def get_fields(self) -> dict[str, Any]:
        """Return the declared fields, all of them for reading only."""
        shown = super().get_fields()
        for field in shown.values():
            field.read_only = True
            field.required = False
        return shown

    def create(self, validated_data: Any) -> Any:
        """Refuse: operations write, serializers do not."""
        raise AssertionError("An output is shown; an operation writes.")

    def update(self, instance: Any, validated_data: Any) -> Any:
        """Refuse: operations write, serializers do not."""
        raise AssertionError("An output is shown; an operation writes.")


def find_type_problem(field: Any, value: object) -> Any:
    """Find out whether a value has another JSON type than the field's; None if it has the right one.

    DRF would convert: 1 to "1", "yes" to true. A client that sends these should hear of its mistake.
    """
    if value is None or isinstance(field, NanosField | QuantityField):
        return None  # `allow_null`, and the field's own reading, decide.
    for field_types, json_type, name in _TYPES:
        if isinstance(field, field_types):
            is_right = isinstance(value, json_type) and (json_type is not int or not isinstance(value, bool))
            if not is_right:
                return [ErrorDetail(f"This must be {name}.", code="wrong_type")]
            break
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        problems = ((number, find_type_problem(field.child, item)) for number, item in enumerate(value))
        return {number: problem for number, problem in problems if problem} or None
    return None
