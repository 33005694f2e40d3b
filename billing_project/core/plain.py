"""Values as plain JSON, for the audit trail and for events: exact, readable, and never with a secret in it."""

from collections.abc import Mapping, Sequence, Set
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

from billing_project.core.redaction import is_secret_name, redact


def to_plain(value: object, *, name: str = "") -> object:
    """Turn a value into what JSON can carry. Amounts (`*_nanos`) and decimals become strings; floats are refused.

    `name` is the field that the value belongs to; a field that holds a secret is refused.
    """
    assert not is_secret_name(name), f"{name} is a secret: it is kept in no record."
    match value:
        case None | bool():
            return value
        case Enum():
            return to_plain(value.value, name=name)
        case int():
            return str(value) if name.endswith("_nanos") else value
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
        case Mapping():
            return {str(key): to_plain(item, name=str(key)) for key, item in value.items()}
        case Set():
            return sorted((to_plain(item, name=name) for item in value), key=str)
        case Sequence():
            return [to_plain(item, name=name) for item in value]
    raise AssertionError(f"{name or 'The value'} cannot be kept as JSON: {type(value).__name__}")
