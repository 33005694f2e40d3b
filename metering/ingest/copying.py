"""Writing many events at once: by COPY into tables of the transaction's own, then in one statement.

That statement is the one of a batch; only where its rows come from is another. They are sent in PostgreSQL's
binary form: nothing has to be escaped, written out or parsed.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import Struct
from typing import cast

import psycopg
from django.db import connection
from psycopg.adapt import PyFormat

from metering.ingest.writing import (
    COUNTED_COLUMNS,
    EVENT_COLUMNS,
    CountedRow,
    PlacedEvent,
    make_counted_row,
    write_insert,
)

# Sorting a chunk in memory takes more than PostgreSQL's default, and is over in a moment.
PREPARE = f"""
    SET LOCAL work_mem = '64MB';
    CREATE TEMPORARY TABLE given_event ({EVENT_COLUMNS});
    CREATE TEMPORARY TABLE given_count ({COUNTED_COLUMNS})
"""
COPY_EVENTS = "COPY given_event FROM STDIN (FORMAT binary)"
COPY_COUNTED = "COPY given_count FROM STDIN (FORMAT binary)"
CLEAN_UP = "DROP TABLE given_event, given_count"  # If the transaction fails, it has not made them.
INSERT_COPIED = write_insert(given="given_event", counted="given_count AS counted")

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
JSONB_VERSION = b"\x01"

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # Whence PostgreSQL counts.
_MICROSECOND = timedelta(microseconds=1)

# Each value has its length before it, and each row the number of its values.
_LENGTH = Struct(">i")
_EVENT_KEY = Struct(">h i16s i16s i")
_EVENT_PLACE = Struct(">i16s i16s iq iq i? ic")
_EVENT_NO_PLACE = Struct(">4s 4s iq 4s i? ic")
_EVENT_HASH = Struct(">i16s")
_COUNTED_KEY = Struct(">h i16s i16s i")
_INSTANT = Struct(">iq")

# What follows the value of nearly every row: no group, and nothing else that its meter would keep.
_ONLY_VALUE = _LENGTH.pack(0) + 4 * NULL

_decimals = psycopg.adapters.get_dumper(Decimal, PyFormat.BINARY)(Decimal)


def copy_events(*, placed: Sequence[PlacedEvent], at: datetime) -> int:
    """Store those events that are not stored yet, and add them to the rollups; return how many they were.

    Waits for another transaction that is storing the same event.
    """
    counted_rows = (make_counted_row(item, counted) for item in placed for counted in item.counted)
    with connection.cursor() as cursor:
        cursor.execute(PREPARE)
        _copy(COPY_EVENTS, map(_write_event, placed))
        _copy(COPY_COUNTED, map(_write_counted, counted_rows))
        cursor.execute(INSERT_COPIED, {"at": at})
        (count,) = cursor.fetchone()
        cursor.execute(CLEAN_UP)
    return int(count)


def _copy(statement: str, rows: Iterable[bytes]) -> None:
    cursor = psycopg.Cursor(connection.connection)
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.write(b"".join((SIGNATURE, *rows, TRAILER)))


def _write_event(item: PlacedEvent) -> bytes:
    """Write a row of the events, in the order of `EVENT_COLUMNS`."""
    event, placement = item.event, item.placement
    event_id, event_type = event.event_id.encode(), event.event_type.encode()
    timestamp = _count_microseconds(event.timestamp)
    properties = event.encoded_properties
    properties_length = 1 + len(properties)
    if placement is None:
        place = _EVENT_NO_PLACE.pack(
            *(NULL, NULL), *(8, timestamp), NULL, *(1, False), *(properties_length, JSONB_VERSION)
        )
    else:
        is_on_time = placement.billed_at is event.timestamp
        billed_at = timestamp if is_on_time else _count_microseconds(placement.billed_at)
        place = _EVENT_PLACE.pack(
            *(16, placement.subscription_id.bytes),
            *(16, placement.segment_id.bytes),
            *(8, timestamp),
            *(8, billed_at),
            *(1, placement.is_late),
            *(properties_length, JSONB_VERSION),
        )
    return b"".join(
        (
            _EVENT_KEY.pack(11, 16, item.uid.bytes, 16, event.customer_id.bytes, len(event_id)),
            event_id,
            _LENGTH.pack(len(event_type)),
            event_type,
            place,
            properties,
            _EVENT_HASH.pack(16, event.content_hash),
        )
    )


def _write_counted(row: CountedRow) -> bytes:
    """Write a row of what events add, in the order of `COUNTED_COLUMNS`."""
    value = _dump_decimal(row.value)
    key = _COUNTED_KEY.pack(8, 16, row.uid.bytes, 16, row.meter_id.bytes, len(value))
    has_number = row.rank is not None or row.moment is not None
    if not (has_number or row.group_key or row.hour_at is not None or row.member is not None):
        return b"".join((key, value, _ONLY_VALUE))
    return b"".join(
        (
            key,
            value,
            _write_text(row.group_key),
            NULL if row.hour_at is None else _INSTANT.pack(8, _count_microseconds(row.hour_at)),
            _write_decimal(row.moment),
            _write_decimal(row.rank),
            NULL if row.member is None else _write_text(row.member),
        )
    )


def _dump_decimal(number: Decimal) -> bytes:
    return cast("bytes", _decimals.dump(number))  # Never None, as no number is.


def _write_text(text: str) -> bytes:
    encoded = text.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def _write_decimal(number: Decimal | None) -> bytes:
    if number is None:
        return NULL
    dumped = _dump_decimal(number)
    return _LENGTH.pack(len(dumped)) + dumped


def _count_microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
