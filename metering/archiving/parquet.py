"""Archives as Parquet. It needs pyarrow, which is not installed unless it is asked for."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from billing_project.core.extras import load_extra
from metering.archiving.rows import COLUMNS, ArchivedRow, DamagedArchive

SUFFIX = ".parquet"
ROWS_PER_GROUP = 20_000

_TYPES: dict[object, str] = {UUID: "string", str: "string", msgspec.Raw: "string", bool: "bool_"}


def check_installed() -> None:
    """Check that Parquet can be written here.

    Raises: ExtraMissing.
    """
    _load("parquet.ParquetWriter")


def write_rows(path: Path, rows: Iterable[ArchivedRow]) -> int:
    """Write a file, and return how many events it has. Ids and properties are text, times have microseconds.

    Raises: ExtraMissing.
    """
    schema = _make_schema()
    make_batch = _load("RecordBatch").from_pylist
    remaining = iter(rows)
    count = 0
    with _load("parquet.ParquetWriter")(path, schema, compression="zstd") as writer:
        while group := list(islice(remaining, ROWS_PER_GROUP)):
            writer.write_batch(make_batch([_write_row(row) for row in group], schema=schema))
            count += len(group)
    return count


def iterate_rows(path: Path) -> Iterator[ArchivedRow]:
    """Read a file, a few events at a time.

    Raises: DamagedArchive; ExtraMissing.
    """
    open_file = _load("parquet.ParquetFile")
    try:
        with open_file(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
                yield from map(_read_row, batch.to_pylist())
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are among them.
        raise DamagedArchive(f"{path.name} cannot be read: {error}") from error


def _make_schema() -> Any:
    make_type, make_timestamp = _load, _load("timestamp")
    fields = [
        (name, make_timestamp("us", tz="UTC") if kind is datetime else make_type(_TYPES[kind])())
        for name, kind in ArchivedRow.__annotations__.items()
    ]
    return _load("schema")(fields)


def _write_row(row: ArchivedRow) -> dict[str, object]:
    values = {name: getattr(row, name) for name in COLUMNS}
    values["properties"] = bytes(row.properties).decode()
    return {name: str(value) if isinstance(value, UUID) else value for name, value in values.items()}


def _read_row(values: dict[str, Any]) -> ArchivedRow:
    ids = {name: UUID(values[name]) for name, kind in ArchivedRow.__annotations__.items() if kind is UUID}
    return ArchivedRow(**{**values, **ids, "properties": msgspec.Raw(values["properties"].encode())})


def _load(name: str) -> Any:
    """Look something of pyarrow up.

    Raises: ExtraMissing.
    """
    return load_extra(f"pyarrow.{name}", extra="parquet")
