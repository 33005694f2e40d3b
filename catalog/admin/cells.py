"""The cells of a Matrix price as a grid: the values of one property down, those of the other across.

Amounts are typed in as price lists have them, for so many units together. The last line and the last column
stand for any other value, so that the cell where they meet is the default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from django import forms
from django.http import QueryDict
from unfold.widgets import UnfoldAdminFileFieldWidget

from billing_project.core.admin.details import Table
from billing_project.core.money import (
    EXACT,
    NANOS_PER_UNIT,
    InvalidDecimal,
    format_quantity,
    parse_decimal,
)
from catalog.models import Price
from catalog.pricing.matrix import MAX_DIMENSIONS
from catalog.pricing.types import GroupValues

MAX_FIELDS = 800  # Django takes a thousand from one form.
MAX_SHEET_BYTES = 1_000_000
SPARE_ROWS, SPARE_COLUMNS = 3, 1
UNITS = (1, 1_000, 1_000_000)
CHEAP_NANOS = 10**9  # Where a unit costs less than this, price lists quote a million of them.


class Box(NamedTuple):
    """A field for an amount; the label says for which values."""

    label: str
    text: str
    is_wrong: bool


@dataclass(slots=True)
class Grid:
    """What is typed into the grid, and what is wrong with it.

    `rows` and `columns` are the values that are named, empty where one can be added; behind each there is the
    one for any other. `amounts` are line by line.
    """

    dimensions: Sequence[str]
    units: int
    rows: Sequence[str]
    columns: Sequence[str]
    amounts: Sequence[str]
    problems: list[str] = field(default_factory=list)
    wrong: set[int] = field(default_factory=set)

    @property
    def is_two_dimensional(self) -> bool:
        """Whether there are values across."""
        return len(self.dimensions) == MAX_DIMENSIONS

    @property
    def field_count(self) -> int:
        """Count the fields that the grid needs."""
        return (len(self.rows) + 1) * (len(self.columns) + 1) + len(self.rows) + len(self.columns)

    @property
    def lines(self) -> list[tuple[str | None, list[Box]]]:
        """List the lines to draw, each with its value, which is None for any other, and its fields."""
        width = len(self.columns) + 1
        return [
            (
                row,
                [
                    Box(self._label(row, column), self.amounts[place], place in self.wrong)
                    for place, column in enumerate([*self.columns, None], start=number * width)
                ],
            )
            for number, row in enumerate([*self.rows, None])
        ]

    def read(self) -> dict[str, object]:
        """Read cells and default as parameters of a price; what cannot be read is noted as a problem."""
        cells: list[dict[str, object]] = []
        params: dict[str, object] = {"cells": cells}
        places = [(row, column) for row in [*self.rows, None] for column in [*self.columns, None]]
        for place, ((row, column), text) in enumerate(zip(places, self.amounts, strict=True)):
            if not text:
                continue
            try:
                if "" in {row, column}:
                    raise InvalidDecimal("name the value that this price is for")
                amount = str(read_amount(text, units=self.units))
            except InvalidDecimal as error:
                self.problems.append(f"{self._label(row, column)}: {error}")
                self.wrong.add(place)
                continue
            values = [row, column][: len(self.dimensions)]
            if any(values):
                cells.append({"values": values, "unit_amount_nanos": amount})
            else:
                params["default_unit_amount_nanos"] = amount
        if not self.problems and "default_unit_amount_nanos" not in params:
            self.problems.append("Enter the price of any other.")
            self.wrong.add(len(places) - 1)
        return params

    def _label(self, row: str | None, column: str | None) -> str:
        """Say which values a field is for."""
        names = zip(self.dimensions, (row, column), strict=False)
        return ", ".join(
            f"any other {name}" if value is None else f"{name} {value or '(new)'}" for name, value in names
        )


class SheetForm(forms.Form):
    """A sheet to take the cells from."""

    sheet = forms.FileField(widget=UnfoldAdminFileFieldWidget)

    def clean_sheet(self) -> str:
        """Read the sheet."""
        sheet = self.cleaned_data["sheet"]
        if sheet.size > MAX_SHEET_BYTES:
            raise forms.ValidationError("The sheet is longer than one of a thousand cells can be.")
        try:
            return str(sheet.read().decode("utf-8"))
        except UnicodeDecodeError:
            raise forms.ValidationError("The sheet is not in UTF-8.") from None


def lay_out(params: Mapping[str, object], *, units: int | None = None) -> Grid:
    """Lay the cells of a price out in a grid, with a few lines and columns to add to it.

    Without a number of units, amounts are for one, or for a million where one is too cheap to be quoted.
    """
    dimensions, stored = params["dimensions"], params["cells"]
    assert isinstance(dimensions, list) and isinstance(stored, list), "They are in the stored form"
    is_two_dimensional = len(dimensions) == MAX_DIMENSIONS
    cells: dict[GroupValues, int] = {
        (cell["values"][0], cell["values"][1] if is_two_dimensional else None): int(cell["unit_amount_nanos"])
        for cell in stored
    }
    cells[None, None] = int(str(params["default_unit_amount_nanos"]))
    if units is None:
        units = UNITS[-1] if any(0 < nanos < CHEAP_NANOS for nanos in cells.values()) else UNITS[0]
    rows = list(dict.fromkeys(first for first, _ in cells if first is not None)) + [""] * SPARE_ROWS
    columns = list(dict.fromkeys(second for _, second in cells if second is not None))
    if is_two_dimensional:
        columns += [""] * SPARE_COLUMNS
    amounts = [
        write_amount(cells[row, column], units=units) if (row, column) in cells else ""
        for row in [*rows, None]
        for column in [*columns, None]
    ]
    return Grid(dimensions, units, rows, columns, amounts)


def make_grid_table(price: Price) -> Table:
    """Make a table of the cells of a price: as a grid, or as a list where that would be too large."""
    grid = lay_out(price.params)
    named = [
        (row, [box for box, column in zip(boxes, [*grid.columns, None], strict=True) if column != ""])
        for row, boxes in grid.lines
        if row != ""
    ]
    title = f"Prices of {price.plan_version} in {price.currency} for {_write_units(grid.units)}"
    if grid.field_count > MAX_FIELDS:
        rows = [(box.label, box.text) for _, boxes in named for box in boxes if box.text]
        return Table(title=title, headers=("Values", "Price"), numeric=("Price",), rows=rows)
    columns = [column for column in grid.columns if column]
    last = "Any other" if grid.is_two_dimensional else "Price"
    return Table(
        title=title,
        headers=(" / ".join(grid.dimensions), *columns, last),
        numeric=(*columns, last),
        rows=[(row or "Any other", *(box.text for box in boxes)) for row, boxes in named],
    )


def list_unit_choices() -> list[tuple[int, str]]:
    """List for how many units together amounts can be written, each with its words."""
    return [(units, _write_units(units)) for units in UNITS]


def _write_units(units: int) -> str:
    return "1 unit" if units == 1 else f"{units:,} units"


def read_typed(dimensions: Sequence[str], typed: QueryDict) -> Grid | None:
    """Read what was typed into a grid; None if it is not the whole of one."""
    rows, columns, amounts = (
        [text.strip() for text in typed.getlist(name)] for name in ("row", "column", "amount")
    )
    has_columns = len(dimensions) == MAX_DIMENSIONS
    is_whole = len(amounts) == (len(rows) + 1) * (len(columns) + 1) and (has_columns or not columns)
    return Grid(dimensions, read_units(typed) or UNITS[0], rows, columns, amounts) if is_whole else None


def read_units(given: QueryDict) -> int | None:
    """Read for how many units together amounts are written; None where that is not said."""
    return next((units for units in UNITS if given.get("units") == str(units)), None)


def read_amount(text: str, *, units: int) -> int:
    """Read an amount for so many units, in the currency's major unit, as the nanos of one.

    Raises: InvalidDecimal.
    """
    amount = parse_decimal(text)
    if amount < 0:
        raise InvalidDecimal("Enter a price that is not below zero.")
    numerator, denominator = amount.as_integer_ratio()
    nanos, rest = divmod(numerator * NANOS_PER_UNIT, denominator * units)
    if rest:
        raise InvalidDecimal("A unit is priced in whole 10^-12: enter fewer digits.")
    return nanos


def write_amount(nanos: int, *, units: int) -> str:
    """Write the amount of so many units in the currency's major unit, with all its digits."""
    return format_quantity(EXACT.divide(Decimal(nanos * units), Decimal(NANOS_PER_UNIT)))
