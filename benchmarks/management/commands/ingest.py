"""`python -m benchmarks ingest`: events over HTTP, beside COPY, a bare view and Django as it comes."""

from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from benchmarks.baselines import make_tables
from benchmarks.copying import copy_events
from benchmarks.install import RunningInstall, running_services, running_web
from benchmarks.load import Events, Measurement, Plan, Target, make_events, send
from benchmarks.machine import describe_machine
from benchmarks.results import FOLDER, write_results
from billing_project.core.clock import now
from metering.invariants import check_owners, check_rollups

CONNECTIONS = 4
EVENTS_PER_RUN = {1: 1_600, 100: 40_000, 1_000: 80_000}
PLATFORM, COPY, BARE, PLAIN = "platform", "COPY", "bare view", "plain DRF"

# What part of each baseline the platform is to reach, by the size of a batch.
REACH: Mapping[int, Mapping[str, float]] = {
    1: {BARE: 0.7},
    100: {COPY: 0.12, BARE: 0.7, PLAIN: 2},
    1_000: {COPY: 0.18, BARE: 0.7, PLAIN: 2},
}

Runs = dict[str, list[Measurement]]


class Command(BaseCommand):
    """Measure ingest, and compare."""

    help = (
        "Measure how many events a second are taken in over HTTP, and compare with baselines of the same run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("--batch", type=int, nargs="+", choices=EVENTS_PER_RUN, default=[100, 1_000])
        parser.add_argument(
            "--runs", type=int, default=5, help="how often each is measured (default: %(default)s)"
        )
        parser.add_argument(
            "--customers", type=int, default=1_000, help="how many there are (default: %(default)s)"
        )
        parser.add_argument(
            "--part", type=int, default=1, help="send only one of so many events, for a quick look"
        )
        parser.add_argument("--output", type=Path, default=FOLDER, help="the folder for the results")

    def handle(self, *_: object, **options: Any) -> None:
        """Run the command."""
        console = Console()
        at = now()
        with running_services(), running_web(customers=options["customers"], at=at) as install:
            machine = describe_machine(settings.DATA_FOLDER.path)
            make_tables()
            measured = {size: self._measure(console, install, size, options) for size in options["batch"]}
            console.print("Checking that rollups equal what the events add up to ...")
            breaches = [*check_owners(), *check_rollups()]
        if breaches:
            raise CommandError(f"The events do not add up: {breaches[0]}")
        for size, runs in measured.items():
            console.print(_draw(size, runs))
        path = write_results(
            "ingest",
            folder=options["output"],
            at=at,
            machine=machine,
            setup={
                "connections": CONNECTIONS,
                "customers": options["customers"],
                "meters": 2,
                "web_workers": settings.BILLING_WEB_WORKERS,
                "web_threads": settings.BILLING_WEB_THREADS,
            },
            results=[_describe(size, runs) for size, runs in measured.items()],
        )
        console.print(f"Written to {path}.")

    def _measure(
        self, console: Console, install: RunningInstall, size: int, options: Mapping[str, Any]
    ) -> Runs:
        """Measure everything once, then again, so that what else the machine does hits all alike."""
        requests = max(1, EVENTS_PER_RUN[size] // options["part"] // size // CONNECTIONS)
        plan = Plan(connections=CONNECTIONS, requests=requests, batch_size=size)
        runs: Runs = defaultdict(list)
        for number in range(options["runs"]):
            events = Events(install.subscriptions, at=now(), seed=f"{size}/{number}")
            runs[COPY].append(copy_events(make_events(events, plan.event_count), at=events.at))
            for target in _list_targets(install, size):
                runs[target.name].append(send(target, plan, events))
            rates = ", ".join(f"{name} {own[-1].events_per_second:,.0f}/s" for name, own in runs.items())
            console.print(f"batch {size}, run {number + 1}: {rates}")
        return runs


def _list_targets(install: RunningInstall, size: int) -> Sequence[Target]:
    key = {"Authorization": f"Bearer {install.token}"}
    path, status = ("/v1/events", 201) if size == 1 else ("/v1/events/batch", 200)
    return [
        Target(PLATFORM, install.port, path, key, status),
        Target(BARE, install.port, "/benchmark/bare", {}, 200),
        Target(PLAIN, install.port, "/benchmark/plain", {}, 200),
    ]


def _rate(runs: Sequence[Measurement]) -> float:
    return median(run.events_per_second for run in runs)


def _draw(size: int, runs: Runs) -> Table:
    table = Table(title=f"Batches of {size}, {CONNECTIONS} connections, median of {len(runs[PLATFORM])}")
    for name in ("", "events/s", "of each run", "median ms", "platform is", "to reach"):
        table.add_column(name, justify="right" if name else "left")
    for name, own in sorted(runs.items(), key=lambda item: -_rate(item[1])):
        reach = REACH[size].get(name)
        table.add_row(
            name,
            f"{_rate(own):,.0f}",
            " ".join(f"{run.events_per_second:,.0f}" for run in own),
            f"{median(run.median_ms for run in own):.1f}",
            "" if name == PLATFORM else f"{_rate(runs[PLATFORM]) / _rate(own):.2f} of it",
            "" if reach is None else f"{reach:g}",
        )
    return table


def _describe(size: int, runs: Runs) -> Mapping[str, object]:
    return {
        "batch_size": size,
        "variants": {
            name: {
                "events_per_second": round(_rate(own)),
                "runs": [round(run.events_per_second) for run in own],
                "median_ms": round(median(run.median_ms for run in own), 2),
            }
            for name, own in runs.items()
        },
        "platform_to": {
            name: round(_rate(runs[PLATFORM]) / _rate(own), 3)
            for name, own in runs.items()
            if name != PLATFORM
        },
        "to_reach": REACH[size],
    }
