"""Paging by key: a page is found by the last row of the one before it, however deep; nothing is counted."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from billing_project.core.errors import InvalidInput

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
LIMIT_PARAM = "limit"
CURSOR_PARAM = "cursor"
PAGE_PARAMS = frozenset({LIMIT_PARAM, CURSOR_PARAM})


class InvalidCursor(InvalidInput):
    """The cursor is not one that this list has given out."""

    code = "invalid_cursor"


class InvalidLimit(InvalidInput):
    """The limit is not a whole number in its range."""

    code = "invalid_limit"


class KeysetPagination(BasePagination):
    """A bare array of at most `limit` rows, newest first, with the next page in the `Link` header.

    A view orders by other columns with `page_keys`: all descending and not null, the last one unique.
    """

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Read one page.

        Raises: InvalidLimit; InvalidCursor.
        """
        assert isinstance(queryset, QuerySet)
        keys: Sequence[str] = getattr(view, "page_keys", ("id",))
        limit = read_limit(request)
        rows = queryset.order_by(*(f"-{key}" for key in keys))
        cursor = request.query_params.get(CURSOR_PARAM)
        if cursor is not None:
            rows = rows.filter(_older_than(keys, _read_cursor(cursor, queryset.model, keys)))
        page = list(rows[: limit + 1])  # One more than asked for tells whether there is a next page.
        self.next_link = None
        if len(page) > limit:
            page.pop()
            next_cursor = _write_cursor(page[-1], keys)
            self.next_link = replace_query_param(request.build_absolute_uri(), CURSOR_PARAM, next_cursor)
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """Answer with the array."""
        return Response(data, headers={"Link": f'<{self.next_link}>; rel="next"'} if self.next_link else None)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe the answer: the array itself."""
        return schema

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Describe the parameters."""
        return [
            {
                "name": LIMIT_PARAM,
                "in": "query",
                "description": "How many to return.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            },
            {
                "name": CURSOR_PARAM,
                "in": "query",
                "description": "Where to go on; the `Link` header of a page has the address of the next.",
                "schema": {"type": "string"},
            },
        ]


def read_limit(request: Request) -> int:
    """Read how many rows the caller wants.

    Raises: InvalidLimit.
    """
    text = request.query_params.get(LIMIT_PARAM)
    if text is None:
        return DEFAULT_LIMIT
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidLimit(f"The limit is a whole number from 1 to {MAX_LIMIT}.", field=LIMIT_PARAM)
    return limit


def _older_than(keys: Sequence[str], values: Sequence[Any]) -> Q:
    """Build the condition that a row comes after the given one, in descending order of the keys."""
    condition = Q()
    equal = Q()
    for key, value in zip(keys, values, strict=True):
        condition |= equal & Q(**{f"{key}__lt": value})
        equal &= Q(**{key: value})
    # Implied by the rest, and what lets an index on the first key find the place.
    return Q(**{f"{keys[0]}__lte": values[0]}) & condition


def _write_cursor(row: Model, keys: Sequence[str]) -> str:
    """Write down the place of a row."""
    values = [row._meta.get_field(key).value_to_string(row) for key in keys]  # type: ignore[union-attr]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _read_cursor(cursor: str, model: type[Model], keys: Sequence[str]) -> list[Any]:
    """Read the place that a cursor stands for.

    Raises: InvalidCursor.
    """
    try:
        texts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InvalidCursor("The cursor is not valid.", field=CURSOR_PARAM)
        return [
            model._meta.get_field(key).to_python(text)  # type: ignore[union-attr]
            for key, text in zip(keys, texts, strict=True)
        ]
    except (ValueError, binascii.Error, RecursionError, ValidationError):
        raise InvalidCursor("The cursor is not valid.", field=CURSOR_PARAM) from None
