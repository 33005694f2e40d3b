"""`python -m benchmarks storage`: what events, ids and rollups take, with which partitions and indexes."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from benchmarks.install import running_services
from benchmarks.machine import describe_machine
from benchmarks.results import FOLDER, write_results
from benchmarks.storage import (
    INDEXES,
    VARIANTS,
    Variant,
    having_table,
    load,
    make_source,
    measure_archive,
    measure_fill_factor,
    measure_reading,
    measure_sizes,
)
from benchmarks.upkeep import OF_EVENTS, OF_ROLLUPS, measure_insert_upkeep, measure_update_upkeep
from billing_project.core.clock import now

FILL_FACTORS = (100, 90, 70, 50)
TIMES = 50
ROLLUP_ROWS, ROLLUP_ROUNDS, ROLLUPS_PER_ROUND = 30_000, 200, 500

Result = Mapping[str, Any]


class Command(BaseCommand):
    """Measure storage, and compare."""

    help = (
        "Measure what events take on disk and how fast they are stored and found, by partitions and indexes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument(
            "--events", type=int, default=400_000, help="how many each table gets (default: %(default)s)"
        )
        parser.add_argument(
            "--batch", type=int, default=1_000, help="stored at a time (default: %(default)s)"
        )
        parser.add_argument("--output", type=Path, default=FOLDER, help="the folder for the results")

    def handle(self, *_: object, **options: Any) -> None:
        """Run the command."""
        console = Console()
        count, batch_size, at = options["events"], options["batch"], now()
        with running_services():
            machine = describe_machine(settings.DATA_FOLDER.path)
            make_source(count)
            variants = [self._measure(console, variant, count, batch_size) for variant in VARIANTS]
            rollups = [
                measure_fill_factor(
                    fill_factor, rows=ROLLUP_ROWS, rounds=ROLLUP_ROUNDS, per_round=ROLLUPS_PER_ROUND
                )
                for fill_factor in FILL_FACTORS
            ]
            inserts = [
                measure_insert_upkeep(upkeep, count=count, batch_size=batch_size) for upkeep in OF_EVENTS
            ]
            updates = [
                measure_update_upkeep(
                    upkeep, rows=ROLLUP_ROWS, rounds=ROLLUP_ROUNDS, per_round=ROLLUPS_PER_ROUND
                )
                for upkeep in OF_ROLLUPS
            ]
            archive = measure_archive(count=count, times=TIMES)
        console.print(_draw_sizes(variants))
        console.print(_draw_speed(variants))
        console.print(_draw_rows("Rollups, updated over and over", rollups))
        console.print(_draw_rows("Events, frozen once so many are new", inserts))
        console.print(_draw_rows("Rollups, vacuumed once so many are dead", updates))
        console.print(_draw_rows("Ids of archived events, and looking 1,000 up", [archive]))
        path = write_results(
            "storage",
            folder=options["output"],
            at=at,
            machine=machine,
            setup={"events": count, "batch_size": batch_size, "customers": 2_000},
            results=[
                {
                    "events": variants,
                    "rollups": rollups,
                    "upkeep_of_events": inserts,
                    "upkeep_of_rollups": updates,
                    "archive": archive,
                }
            ],
        )
        console.print(f"Written to {path}.")

    def _measure(self, console: Console, variant: Variant, count: int, batch_size: int) -> Result:
        with having_table(variant) as table:
            rate = load(table, count=count, batch_size=batch_size)
            reading = measure_reading(table, times=TIMES)
            sizes = measure_sizes(table, count=count)
        console.print(f"{variant.title}: {rate:,.0f} events/s")
        return {
            "variant": variant.title,
            "partitions": variant.partitions,
            "without": INDEXES.get(variant.without),
            "events_per_second": round(rate),
            "bytes_per_event": {INDEXES.get(name, name): size for name, size in sizes.items()},
            "median_ms": reading,
        }


def _draw_sizes(variants: Sequence[Result]) -> Table:
    table = Table(title="Bytes of an event")
    parts = ("rows", *INDEXES.values())
    for name in ("", *parts, "all"):
        table.add_column(name, justify="right" if name else "left")
    for one in variants:
        sizes = one["bytes_per_event"]
        cells = [f"{sizes[part]:.0f}" if part in sizes else "" for part in parts]
        table.add_row(one["variant"], *cells, f"{sum(sizes.values()):.0f}")
    return table


def _draw_speed(variants: Sequence[Result]) -> Table:
    table = Table(title="Storing, and finding again (median ms)")
    for name in ("", "events/s", *variants[0]["median_ms"]):
        table.add_column(name, justify="right" if name else "left")
    for one in variants:
        times = [f"{value:g}" for value in one["median_ms"].values()]
        table.add_row(one["variant"], f"{one['events_per_second']:,}", *times)
    return table


def _draw_rows(title: str, rows: Sequence[Result]) -> Table:
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:,}" for value in row.values()))
    return table
