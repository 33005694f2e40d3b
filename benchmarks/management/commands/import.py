# ruff: noqa: N999 (the name of the benchmark)
"""`python -m benchmarks import`: events from a file, beside COPY of the same rows."""

import io
import re
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from benchmarks.baselines import make_tables
from benchmarks.copying import copy_events
from benchmarks.install import RunningInstall, running_services, running_web
from benchmarks.load import Events, make_events
from benchmarks.machine import describe_machine
from benchmarks.results import FOLDER, write_results
from billing_project.core.clock import now
from catalog.models import Meter
from metering.conf import read_import_chunk, read_import_processes
from metering.invariants import check_owners
from metering.meters import build_rule
from metering.models import UsageEvent
from metering.recounting import ALWAYS, compare
from subscriptions.models import Segment

REACH = 0.4  # Of COPY.
CHECKED_CUSTOMERS = 50
# A log is in order of time; a table that was dumped is in no order that matters here.
ORDERS = ("in order of time", "in no order")
_RATE = re.compile(r"events in [0-9.,]+ s, ([0-9,]+) a second")


@dataclass(frozen=True, slots=True)
class Runs:
    """How many events a second were imported, and copied, in each run.

    `whole` counts from the command's start to its end, `working` without its setting itself up.
    """

    copied: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    working: list[float] = field(default_factory=list)


class Command(BaseCommand):
    """Measure the import of files, and compare."""

    help = "Measure how many events a second are imported from a file, and compare with COPY of the same run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument(
            "--events", type=int, default=300_000, help="how many a file has (default: %(default)s)"
        )
        parser.add_argument(
            "--runs", type=int, default=3, help="how often each is measured (default: %(default)s)"
        )
        parser.add_argument(
            "--customers", type=int, default=1_000, help="how many there are (default: %(default)s)"
        )
        parser.add_argument("--processes", type=int, default=read_import_processes())
        parser.add_argument("--chunk", type=int, default=read_import_chunk())
        parser.add_argument("--output", type=Path, default=FOLDER, help="the folder for the results")

    def handle(self, *_: object, **options: Any) -> None:
        """Run the command."""
        console = Console()
        at = now()
        with running_services(), running_web(customers=options["customers"], at=at) as install:
            machine = describe_machine(settings.DATA_FOLDER.path)
            make_tables()
            measured = {order: self._measure(console, install, order, options) for order in ORDERS}
            console.print(f"Checking the events, and the rollups of {CHECKED_CUSTOMERS} customers ...")
            _check(event_count=len(ORDERS) * options["runs"] * options["events"])
        console.print(_draw(measured, options))
        setup = {name: options[name] for name in ("events", "customers", "processes", "chunk")}
        path = write_results(
            "import",
            folder=options["output"],
            at=at,
            machine=machine,
            setup={**setup, "meters": 2},
            results=[_describe(order, runs) for order, runs in measured.items()],
        )
        console.print(f"Written to {path}.")

    def _measure(
        self, console: Console, install: RunningInstall, order: str, options: Mapping[str, Any]
    ) -> Runs:
        """Measure both once, then again, so that what else the machine does hits both alike."""
        runs = Runs()
        for number in range(options["runs"]):
            events = Events(install.subscriptions, at=now(), seed=f"{order}/{number}")
            made = make_events(events, options["events"])
            if order == ORDERS[0]:
                made.sort(key=itemgetter("timestamp"))
            path = settings.DATA_FOLDER.path / f"{order.replace(' ', '-')}-{number}.jsonl"
            with path.open("wb") as file:
                file.writelines(msgspec.json.encode(event) + b"\n" for event in made)
            runs.copied.append(copy_events(made, at=events.at).events_per_second)
            self._import(path, runs, options)
            path.unlink()
            console.print(
                f"{order}, run {number + 1}: COPY {runs.copied[-1]:,.0f}/s, "
                f"import {runs.whole[-1]:,.0f}/s, without its start {runs.working[-1]:,.0f}/s"
            )
        return runs

    def _import(self, path: Path, runs: Runs, options: Mapping[str, Any]) -> None:
        said = io.StringIO()
        started = time.perf_counter()
        call_command(
            "import_events",
            str(path),
            processes=options["processes"],
            chunk=options["chunk"],
            stdout=said,
        )
        runs.whole.append(options["events"] / (time.perf_counter() - started))
        rate = _RATE.search(said.getvalue())
        if rate is None or f"{options['events']:,} accepted" not in said.getvalue():
            raise CommandError(f"Not every event was imported: {said.getvalue()}")
        runs.working.append(float(rate[1].replace(",", "")))


def _check(*, event_count: int) -> None:
    """Check that every event is stored, where it belongs, and that rollups are what events add up to.

    Counting all of them anew would take longer than all the rest, so it is done for some customers.
    """
    stored_count = UsageEvent.objects.count()
    if stored_count != event_count:
        raise CommandError(f"{event_count:,} events were imported, and {stored_count:,} are stored.")
    breach = next(check_owners(), None)
    if breach is not None:
        raise CommandError(breach)
    rules = [build_rule(meter) for meter in Meter.objects.all()]
    for segment in Segment.objects.select_related("subscription", "period")[:CHECKED_CUSTOMERS]:
        if compare(segment, stretch=ALWAYS, rules=rules).wrong:
            raise CommandError(f"The rollups of {segment} are not what its events add up to.")


def _draw(measured: Mapping[str, Runs], options: Mapping[str, Any]) -> Table:
    title = f"{options['events']:,} events, {options['processes']} processes, median of {options['runs']}"
    table = Table(title=title)
    for name in ("", "events/s", "of each run", "without start", "COPY", "of COPY", "to reach"):
        table.add_column(name, justify="right" if name else "left")
    for order, runs in measured.items():
        table.add_row(
            order,
            f"{median(runs.whole):,.0f}",
            _list(runs.whole),
            f"{median(runs.working):,.0f}",
            _list(runs.copied),
            f"{median(runs.whole) / median(runs.copied):.2f}",
            f"{REACH:g}",
        )
    return table


def _list(rates: Sequence[float]) -> str:
    return " ".join(f"{rate:,.0f}" for rate in rates)


def _describe(order: str, runs: Runs) -> Mapping[str, object]:
    return {
        "order": order,
        "events_per_second": round(median(runs.whole)),
        "runs": [round(rate) for rate in runs.whole],
        "events_per_second_without_start": round(median(runs.working)),
        "copy_events_per_second": round(median(runs.copied)),
        "copy_runs": [round(rate) for rate in runs.copied],
        "platform_to_copy": round(median(runs.whole) / median(runs.copied), 3),
        "to_reach": REACH,
    }
