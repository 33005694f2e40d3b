"""Bases of the API's inputs and outputs."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from billing_project.core.api.fields import NanosField, UtcDateTimeField
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from billing_project.core.models import ApiKey


class TierInput(InputSerializer):
    up_to = serializers.IntegerField(allow_null=True)
    rate_nanos = NanosField()


class PriceInput(InputSerializer):
    name = serializers.CharField(max_length=10)
    count = serializers.IntegerField(required=False)
    is_active = serializers.BooleanField(required=False)
    plan_id = serializers.UUIDField(required=False)
    starts_at = UtcDateTimeField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    options = serializers.DictField(child=serializers.CharField(), required=False)
    tiers = TierInput(many=True, required=False)


class KeyOutput(OutputSerializer[ApiKey]):
    class Meta:
        model = ApiKey
        fields = ["id", "name", "created_at", "test_clock_id"]


def codes_of(document: Any) -> Any:
    with pytest.raises(ValidationError) as caught:
        PriceInput(data=document).is_valid(raise_exception=True)
    return caught.value.get_codes()


class TestInputSerializer:
    def test_reads_a_whole_document(self) -> None:
        document = {
            "name": "Tokens",
            "count": 3,
            "is_active": False,
            "tags": ["a"],
            "options": {"a": "b"},
            "tiers": [{"up_to": None, "rate_nanos": "5"}],
        }
        serializer = PriceInput(data=document)

        assert serializer.is_valid()
        assert serializer.validated_data == {**document, "tiers": [{"up_to": None, "rate_nanos": 5}]}

    def test_refuses_unknown_fields_by_name(self) -> None:
        assert codes_of({"name": "x", "nmae": "y", "id": 1}) == {
            "nmae": ["unknown_field"],
            "id": ["unknown_field"],
        }

    def test_refuses_unknown_fields_inside(self) -> None:
        document = {"name": "x", "tiers": [{"up_to": 1, "rate_nanos": 1}, {"up_to": 1, "rate": 1}]}

        assert codes_of(document) == {"tiers": {1: {"rate": ["unknown_field"]}}}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", 1),
            ("name", True),
            ("name", ["x"]),
            ("count", "1"),
            ("count", True),
            ("is_active", "yes"),
            ("is_active", 1),
            ("plan_id", 5),
            ("tags", "a"),
            ("tags", {"0": "a"}),
            ("options", ["a"]),
            ("tiers", {"up_to": 1}),
        ],
    )
    def test_converts_no_type(self, field: str, value: object) -> None:
        assert codes_of({"name": "x", field: value}) == {field: ["wrong_type"]}

    def test_converts_no_type_inside_a_list(self) -> None:
        assert codes_of({"name": "x", "tags": ["a", 1]}) == {"tags": {1: ["wrong_type"]}}

    def test_refuses_null_where_it_is_not_allowed(self) -> None:
        assert codes_of({"name": None}) == {"name": ["null"]}

    @pytest.mark.parametrize("document", [[], "x", 1, None])
    def test_refuses_what_is_no_object(self, document: object) -> None:
        assert PriceInput(data=document).is_valid() is False

    def test_writes_nothing(self) -> None:
        serializer = PriceInput(data={"name": "x"})
        serializer.is_valid()

        with pytest.raises(AssertionError, match="an operation writes"):
            serializer.save()


class TestOutputSerializer:
    def test_shows_instants_in_utc(self) -> None:
        row = ApiKey(name="CI", created_at=datetime(2026, 2, 28, 12, tzinfo=UTC))

        assert KeyOutput(row).data == {
            "id": str(row.id),
            "name": "CI",
            "created_at": "2026-02-28T12:00:00Z",
            "test_clock_id": None,
        }

    def test_reads_nothing(self) -> None:
        serializer = KeyOutput(data={"name": "x"})

        assert serializer.is_valid()
        assert serializer.validated_data == {}
