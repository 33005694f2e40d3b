"""Parameters of query strings that are more than one text: numbers, lists, and pairs of a name and a value.

In lists, a comma parts the items; in pairs, the first colon parts name and value. A comma, colon or backslash
that is meant itself has a backslash before it.
"""

import re
from collections.abc import Iterator
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from billing_project.core.api.serializers import InputSerializer

MAX_ITEMS = 100
_NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_query(query: type[InputSerializer], request: Request) -> dict[str, Any]:
    """Read the parameters of the query string.

    Raises: rest_framework.exceptions.ValidationError.
    """
    serializer = query(data=request.query_params.dict())
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


@extend_schema_field({"type": "integer", "minimum": 1})
class NumberParameter(serializers.Field[int, Any, int, Any]):
    """A whole number from 1 to `max_value`."""

    default_error_messages = {"invalid": "Enter a whole number from 1 to {max_value}."}

    def __init__(self, *, max_value: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_value = max_value

    def to_internal_value(self, data: Any) -> int:
        """Read a number."""
        number = int(data) if _NUMBER.match(data) else 0
        if not 1 <= number <= self.max_value:
            self.fail("invalid", max_value=self.max_value)
        return number


class ListParameter(serializers.CharField):
    """Names, each once, in the order in which they are given."""

    default_error_messages = {
        "too_many": f"Give at most {MAX_ITEMS} names.",
        "empty": "A name is empty.",
    }

    def to_internal_value(self, data: Any) -> Any:
        """Read the names."""
        names = tuple(dict.fromkeys(map(_unescape, _split(super().to_internal_value(data), ","))))
        if len(names) > MAX_ITEMS:
            self.fail("too_many")
        if "" in names:
            self.fail("empty")
        return names


class PairsParameter(serializers.CharField):
    """Values by name; a name without a colon has none."""

    default_error_messages = {
        "too_many": f"Give at most {MAX_ITEMS} pairs.",
        "twice": "The name {name!r} is given twice.",
        "empty": "A name is empty.",
    }

    def to_internal_value(self, data: Any) -> Any:
        """Read the pairs."""
        pairs: dict[str, str | None] = {}
        items = list(_split(super().to_internal_value(data), ","))
        if len(items) > MAX_ITEMS:
            self.fail("too_many")
        for item in items:
            name, *rest = _split(item, ":")
            name = _unescape(name)
            if not name:
                self.fail("empty")
            if name in pairs:
                self.fail("twice", name=name)
            pairs[name] = _unescape(":".join(rest)) if rest else None
        return pairs


def _split(text: str, separator: str) -> Iterator[str]:
    """Split at each separator that has no backslash before it; backslashes stay."""
    start, place = 0, 0
    while place < len(text):
        if text[place] == separator:
            yield text[start:place]
            start = place + 1
        place += 2 if text[place] == "\\" else 1
    yield text[start:]


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
