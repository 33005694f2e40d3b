"""Tables like the platform's own, with other partitions, indexes and fill factors, and what they cost."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import psycopg
from django.db import connection

from metering.ingest.writing import IS_NOT_ARCHIVED

EVENTS, ROLLUPS, ARCHIVED = "metering_usageevent", "metering_usagerollup", "metering_archivedevent"
SOURCE = "benchmark_event"
INDEXES = {
    f"{EVENTS}_pkey": "by id (the key)",
    "usageevent_by_uid": "by uid",
    "usageevent_unmatched": "unmatched",
    "usageevent_by_segment": "by segment",
}

# Events of 2,000 customers with two segments each, as they come: in the order of time, ids at random, 1 % of
# them unmatched.
MAKE_SOURCE = f"""
    CREATE UNLOGGED TABLE {SOURCE} AS
    SELECT number, uuidv7() AS uid, customer_id, gen_random_uuid()::text AS event_id,
        'llm.completion' AS event_type,
        CASE WHEN number %% 100 > 0 THEN md5(customer_id::text)::uuid END AS subscription_id,
        CASE WHEN number %% 100 > 0
            THEN md5(customer_id::text || (number / (%(count)s / 2 + 1))::text)::uuid END AS segment_id,
        at AS "timestamp", CASE WHEN number %% 100 > 0 THEN at END AS billed_at, false AS is_late,
        at AS received_at,
        jsonb_build_object('model', 'large-' || number %% 7, 'input_tokens', number %% 9000,
            'output_tokens', number %% 1700) AS properties,
        decode(md5(number::text), 'hex') AS content_hash
    FROM (
        SELECT number, md5((random() * 2000)::int::text)::uuid AS customer_id,
            timestamptz '2026-01-01Z' + number * (interval '60 days' / %(count)s) AS at
        FROM generate_series(1, %(count)s) AS number
    ) AS made;
    CREATE INDEX ON {SOURCE} (number);
    ANALYZE {SOURCE};
"""  # noqa: S608 (our own)

COLUMNS = (
    "uid, customer_id, event_id, event_type, subscription_id, segment_id, "
    '"timestamp", billed_at, is_late, received_at, properties, content_hash'
)

BY_KEY = """
    SELECT count(*)
    FROM unnest(%(customer_ids)s::uuid[], %(event_ids)s::text[]) AS sent (customer_id, event_id)
    CROSS JOIN LATERAL (
        SELECT uid FROM {table} WHERE customer_id = sent.customer_id AND event_id = sent.event_id OFFSET 0
    ) AS event
"""
OF_A_SEGMENT = """
    SELECT count(*) FROM {table} WHERE customer_id = %(customer_id)s AND segment_id = %(segment_id)s
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to store events: with so many partitions, and without an index."""

    partitions: int
    without: str = ""

    @property
    def table(self) -> str:
        """The name of its table."""
        return f"benchmark_{self.partitions}_{self.without or 'all'}"

    @property
    def title(self) -> str:
        """What it is called in a table of results."""
        missing = f", without {INDEXES[self.without]}" if self.without else ""
        return f"{self.partitions} partitions{missing}"


VARIANTS = (Variant(4), Variant(16), Variant(64), *(Variant(16, name) for name in list(INDEXES)[1:]))


def make_source(count: int) -> None:
    """Make the events that every variant stores."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS benchmark_event")
        cursor.execute(MAKE_SOURCE, {"count": count})


@contextmanager
def having_table(variant: Variant) -> Iterator[str]:
    """Have a table like that of the events, with the partitions and indexes of a variant."""
    table = variant.table
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} (LIKE {EVENTS} INCLUDING ALL EXCLUDING INDEXES)"
            " PARTITION BY HASH (customer_id)"
        )
        _make_partitions(table, variant.partitions)
        for name, definition in _read_indexes():
            if name != variant.without:
                moved = re.sub(r"INDEX \S+ ON ONLY \S+", f"INDEX {table}__{name} ON {table}", definition)
                cursor.execute(moved)
        try:
            yield table
        finally:
            cursor.execute(f"DROP TABLE {table}")


def load(table: str, *, count: int, batch_size: int) -> float:
    """Store the events in batches, each in a transaction, as ingest does; return events a second."""
    insert = (
        f"INSERT INTO {table} ({COLUMNS}) SELECT {COLUMNS} FROM {SOURCE}"  # noqa: S608 (our own)
        " WHERE number > %s AND number <= %s ORDER BY customer_id, event_id"
        " ON CONFLICT (customer_id, event_id) DO NOTHING"
    )
    cursor = psycopg.Cursor(_connect())
    started = time.perf_counter()
    for start in range(0, count, batch_size):
        cursor.execute(insert, [start, start + batch_size], prepare=True)
    return count / (time.perf_counter() - started)


def measure_sizes(table: str, *, count: int) -> Mapping[str, float]:
    """Measure the bytes per event of a table and of each index."""
    statement = """
        SELECT coalesce(split_part(child.relname, '__', 2), ''),
            (SELECT sum(CASE WHEN child.relkind = 'I' THEN pg_relation_size(part.relid)
                ELSE pg_table_size(part.relid) END) FROM pg_partition_tree(child.oid) AS part)
        FROM pg_class AS child
        WHERE child.oid = %(table)s::regclass
        OR child.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = %(table)s::regclass)
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, {"table": table})
        return {name or "rows": round(float(size) / count, 1) for name, size in cursor.fetchall()}


def measure_reading(table: str, *, times: int) -> Mapping[str, float]:
    """Measure reading 100 events by their keys, and counting those of a segment: median milliseconds."""
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {table}")
        cursor.execute(
            f"SELECT customer_id, event_id, segment_id FROM {SOURCE}"  # noqa: S608 (our own)
            " WHERE segment_id IS NOT NULL ORDER BY random() LIMIT 100"
        )
        rows = cursor.fetchall()
    owners, event_ids, segments = zip(*rows, strict=True)
    by_key = [{"customer_ids": list(owners), "event_ids": list(event_ids)}] * times
    by_segment = [
        {"customer_id": owner, "segment_id": segment}
        for owner, segment in zip(owners[:times], segments[:times], strict=True)
    ]
    return {
        "100 keys": _time(BY_KEY.format(table=table), by_key),
        "a segment": _time(OF_A_SEGMENT.format(table=table), by_segment),
    }


def measure_fill_factor(fill_factor: int, *, rows: int, rounds: int, per_round: int) -> Mapping[str, float]:
    """Update rollups over and over, a few in each transaction, and see what became of the table."""
    table = f"benchmark_rollup_{fill_factor}"
    update = (
        f"UPDATE {table} SET total = total + 1.5, event_count = event_count + 1"  # noqa: S608 (our own)
        " WHERE stripe = ANY(%s)"
    )
    fill = f"""
        INSERT INTO {table} (customer_id, segment_id, meter_id, hour_at, event_count, late_count, stripe,
            group_key, total, late_total)
        SELECT md5((number %% 97)::text)::uuid, gen_random_uuid(), gen_random_uuid(), now(), 1, 0, number, '',
            number, 0
        FROM generate_series(1, %s) AS number
    """  # noqa: S608 (our own)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} (LIKE {ROLLUPS} INCLUDING ALL) WITH (fillfactor = {fill_factor})"
        )
        cursor.execute(fill, [rows])
        cursor.execute(f"CREATE INDEX ON {table} (stripe)")  # How this test finds its rows.
        cursor.execute(f"VACUUM (ANALYZE) {table}")
        cursor.execute("SELECT pg_table_size(%s)", [table])
        (size_before,) = cursor.fetchone()
        started = time.perf_counter()
        for number in range(rounds):
            numbers = [(number * 7919 + step * 104729) % rows + 1 for step in range(per_round)]
            cursor.execute(update, [numbers])
        seconds = time.perf_counter() - started
        cursor.execute(
            "SELECT pg_table_size(%(table)s), pg_indexes_size(%(table)s), n_tup_upd, n_tup_hot_upd"
            " FROM pg_stat_user_tables WHERE relid = %(table)s::regclass"
            " AND pg_stat_force_next_flush() IS NOT NULL",
            {"table": table},
        )
        size, index_size, updated, hot = cursor.fetchone()
        cursor.execute(f"DROP TABLE {table}")
    return {
        "fill_factor": fill_factor,
        "bytes_per_row_before": round(size_before / rows, 1),
        "bytes_per_row_after": round(size / rows, 1),
        "index_bytes_per_row_after": round(index_size / rows, 1),
        "hot_percent": round(100 * hot / max(updated, 1), 1),
        "updates_per_second": round(rounds * per_round / seconds),
    }


def measure_archive(*, count: int, times: int) -> Mapping[str, float]:
    """Keep the ids of many events as an archive does; measure their size, and what looking them up costs.

    Milliseconds for a thousand new events: while nothing is archived, and with all these ids kept.
    """
    batch = f"SELECT customer_id, event_id || 'x' AS event_id FROM {SOURCE} LIMIT 1000"  # noqa: S608 (our own)
    look_up = f"SELECT count(*) FROM ({batch}) AS given WHERE {IS_NOT_ARCHIVED}"  # noqa: S608 (our own)
    unchecked = _time(
        f"SELECT count(*) FROM ({batch}) AS given WHERE event_id <> ''",  # noqa: S608 (our own)
        [{}] * times,
    )
    empty = _time(look_up, [{}] * times)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO metering_eventarchive (id, number, status, format, ended_by, file_name, file_hash,"
            " manifest_name, manifest_hash, removed_count, created_at)"
            " VALUES (gen_random_uuid(), 1, 'Writing', 'JsonLines', now(), 'a', '', 'b', '', 0, now())"
        )
        cursor.execute(
            f"INSERT INTO {ARCHIVED} (customer_id, archive_number, event_id, content_hash)"  # noqa: S608 (our own)
            f" SELECT customer_id, 1, event_id, content_hash FROM {SOURCE} ORDER BY customer_id, event_id"
        )
        cursor.execute(f"VACUUM (ANALYZE) {ARCHIVED}")
        cursor.execute(
            "SELECT sum(pg_table_size(relid)), sum(pg_indexes_size(relid)) FROM pg_partition_tree(%s)",
            [ARCHIVED],
        )
        row_bytes, index_bytes = cursor.fetchone()
    return {
        "bytes_per_id": round(float(row_bytes) / count, 1),
        "index_bytes_per_id": round(float(index_bytes) / count, 1),
        "unchecked_ms": unchecked,
        "nothing_archived_ms": empty,
        "all_archived_ms": _time(look_up, [{}] * times),
    }


def _make_partitions(table: str, count: int) -> None:
    with connection.cursor() as cursor:
        for number in range(count):
            cursor.execute(
                f"CREATE TABLE {table}_p{number:02} PARTITION OF {table}"
                f" FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
            )


def _read_indexes() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [EVENTS])
        found: list[tuple[str, str]] = cursor.fetchall()
    assert {name for name, _ in found} == INDEXES.keys(), "The events have other indexes by now."
    return found


def _time(statement: str, parameters: Sequence[Mapping[str, Any]]) -> float:
    """Run a statement, prepared, with one set of parameters after the other; the median in milliseconds."""
    cursor = psycopg.Cursor(_connect())
    times = []
    for one in parameters:
        started = time.perf_counter()
        cursor.execute(statement, one, prepare=True).fetchall()
        times.append(time.perf_counter() - started)
    return round(1000 * median(times), 3)


def _connect() -> Any:
    connection.ensure_connection()
    return connection.connection
