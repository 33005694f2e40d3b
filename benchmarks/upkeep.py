"""What keeping tables in order costs, by how much of them may have changed until they are vacuumed.

Autovacuum looks once a minute; here the same question is put after each transaction, so that the figures do
not depend on when it looks.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import connection

from benchmarks.storage import COLUMNS, ROLLUPS, SOURCE, Variant, having_table

ROLLUP_FILL_FACTOR = 70
ONE_PARTITION = Variant(1)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """When a table is vacuumed: once so many rows have changed, and besides them such a part of all."""

    name: str
    threshold: float
    factor: float

    def is_due(self, changed: int, *, of: int) -> bool:
        """Tell whether so many changed rows of so many are enough."""
        return changed > self.threshold + self.factor * of


NEVER = Upkeep("never", float("inf"), 0)
OF_EVENTS = (
    NEVER,
    Upkeep("1,000 + 20 % (PostgreSQL's own)", 1_000, 0.2),
    Upkeep("10,000 + 5 %", 10_000, 0.05),
    Upkeep("10,000 + 1 %", 10_000, 0.01),
)
OF_ROLLUPS = (
    NEVER,
    Upkeep("50 + 20 % (PostgreSQL's own)", 50, 0.2),
    Upkeep("1,000 + 2 %", 1_000, 0.02),
    Upkeep("50 + 1 %", 50, 0.01),
)


@dataclass(slots=True)
class _Vacuum:
    """Vacuums a table, and keeps count."""

    table: str
    options: str
    times: int = 0
    seconds: float = 0.0
    slowest: float = 0.0

    def run(self) -> None:
        """Vacuum once."""
        started = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM ({self.options}) {self.table}")
        seconds = time.perf_counter() - started
        self.times += 1
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)


def measure_insert_upkeep(upkeep: Upkeep, *, count: int, batch_size: int) -> Mapping[str, float | str]:
    """Store events, and freeze them whenever enough of them are new; at the end in any case.

    Returns how often, and how long for a million events in all, and at worst.
    """
    insert = (
        f"INSERT INTO {{table}} ({COLUMNS}) SELECT {COLUMNS} FROM {SOURCE}"  # noqa: S608 (our own)
        " WHERE number > %s AND number <= %s"
    )
    with having_table(ONE_PARTITION) as table, connection.cursor() as cursor:
        vacuum = _Vacuum(table, "FREEZE")
        new = 0
        for start in range(0, count, batch_size):
            cursor.execute(insert.format(table=table), [start, start + batch_size])
            new += batch_size
            if upkeep.is_due(new, of=start + batch_size):
                vacuum.run()
                new = 0
        vacuum.run()
    million = count / 1_000_000
    return {
        "once new": upkeep.name,
        "vacuums": vacuum.times,
        "seconds_per_million": round(vacuum.seconds / million, 2),
        "longest_seconds": round(vacuum.slowest, 2),
    }


def measure_update_upkeep(
    upkeep: Upkeep, *, rows: int, rounds: int, per_round: int
) -> Mapping[str, float | str]:
    """Update rollups over and over, and vacuum whenever enough of them are dead, and not pruned yet."""
    table = "benchmark_upkeep"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE {table} (LIKE {ROLLUPS} INCLUDING ALL) WITH (fillfactor = {ROLLUP_FILL_FACTOR})"
        )
        cursor.execute(
            f"""
            INSERT INTO {table} (customer_id, segment_id, meter_id, hour_at, event_count, late_count, stripe,
                group_key, total, late_total)
            SELECT md5((number %% 97)::text)::uuid, gen_random_uuid(), gen_random_uuid(), now(), 1, 0, number,
                '', number, 0
            FROM generate_series(1, %s) AS number
            """,  # noqa: S608 (our own)
            [rows],
        )
        cursor.execute(f"CREATE INDEX ON {table} (stripe)")  # How this test finds its rows.
        cursor.execute(f"VACUUM (ANALYZE) {table}")
        vacuum = _Vacuum(table, "VERBOSE FALSE")
        seconds = 0.0
        for number in range(rounds):
            numbers = [(number * 7919 + step * 104729) % rows + 1 for step in range(per_round)]
            started = time.perf_counter()
            cursor.execute(
                f"UPDATE {table} SET total = total + 1.5, event_count = event_count + 1"  # noqa: S608 (our own)
                " WHERE stripe = ANY(%s)",
                [numbers],
            )
            seconds += time.perf_counter() - started
            if upkeep.is_due(_count_dead(table), of=rows):
                vacuum.run()
        cursor.execute("SELECT pg_table_size(%(table)s), pg_indexes_size(%(table)s)", {"table": table})
        size, index_size = cursor.fetchone()
        cursor.execute(f"DROP TABLE {table}")
    return {
        "once dead": upkeep.name,
        "vacuums": vacuum.times,
        "vacuum_percent": round(100 * vacuum.seconds / (vacuum.seconds + seconds), 1),
        "bytes_per_row": round(size / rows, 1),
        "index_bytes_per_row": round(index_size / rows, 1),
        "updates_per_second": round(rounds * per_round / seconds),
    }


def _count_dead(table: str) -> int:
    """Count the dead rows as autovacuum does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = %s::regclass", [table])
        (count,) = cursor.fetchone()
    return int(count)
