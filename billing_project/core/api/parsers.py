"""Reading JSON strictly: exact numbers, no duplicate names, no characters that PostgreSQL cannot hold."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any, NoReturn

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from billing_project.core.api.problems import BodyTooLarge

MAX_DEPTH = 32


class StrictJsonParser(BaseParser):
    """A parser of JSON in which no number becomes a float."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Parse a body.

        Raises: ParseError; BodyTooLarge if it is nested too deep.
        """
        return parse_json(stream.read())


def parse_json(body: bytes) -> Any:
    """Parse JSON in UTF-8, with fractions as `Decimal`.

    Raises: ParseError; BodyTooLarge if it is nested too deep.
    """
    try:
        document = json.loads(
            body.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_read_object,
        )
    except RecursionError:
        raise BodyTooLarge(f"JSON may be nested {MAX_DEPTH} deep.") from None
    except (ValueError, ArithmeticError) as error:  # Also bad UTF-8, and numbers beyond what Python reads.
        raise ParseError(f"The body is not valid JSON: {error}") from None
    _check(document)
    return document


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's reader would accept."""
    raise ValueError(f"{name} is not a JSON number")


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object whose names differ; of two equal ones, each reader would take another."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return result


def _check(document: Any) -> None:
    """Refuse a document that is nested too deep, or has text that cannot be stored."""
    level = [document]
    for _depth in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, dict):
                for name in value:
                    _check_text(name)
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if not inner:
            return
        level = inner
    raise BodyTooLarge(f"JSON may be nested {MAX_DEPTH} deep.")


def _check_text(text: str) -> None:
    """Refuse NUL, and halves of surrogate pairs, which are not text in any encoding."""
    if "\x00" in text:
        raise ParseError("The body contains a NUL character.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ParseError("The body contains half of a surrogate pair.")
