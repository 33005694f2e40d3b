"""Serializer fields for amounts, quantities, instants and enumerations."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import models
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

MAX_NANOS_DIGITS = 38
MAX_QUANTITY_DIGITS = 30
_NANOS = re.compile(r"-?[0-9]{1,38}\Z")
_QUANTITY = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?\Z")

STRING_OF_DIGITS = {"type": "string", "pattern": r"^-?[0-9]{1,38}$", "example": "17440000000000"}


class NanosField(serializers.Field[int, Any, str, Any]):
    """An amount in 10^-12 of the currency's major unit: a string of digits, or a JSON integer on the way in.

    `min_value` is the least that is accepted. A fraction is refused, even one that is whole, such as 1.0.
    """

    default_error_messages = {
        "invalid": "An amount is a whole number of 10^-12 units, as a string or an integer.",
        "too_large": "An amount has at most 38 digits.",
        "min_value": "The amount is at least {min_value}.",
    }

    def __init__(self, *, min_value: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.min_value = min_value

    def to_internal_value(self, data: Any) -> int:
        """Read an amount."""
        if isinstance(data, str) and _NANOS.match(data):
            amount = int(data)
        elif isinstance(data, int) and not isinstance(data, bool):
            amount = data
        else:
            self.fail("invalid")
        if abs(amount) >= 10**MAX_NANOS_DIGITS:
            self.fail("too_large")
        if self.min_value is not None and amount < self.min_value:
            self.fail("min_value", min_value=self.min_value)
        return amount

    def to_representation(self, value: int) -> str:
        """Write an amount."""
        return str(value)


@extend_schema_field({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "example": "4977500"})
class QuantityField(serializers.Field[Decimal, Any, str, Any]):
    """An exact quantity: a string or a JSON number coming in, a string going out, of digits when whole.

    `min_value` is the least that is accepted.
    """

    default_error_messages = {
        "invalid": "A quantity is a decimal number of at most 30 digits before and after the point.",
        "min_value": "The quantity is at least {min_value}.",
    }

    def __init__(self, *, min_value: Decimal | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.min_value = min_value

    def to_internal_value(self, data: Any) -> Decimal:
        """Read a quantity."""
        if isinstance(data, Decimal) and abs(data.adjusted()) <= MAX_QUANTITY_DIGITS:
            data = format(data, "f")  # Safe to write out: its exponent is small.
        elif isinstance(data, int) and not isinstance(data, bool):
            data = str(data)
        if not isinstance(data, str) or not _QUANTITY.match(data):
            self.fail("invalid")
        quantity = Decimal(data)
        if self.min_value is not None and quantity < self.min_value:
            self.fail("min_value", min_value=self.min_value)
        return quantity

    def to_representation(self, value: Decimal) -> str:
        """Write a quantity."""
        return format_quantity(value)


class UtcDateTimeField(serializers.DateTimeField):
    """An instant: ISO 8601 with an offset on the way in, in UTC with `Z` on the way out."""

    default_error_messages = {
        "no_offset": "A time needs its offset from UTC, such as Z or +02:00.",
        "out_of_range": "The time is too far from now to be used.",
    }
    EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
    LATEST = datetime(2200, 1, 1, tzinfo=UTC)

    def to_internal_value(self, value: Any) -> datetime:
        """Read an instant."""
        if not isinstance(value, str):
            self.fail("invalid", format="ISO 8601")
        try:
            instant = parse_datetime(value)
        except ValueError:  # Well formed, but no such day or hour.
            instant = None
        if instant is None:
            self.fail("invalid", format="ISO 8601, such as 2026-02-28T14:30:00Z")
        if instant.tzinfo is None:
            self.fail("no_offset")
        if not self.EARLIEST <= instant < self.LATEST:
            self.fail("out_of_range")
        return instant.astimezone(UTC)

    def to_representation(self, value: datetime | None) -> str | None:  # type: ignore[override]
        """Write an instant."""
        return None if value is None else format_instant(value)


class EnumField(serializers.ChoiceField):
    """One of the PascalCase values of an enumeration, as that enumeration."""

    def __init__(self, choices: type[models.TextChoices], **kwargs: Any) -> None:
        super().__init__(choices=choices.choices, **kwargs)
        self.enumeration = choices

    def to_internal_value(self, data: Any) -> models.TextChoices:
        """Read a value."""
        return self.enumeration(super().to_internal_value(data))


def format_instant(value: datetime) -> str:
    """Write an instant in UTC with `Z`."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def format_quantity(value: Decimal) -> str:
    """Write a quantity without an exponent and without zeros after its last digit."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
