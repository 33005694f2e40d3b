"""Reading Parquet, row by row, as JSON. It needs pyarrow, which is not installed unless it is asked for."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from billing_project.core.extras import ExtraMissing, load_extra
from metering.importing.formats import Column, UnusableFile, read_json
from metering.importing.records import Place, Record, Section

ROWS_PER_READ = 2_000

_ENCODER = msgspec.json.Encoder(decimal_format="number")


@contextmanager
def opening_table(path: Path) -> Iterator[Any]:
    """Open a Parquet file.

    Raises: UnusableFile, also if pyarrow is not installed.
    """
    try:
        table = load_extra("pyarrow.parquet.ParquetFile", extra="parquet")(path)
    except ExtraMissing as error:
        raise UnusableFile(error.detail) from None
    except (OSError, ValueError) as error:  # pyarrow's own errors are among the two.
        raise UnusableFile(f"{path.name} is not a Parquet file: {error}.") from None
    with table:
        yield table


def iterate_rows(table: Any, *, columns: Sequence[Column], section: Section) -> Iterator[Record]:
    """Read the rows of a section, whose places are numbers of rows; so is a line, from 1."""
    position = 0
    for batch in table.iter_batches(batch_size=ROWS_PER_READ):
        start = max(section.starts_at.position - position, 0)
        if start < len(batch):
            rows = _list_rows(batch.slice(start))
            for number, row in enumerate(rows, start=position + start):
                if section.end_position is not None and number >= section.end_position:
                    return
                yield Record(_write_row(row, columns), number + 1, Place(number + 1, number + 2))
        position += len(batch)


def _list_rows(batch: Any) -> Iterator[tuple[object, ...]]:
    """List the values of each row. Python's times have microseconds, as ours do: finer ones are cut."""
    microseconds = load_extra("pyarrow.timestamp", extra="parquet")
    values = []
    for column in batch.columns:
        is_finer = str(column.type).startswith("timestamp[ns")
        plain = column.cast(microseconds("us", tz=column.type.tz), safe=False) if is_finer else column
        values.append(plain.to_pylist())
    return zip(*values, strict=True)


def _write_row(values: Sequence[object], columns: Sequence[Column]) -> bytes:
    """Write a row as an event in JSON; one that JSON cannot hold becomes a record that is refused."""
    fields: dict[str, object] = {}
    properties: dict[str, object] = {}
    for (name, is_property), value in zip(columns, values, strict=True):
        if value is not None:
            (properties if is_property else fields)[name] = value
    try:
        given = fields.get("properties")
        if isinstance(given, str):
            fields["properties"] = read_json(given)
        elif isinstance(given, Mapping):  # Every row has all members of a struct, many of them null.
            properties = {name: value for name, value in given.items() if value is not None}
        if properties:
            _check_numbers(properties)
            fields["properties"] = properties
        return _ENCODER.encode(fields)
    except (TypeError, ValueError) as error:
        return f"The row cannot be written as JSON: {error}".encode()


def _check_numbers(value: object) -> None:
    """Refuse what is no number in JSON, and would be written as null.

    Raises: ValueError.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is not finite")
    if isinstance(value, Mapping):
        for inner in value.values():
            _check_numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner)
