"""Values as plain JSON, for the audit trail and for events: exact, readable, and without secrets."""

from collections.abc import Mapping, Sequence, Set
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

from billing_project.core.redaction import is_secret_name, redact


def to_plain(value: object, *, name: str = "") -> object:  # noqa: PLR0911  # A case for each kind of value.
    """Turn a value into what JSON can carry. Amounts (`*_nanos`) and decimals become strings.

    `name` is the field that the value belongs to. A field that holds a secret is refused, and so is a float.
    """
    assert not is_secret_name(name), f"{name} is a secret: it is kept in no record."
    match value:
        case Enum():
            return to_plain(value.value, name=name)
        case Mapping():
            return {str(key): to_plain(item, name=str(key)) for key, item in value.items()}
        case Set():
            return sorted((to_plain(item, name=name) for item in value), key=str)
        case Sequence() if not isinstance(value, str):
            return [to_plain(item, name=name) for item in value]
        case None | bool():
            return value
        case int():
            return str(value) if name.endswith("_nanos") else value
    return _to_text(value, name=name)


def _to_text(value: object, *, name: str) -> str:
    """Write a value as JSON's only type for it: a string."""
    match value:
        case str():
            return redact(value)
        case Decimal():
            return format(value, "f")
        case datetime():
            assert value.tzinfo is not None, f"{name} has no time zone: {value}"
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
    raise AssertionError(f"{name or 'The value'} cannot be kept as JSON: {type(value).__name__}")
