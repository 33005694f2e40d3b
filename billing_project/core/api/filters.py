"""Filters of lists, strictly: an unknown parameter or value is an error, never ignored."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from billing_project.core.api.fields import UtcDateTimeField
from billing_project.core.errors import FieldError, InvalidInput


class UnknownParameter(InvalidInput):
    """The query string names something that this endpoint does not know."""

    code = "unknown_parameter"


class InvalidFilter(InvalidInput):
    """A filter has a value that it cannot have."""

    code = "invalid_filter"


class UtcDateTimeFormField(forms.Field):
    """An instant in a query string: ISO 8601 with an offset."""

    def to_python(self, value: Any) -> datetime | None:
        """Read an instant."""
        if value in self.empty_values:
            return None
        try:
            return UtcDateTimeField().to_internal_value(value)
        except ValidationError as error:
            raise forms.ValidationError([str(message) for message in error.detail]) from None


class InstantFilter(django_filters.Filter):
    """A filter by an instant; use it with `lookup_expr="gte"` or `"lt"`."""

    field_class = UtcDateTimeFormField


class StrictFilterSet(django_filters.FilterSet):
    """The base of every list's filters: named one by one, each with an exact type."""


class StrictFilterBackend(DjangoFilterBackend):
    """Applies a view's filters, and refuses what they do not accept."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        """Narrow a list.

        Raises: InvalidFilter.
        """
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            errors = [
                FieldError(name, error.code or "invalid", " ".join(error.messages))
                for name, problems in filterset.errors.as_data().items()
                for error in problems
            ]
            raise InvalidFilter("A filter has a value that it cannot have.", errors=errors)
        narrowed: QuerySet[Any] = filterset.qs
        return narrowed


def check_parameters(request: Request, *, known: Collection[str]) -> None:
    """Refuse query parameters that are unknown, given twice, or hold what no column can.

    Raises: UnknownParameter; InvalidFilter.
    """
    if not request.META.get("QUERY_STRING"):
        return
    errors = [
        FieldError(name, "unknown_parameter", "There is no such parameter.")
        for name in request.query_params
        if name not in known
    ]
    if errors:
        raise UnknownParameter("The query string has parameters that are not known here.", errors=errors)
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise InvalidFilter("A parameter is given twice.", field=name)
        if "\x00" in values[0]:
            raise InvalidFilter("A parameter contains a NUL character.", field=name)


def list_filter_names(filterset_class: type[django_filters.FilterSet] | None) -> Collection[str]:
    """List the parameters that a set of filters takes."""
    return filterset_class.get_filters().keys() if filterset_class else ()
