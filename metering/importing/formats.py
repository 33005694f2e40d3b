"""What a record looks like, and how it becomes an event: always by way of JSON, which ingest reads.

So there is one set of rules for events, whatever they came in.
"""

import csv
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from billing_project.core.errors import InvalidInput
from metering.importing.records import MAX_RECORD_BYTES, Record
from metering.ingest.decoding import decode_event
from metering.ingest.incoming import IncomingEvent, Refusal, RefusalCode

FIELDS = ("id", "event_type", "customer_id", "subscription_id", "timestamp", "properties")
OPTIONAL_FIELDS = frozenset({"subscription_id", "properties"})
PROPERTY_PREFIX = "properties."

# A cell that is one of these in JSON is one: a number with all its digits, or a truth value.
_JSON_CELL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false", re.ASCII)
_ANY_JSON = msgspec.json.Decoder(msgspec.Raw)

_CUSTOMER = re.compile(rb'"customer_id"[ \t]*:[ \t]*"([^"]{0,64})"')
NO_CUSTOMER = b""


class UnusableFile(InvalidInput):
    """The file as a whole cannot be imported."""

    code = "unusable_file"


class Decoder(Protocol):
    """A way to read records, which is handed to other processes."""

    def decode(self, record: bytes, *, index: int) -> IncomingEvent | Refusal:
        """Read a record, at its place in the chunk."""

    def find_customer(self, record: bytes) -> bytes:
        """Find what is probably the customer's id in a record, to put those of one customer together."""


class JsonDecoder:
    """Reads records that are events in JSON."""

    def decode(self, record: bytes, *, index: int) -> IncomingEvent | Refusal:
        """Read a record as ingest does."""
        return decode_event(record, index=index)

    def find_customer(self, record: bytes) -> bytes:
        """Take the first text with that name; one in the properties before it would be a wrong guess."""
        found = _CUSTOMER.search(record)
        return NO_CUSTOMER if found is None else found[1]


class Column(NamedTuple):
    """What the cells of a column are: a field of the event, or one of its properties."""

    name: str
    is_property: bool


class CsvDecoder:
    """Reads rows of CSV, by the names of their columns.

    `properties` holds JSON; or each `properties.<name>` holds one of them: a number, `true` or `false` as in
    JSON, and else a text. An empty cell is nothing at all.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._customer_place = columns.index(Column("customer_id", is_property=False))

    @classmethod
    def from_header(cls, header: Record) -> "CsvDecoder":
        """Read the names of the columns.

        Raises: UnusableFile.
        """
        try:
            names = _read_cells(header.content)
        except (ValueError, csv.Error) as error:
            raise UnusableFile(f"The first line does not name columns: {error}.") from None
        return cls(read_columns(names))

    def decode(self, record: bytes, *, index: int) -> IncomingEvent | Refusal:
        """Write a row as JSON, and read that."""
        try:
            cells = _read_cells(record)
            if len(cells) != len(self._columns):
                detail = f"The row has {len(cells)} cells, and the header has {len(self._columns)}."
                return Refusal(index, None, RefusalCode.MALFORMED, detail)
            event = self._write_event(cells)
        except UnicodeDecodeError:
            return Refusal(index, None, RefusalCode.MALFORMED, "The row is not valid UTF-8.")
        except (ValueError, RecursionError, csv.Error) as error:
            return Refusal(index, None, RefusalCode.MALFORMED, f"The row cannot be read: {error}.")
        return decode_event(event, index=index)

    def find_customer(self, record: bytes) -> bytes:
        """Take the cell of that column; a comma in a cell before it makes a wrong guess."""
        place = self._customer_place
        cells = record.split(b",", place + 1)
        return cells[place].strip(b'"\r\n') if place < len(cells) else NO_CUSTOMER

    def _write_event(self, cells: Sequence[str]) -> bytes:
        """Write the cells of a row as an event in JSON.

        Raises: ValueError if the properties are not JSON.
        """
        fields: dict[str, object] = {}
        properties: dict[str, object] = {}
        for (name, is_property), cell in zip(self._columns, cells, strict=True):
            if not cell:
                continue
            if is_property:
                is_json = _JSON_CELL.fullmatch(cell) is not None
                properties[name] = msgspec.Raw(cell.encode()) if is_json else cell
            else:
                fields[name] = read_json(cell) if name == "properties" else cell
        if properties:
            fields["properties"] = properties
        return msgspec.json.encode(fields)


def read_columns(names: Sequence[str]) -> list[Column]:
    """Tell what the columns of a table are by their names.

    Raises: UnusableFile.
    """
    columns = [_read_column(name.strip()) for name in names]
    if len(set(columns)) < len(columns):
        raise UnusableFile("Two columns have the same name.")
    fields = {column.name for column in columns if not column.is_property}
    missing = [name for name in FIELDS if name not in fields and name not in OPTIONAL_FIELDS]
    if missing:
        raise UnusableFile(f"There is no column {' and none '.join(missing)}.")
    if "properties" in fields and any(column.is_property for column in columns):
        raise UnusableFile("Properties are in one column or in a column for each, not in both.")
    return columns


def read_json(text: str) -> msgspec.Raw:
    """Read JSON that is put into other JSON as it is: one value, and nothing beside it.

    Raises: ValueError; RecursionError.
    """
    encoded = text.encode()
    _ANY_JSON.decode(encoded)
    return msgspec.Raw(encoded)


def decode_records(decoder: Decoder, records: Sequence[bytes]) -> list[IncomingEvent | Refusal]:
    """Read records, each by itself; what is longer than any event is not looked at."""
    return [
        decoder.decode(record, index=index) if len(record) <= MAX_RECORD_BYTES else _refuse_long(index)
        for index, record in enumerate(records)
    ]


def _refuse_long(index: int) -> Refusal:
    detail = f"The record is longer than {MAX_RECORD_BYTES} bytes."
    return Refusal(index, None, RefusalCode.TOO_LONG, detail)


def _read_column(name: str) -> Column:
    if name in FIELDS:
        return Column(name, is_property=False)
    property_name = name.removeprefix(PROPERTY_PREFIX)
    if not property_name or property_name == name:
        raise UnusableFile(
            f"The column {name!r} is unknown; there are {', '.join(FIELDS)} and {PROPERTY_PREFIX}<name>."
        )
    return Column(property_name, is_property=True)


def _read_cells(record: bytes) -> list[str]:
    """Read the cells of a row.

    Raises: ValueError; csv.Error.
    """
    return next(csv.reader([record.decode()], strict=True))
