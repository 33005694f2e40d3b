"""The cells of a matrix as a sheet: a line for each, as people keep price lists in their spreadsheets.

The columns are the properties, in the order of the price, and then the amount. A value that is left empty
stands for any; the line without any value is the default.
"""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO

from catalog.pricing.matrix import MAX_CELLS, Cell
from catalog.pricing.params import read_amount
from catalog.pricing.types import InvalidPricingParams

AMOUNT = "unit_amount_nanos"
DEFAULT = "default_unit_amount_nanos"


def write_book(matrix: Mapping[str, object]) -> str:
    """Write the parameters of a matrix as CSV, its default last."""
    dimensions, cells = matrix["dimensions"], matrix["cells"]
    assert isinstance(dimensions, list) and isinstance(cells, list), "They are in the stored form"
    sheet = StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow([*dimensions, AMOUNT])
    for cell in cells:
        writer.writerow([*(value or "" for value in cell["values"]), cell[AMOUNT]])
    writer.writerow([*[""] * len(dimensions), matrix[DEFAULT]])
    return sheet.getvalue()


def read_book(text: str, *, dimensions: Sequence[str]) -> dict[str, object]:
    """Read CSV into the parameters that it has: all cells and, where there is a line for it, the default.

    Raises: InvalidPricingParams, whose field is such as `lines.3`.
    """
    cells: list[dict[str, object]] = []
    params: dict[str, object] = {"cells": cells}
    for number, row in _read_lines(text, header=[*dimensions, AMOUNT]):
        values = [value or None for value in row[:-1]]
        try:
            if any(values):
                given = {"values": values, AMOUNT: row[-1]}
                cells.append(Cell.from_params(given, width=len(dimensions), within="cell").to_params())
            elif DEFAULT in params:
                raise _fault("There is a default already, in a line without values.", number)
            else:
                params[DEFAULT] = str(read_amount({AMOUNT: row[-1]}, AMOUNT))
        except InvalidPricingParams as error:
            raise _fault(error.detail, number) from None
        if len(cells) > MAX_CELLS:
            raise _fault(f"A price has at most {MAX_CELLS} cells.", number)
    return params


def _read_lines(text: str, *, header: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Read the lines below the header, each with its number in the file.

    Raises: InvalidPricingParams.
    """
    # Some spreadsheets put a byte order mark first, and spaces or empty lines wherever they like.
    reader = csv.reader(StringIO(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}"), newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            stripped = [field.strip() for field in row]
            if any(stripped):
                rows.append((reader.line_num, stripped))
    except csv.Error as error:
        raise _fault(f"This is not CSV: {error}.", reader.line_num) from None
    if not rows or rows[0][1] != list(header):
        raise _fault(f"The first line has the columns {','.join(header)}.", 1)
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise _fault(f"There are {len(row)} columns, and not {len(header)}.", number)
    return rows[1:]


def _fault(detail: str, number: int) -> InvalidPricingParams:
    return InvalidPricingParams(f"Line {number}: {detail}", field=f"lines.{number}")
