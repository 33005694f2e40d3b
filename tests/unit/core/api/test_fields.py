"""Serializer fields for amounts, quantities, instants and enumerations."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.db import models
from rest_framework.exceptions import ValidationError

from billing_project.core.api.fields import (
    EnumField,
    NanosField,
    QuantityField,
    UtcDateTimeField,
    format_quantity,
)


class Colour(models.TextChoices):
    DARK_RED = "DarkRed", "Dark red"
    BLUE = "Blue", "Blue"


def refusal(field: Any, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        field.run_validation(value)
    codes = caught.value.get_codes()
    assert isinstance(codes, list)
    return str(codes[0])


class TestNanosField:
    @pytest.mark.parametrize(
        ("given", "amount"),
        [
            ("2000000", 2_000_000),
            (3_000_000, 3_000_000),
            ("-1", -1),
            ("0", 0),
            ("007", 7),
            ("9" * 38, 10**38 - 1),
            (-(10**38) + 1, -(10**38) + 1),
        ],
    )
    def test_reads(self, given: object, amount: int) -> None:
        read = NanosField().run_validation(given)

        assert type(read) is int
        assert read == amount

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            (Decimal("1.5"), "invalid"),
            (Decimal("1.0"), "invalid"),
            (Decimal("1E+2"), "invalid"),
            (2.0, "invalid"),
            (True, "invalid"),
            ("1.0", "invalid"),
            ("1e3", "invalid"),
            ("", "invalid"),
            (" 1", "invalid"),
            ("1\n", "invalid"),
            ("+1", "invalid"),
            ("1_000", "invalid"),
            ("\u0661", "invalid"),
            ("9" * 39, "invalid"),
            ([], "invalid"),
            (10**38, "too_large"),
            (-(10**38), "too_large"),
            (None, "null"),
        ],
    )
    def test_refuses(self, given: object, code: str) -> None:
        assert refusal(NanosField(), given) == code

    def test_refuses_less_than_its_least(self) -> None:
        assert NanosField(min_value=0).run_validation("0") == 0
        assert refusal(NanosField(min_value=0), "-1") == "min_value"

    def test_writes_a_string(self) -> None:
        assert NanosField().to_representation(17_440_000_000_000) == "17440000000000"


class TestQuantityField:
    @pytest.mark.parametrize(
        ("given", "quantity"),
        [
            ("1.50", "1.50"),
            (3, "3"),
            (Decimal("0.000000000000000000000000000001"), "1E-30"),
            (Decimal("1E+3"), "1000"),
            ("-2", "-2"),
            ("9" * 30 + "." + "9" * 30, "9" * 30 + "." + "9" * 30),
        ],
    )
    def test_reads_exactly(self, given: object, quantity: str) -> None:
        read = QuantityField().run_validation(given)

        assert type(read) is Decimal
        assert read == Decimal(quantity)

    @pytest.mark.parametrize(
        "given",
        [
            1.5,
            True,
            "1e3",
            "",
            ".5",
            "5.",
            "1" * 31,
            10**30,
            Decimal("1E+999999"),
            Decimal("1E-999999"),
            Decimal("1E-31"),
            "NaN",
            [],
            {},
        ],
    )
    def test_refuses(self, given: object) -> None:
        assert refusal(QuantityField(), given) == "invalid"

    def test_refuses_less_than_its_least(self) -> None:
        assert refusal(QuantityField(min_value=Decimal(0)), "-0.1") == "min_value"


class TestFormatQuantity:
    @pytest.mark.parametrize(
        ("quantity", "text"),
        [
            ("4977500", "4977500"),
            ("4977500.000", "4977500"),
            ("0.50", "0.5"),
            ("1E+3", "1000"),
            ("100", "100"),
            ("0", "0"),
            ("0.0", "0"),
            ("-1.20", "-1.2"),
        ],
    )
    def test_writes_whole_numbers_as_digits(self, quantity: str, text: str) -> None:
        assert format_quantity(Decimal(quantity)) == text
        assert QuantityField().to_representation(Decimal(quantity)) == text


class TestUtcDateTimeField:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("2026-02-28T14:30:00Z", datetime(2026, 2, 28, 14, 30, tzinfo=UTC)),
            ("2026-02-28T14:30:00+02:00", datetime(2026, 2, 28, 12, 30, tzinfo=UTC)),
            ("2026-02-28T14:30:00.123456Z", datetime(2026, 2, 28, 14, 30, 0, 123456, tzinfo=UTC)),
            ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_reads(self, given: str, expected: datetime) -> None:
        read = UtcDateTimeField().run_validation(given)

        assert read == expected
        assert read.tzinfo is UTC

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ("2026-02-28T14:30:00", "no_offset"),
            ("2026-02-28", "no_offset"),
            ("2026-02-30T00:00:00Z", "invalid"),
            ("yesterday", "invalid"),
            ("", "invalid"),
            (1_772_000_000, "invalid"),
            ("0001-01-01T00:00:00+14:00", "out_of_range"),
            ("9999-12-31T23:59:59-14:00", "out_of_range"),
            ("2200-01-01T00:00:00Z", "out_of_range"),
            ("1969-12-31T23:59:59Z", "out_of_range"),
        ],
    )
    def test_refuses(self, given: object, code: str) -> None:
        assert refusal(UtcDateTimeField(), given) == code

    def test_writes_utc_with_z(self) -> None:
        noon_in_delhi = datetime(2026, 2, 28, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))

        assert UtcDateTimeField().to_representation(noon_in_delhi) == "2026-02-28T06:30:00Z"


class TestEnumField:
    def test_reads_a_member(self) -> None:
        assert EnumField(Colour).run_validation("DarkRed") is Colour.DARK_RED

    @pytest.mark.parametrize("given", ["darkred", "Dark red", "DARK_RED", ""])
    def test_refuses_other_spellings(self, given: str) -> None:
        assert refusal(EnumField(Colour), given) == "invalid_choice"

    def test_writes_the_value(self) -> None:
        assert EnumField(Colour).to_representation(Colour.BLUE) == "Blue"
