"""Matrix pricing: a price for each value of one or two properties of what is used, say model and token type.

A cell names a value for each property, or leaves one open. Usage goes to exactly one cell: to that which
names most of its values, and to the default where no cell fits. Which one that is must never be in doubt, so
two cells that fit the same values and name equally many need a third one that names them all.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import product
from typing import Annotated, ClassVar, Self

from billing_project.core.money import EXACT, Rounding, multiply
from catalog.pricing.params import AtMost, read_amount, read_list, read_objects, refuse_unknown
from catalog.pricing.types import (
    Charge,
    ChargeStep,
    Dimension,
    GroupValues,
    InvalidPricingParams,
    Stage,
    Usage,
)
from catalog.property_filters import InvalidFilter, is_storable, read_property_name

MAX_DIMENSIONS = 2
MAX_CELLS = 1_000
MAX_VALUE_LENGTH = 255  # As long as the values are by which usage is grouped.


@dataclass(frozen=True, slots=True)
class Cell:
    """The rate for certain values of the properties; None stands for any value."""

    values: Annotated[tuple[str | None, ...], AtMost(MAX_DIMENSIONS)]
    unit_amount_nanos: int

    @classmethod
    def from_params(cls, params: Mapping[str, object], *, width: int, within: str) -> Self:
        """Build the cell from its part of a price's JSON; `width` is the number of properties.

        Raises: InvalidPricingParams.
        """
        refuse_unknown(params, known=["values", "unit_amount_nanos"], within=within)
        given = read_list(params, "values", at_most=MAX_DIMENSIONS, within=within)
        if len(given) != width:
            raise InvalidPricingParams(
                f"Enter a value for each of the {width} dimensions, or null for any.",
                field=f"{within}.values",
            )
        values = tuple(
            _read_value(value, field=f"{within}.values.{number}") for number, value in enumerate(given)
        )
        if not any(values):
            raise InvalidPricingParams(
                "A cell names a value; what holds for all others is the default.", field=f"{within}.values"
            )
        return cls(values, read_amount(params, "unit_amount_nanos", within=within))

    def to_params(self) -> dict[str, object]:
        """Write the cell as it is stored."""
        return {"values": list(self.values), "unit_amount_nanos": str(self.unit_amount_nanos)}


@dataclass(frozen=True, slots=True)
class Matrix:
    """A price whose rate depends on properties of what is used."""

    charges_units: ClassVar[bool] = True

    dimensions: Annotated[tuple[str, ...], AtMost(MAX_DIMENSIONS)]
    cells: Annotated[tuple[Cell, ...], AtMost(MAX_CELLS)]
    default_unit_amount_nanos: int

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """Build the model from a price's JSON.

        Raises: InvalidPricingParams, also where two cells would be equally good for some values.
        """
        refuse_unknown(params, known=["dimensions", "cells", "default_unit_amount_nanos"])
        dimensions = _read_dimensions(params)
        cells = tuple(
            Cell.from_params(cell, width=len(dimensions), within=f"cells.{number}")
            for number, cell in enumerate(read_objects(params, "cells", at_most=MAX_CELLS))
        )
        _refuse_doubt(dimensions, cells)
        return cls(dimensions, cells, read_amount(params, "default_unit_amount_nanos"))

    @property
    def grouping(self) -> Sequence[Dimension]:
        """List the properties, each with the values that cells name."""
        named = zip(*(cell.values for cell in self.cells), strict=True)
        return [
            Dimension(name, frozenset(value for value in values if value is not None))
            for name, values in zip(self.dimensions, named, strict=True)
        ]

    def charge(self, usage: Usage, stage: Stage) -> Charge:
        """Price what each cell gets, in the order of the cells, and then by the default what is left."""
        by_values = {cell.values: cell for cell in self.cells}
        left = usage.quantity
        units: dict[GroupValues, Decimal] = {}
        for values, quantity in usage.groups.items():
            cell = _find_cell(by_values, values)
            if cell is not None:
                units[cell.values] = EXACT.add(units.get(cell.values, Decimal(0)), quantity)
                left = EXACT.subtract(left, quantity)
        parts = [
            (
                write_values(cell.values),
                _name_values(self.dimensions, cell.values),
                units[cell.values],
                cell.unit_amount_nanos,
            )
            for cell in self.cells
            if units.get(cell.values)
        ]
        if left:
            other = f"Any other {' and '.join(self.dimensions)}"
            parts.append(("default", other, left, self.default_unit_amount_nanos))
        return Charge(
            tuple(
                ChargeStep(key, description, count, rate, multiply(rate, count, Rounding.HALF_EVEN))
                for key, description, count, rate in parts
            )
        )

    def scale(self, share: Fraction) -> Self:
        """Give the same price: a rate holds for a unit, not for a period."""
        return self

    def to_params(self) -> dict[str, object]:
        """Write the parameters as they are stored."""
        return {
            "dimensions": list(self.dimensions),
            "cells": [cell.to_params() for cell in self.cells],
            "default_unit_amount_nanos": str(self.default_unit_amount_nanos),
        }


def _name_values(dimensions: Sequence[str], values: GroupValues) -> str:
    """Name values, each by its property, but for those that are open."""
    named = zip(dimensions, values, strict=True)
    return ", ".join(f"{name} {value}" for name, value in named if value is not None)


def write_values(values: GroupValues) -> str:
    """Write the values of a cell in one text, which no other values have."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _find_cell(cells: Mapping[GroupValues, Cell], values: GroupValues) -> Cell | None:
    """Find the cell that names most of the values, if one fits: of those that name one, only one can."""
    exact = cells.get(values)
    if exact is not None or len(values) < MAX_DIMENSIONS:
        return exact
    first, second = values
    return cells.get((first, None)) or cells.get((None, second))


def _read_dimensions(params: Mapping[str, object]) -> tuple[str, ...]:
    """Read the names of the properties.

    Raises: InvalidPricingParams.
    """
    names: list[str] = []
    for number, given in enumerate(read_list(params, "dimensions", at_most=MAX_DIMENSIONS)):
        field = f"dimensions.{number}"
        try:
            name = read_property_name(given, field=field)
        except InvalidFilter as error:
            raise InvalidPricingParams(error.detail, field=error.field) from None
        if name in names:
            raise InvalidPricingParams(f"The property {name!r} is there twice.", field=field)
        names.append(name)
    return tuple(names)


def _read_value(value: object, *, field: str) -> str | None:
    """Read the value of a property, or None for any.

    Raises: InvalidPricingParams.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_VALUE_LENGTH or not is_storable(value):
        raise InvalidPricingParams(
            f"Enter a text of 1 to {MAX_VALUE_LENGTH} characters without NUL, or null for any value.",
            field=field,
        )
    return value


def _refuse_doubt(dimensions: Sequence[str], cells: Sequence[Cell]) -> None:
    """Refuse cells of which two would be equally good for some values.

    Raises: InvalidPricingParams.
    """
    places: dict[GroupValues, int] = {}
    for number, cell in enumerate(cells):
        if cell.values in places:
            raise InvalidPricingParams(
                f"Two cells are for {_name_values(dimensions, cell.values)}.", field=f"cells.{number}.values"
            )
        places[cell.values] = number
    if len(dimensions) < MAX_DIMENSIONS:
        return
    by_first = [first for first, second in places if second is None]
    by_second = [second for first, second in places if first is None]
    for first, second in product(by_first, by_second):
        if (first, second) not in places:
            number = max(places[first, None], places[None, second])
            raise InvalidPricingParams(
                f"It is in doubt what {dimensions[0]} {first} with {dimensions[1]} {second} costs, as a cell "
                "is for each of them: add one for both.",
                field=f"cells.{number}.values",
            )
