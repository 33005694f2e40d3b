"""Filters of a meter in a form: a row for each, with a property, an operator and values."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from catalog.admin.definitions import OPERATORS
from catalog.property_filters import MAX_FILTERS, FilterOperator, InvalidFilter, PropertyFilter

# What is typed in one row; None where nothing is.
Row = dict[str, Any] | None

_OPEN_ROWS = 2  # The others are folded away while they are empty.


class FiltersWidget(forms.Widget):
    """Rows to type filters in, as many as a meter may have."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        """Draw the rows."""
        typed: list[Row] = list(value or [])
        rows = [*typed, *[None] * (MAX_FILTERS - len(typed))]
        drawn = [_draw_row(name, number, row) for number, row in enumerate(rows)]
        is_open = SafeString(" open" if any(rows[_OPEN_ROWS:]) else "")
        return format_html(
            '<div class="grow">{}<details{}>'
            '<summary class="cursor-pointer py-2 relative">More filters</summary>{}</details></div>',
            _join(drawn[:_OPEN_ROWS]),
            is_open,
            _join(drawn[_OPEN_ROWS:]),
        )

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> list[Row]:
        """Read the rows, each in its place."""
        return [_read_row(data, name, number) for number in range(MAX_FILTERS)]


class FiltersField(forms.Field):
    """Filters as JSON, from rows; what is wrong is said with the number of the row."""

    widget = FiltersWidget

    def clean(self, value: Sequence[Row]) -> list[dict[str, Any]]:
        """Read the rows that have something in them.

        Raises: ValidationError.
        """
        problems = [
            f"Filter {number}: {problem}"
            for number, row in enumerate(value, start=1)
            if (problem := _check(row))
        ]
        if problems:
            raise forms.ValidationError(problems)
        return [row for row in value if row is not None]


def _check(row: Row) -> str | None:
    """Say what is wrong with a row, if anything is."""
    if row is None:
        return None
    try:
        PropertyFilter.from_params(row)
    except InvalidFilter as error:
        return error.detail
    return None


def _read_row(data: Mapping[str, Any], name: str, number: int) -> Row:
    def read(part: str) -> str:
        return str(data.get(f"{name}-{number}-{part}", "")).strip()

    values = [line.strip() for line in read("values").splitlines() if line.strip()]
    if not read("property") and not values:
        return None
    return {"property": read("property"), "operator": read("operator"), "values": values}


def _draw_row(name: str, number: int, row: Row) -> SafeString:
    typed = (
        {"property": "", "operator": FilterOperator.EQUALS.value, "values": ""}
        if row is None
        else {**row, "values": "\n".join(row["values"])}
    )
    line_count = typed["values"].count("\n") + 1
    widgets = {
        "property": UnfoldAdminTextInputWidget({"placeholder": "Property"}),
        "operator": UnfoldAdminSelectWidget(choices=[(key.value, words) for key, words in OPERATORS.items()]),
        "values": UnfoldAdminTextareaWidget(
            {"rows": line_count, "placeholder": "Value; of several, one a line"}
        ),
    }
    parts = (
        widget.render(f"{name}-{number}-{part}", typed[part], {"aria-label": f"Filter {number + 1}: {part}"})
        for part, widget in widgets.items()
    )
    cells = format_html_join("", '<div class="grow">{}</div>', ((part,) for part in parts))
    return format_html('<div class="flex gap-2 mb-2">{}</div>', cells)


def _join(rows: Sequence[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((row,) for row in rows))
