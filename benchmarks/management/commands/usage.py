"""`python -m benchmarks usage`: reading usage over HTTP, with few events in the period and with many."""

import gc
import http.client
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.test import Client
from rich.console import Console
from rich.table import Table

from benchmarks.filling import check_hour, count_rollups, fill, vacuum
from benchmarks.install import HOST, STARTED_AGO, RunningInstall, running_services, running_web
from benchmarks.machine import describe_machine
from benchmarks.results import FOLDER, write_results
from billing_project.core.clock import now
from billing_project.core.periods import floor_to_hour
from subscriptions.models import Subscription

WARM_UP = 20
PERCENT = 100
MAX_RATIO, MAX_SERVER_MS = 1.5, 10

# What is asked for, besides the subscription. The first is what is to be reached.
QUERIES: Mapping[str, str] = {
    "summary": "",
    "by day": "?granularity=day",
    "by hour": "?granularity=hour",
    "the last 24 hours": "?window=Sliding&hours=24",
}

Times = dict[str, list[float]]


class Command(BaseCommand):
    """Measure reading usage, and compare."""

    help = "Measure how long the usage of a period takes to read, with few events in it and with many."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument(
            "--events",
            type=int,
            nargs=2,
            default=[10_000, 10_000_000],
            metavar=("FEW", "MANY"),
            help="how many events the periods have (default: 10,000 and 10,000,000)",
        )
        parser.add_argument(
            "--requests", type=int, default=1_000, help="how often each is asked (default: %(default)s)"
        )
        parser.add_argument("--output", type=Path, default=FOLDER, help="the folder for the results")

    def handle(self, *_: object, **options: Any) -> None:
        """Run the command."""
        console = Console()
        counts, at = sorted(options["events"]), now()
        with running_services(), running_web(customers=len(counts), at=at) as install:
            machine = describe_machine(settings.DATA_FOLDER.path)
            subscriptions = [Subscription.objects.get(pk=pk) for pk, _ in install.subscriptions]
            for subscription, count in zip(subscriptions, counts, strict=True):
                seconds = _load(subscription, count=count, at=at)
                console.print(f"{count:,} events stored in {seconds:.0f} s.")
            vacuum()
            rollup_counts = count_rollups(subscriptions)
            over_http, in_server = (
                _measure(ask, subscriptions, requests=options["requests"])
                for ask in (HttpReader(install), ServerReader(install))
            )
        results = [
            _describe(count, rollup_count, over_http[subscription.pk.hex], in_server[subscription.pk.hex])
            for subscription, count, rollup_count in zip(subscriptions, counts, rollup_counts, strict=True)
        ]
        for name in QUERIES:
            console.print(_draw(name, results))
        path = write_results(
            "usage",
            folder=options["output"],
            at=at,
            machine=machine,
            setup={
                "requests": options["requests"],
                "meters": 2,
                "web_workers": settings.BILLING_WEB_WORKERS,
                "web_threads": settings.BILLING_WEB_THREADS,
                "to_reach": {"p99_ratio": MAX_RATIO, "server_ms": MAX_SERVER_MS},
            },
            results=results,
        )
        console.print(f"Written to {path}.")


class HttpReader:
    """Asks the web server, on one connection that is kept."""

    def __init__(self, install: RunningInstall) -> None:
        self._headers = {"Authorization": f"Bearer {install.token}"}
        self._connection = http.client.HTTPConnection(HOST, install.port)

    def __call__(self, path: str) -> bytes:
        """Ask, and return the answer."""
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"{path} answered {response.status}: {body[:500].decode()}")
        return body


class ServerReader:
    """Asks Django in this process: all that the web server does for a request, without the way to it."""

    def __init__(self, install: RunningInstall) -> None:
        gc.collect()
        gc.freeze()  # As `wsgi.py` does: else collecting garbage falls on one of the queries, time and again.
        self._client = Client(SERVER_NAME=HOST, headers={"Authorization": f"Bearer {install.token}"})

    def __call__(self, path: str) -> bytes:
        """Ask, and return the answer."""
        response = self._client.get(path)
        if response.status_code != http.client.OK:
            raise RuntimeError(f"{path} answered {response.status_code}: {response.content[:500].decode()}")
        return response.content


def _load(subscription: Subscription, *, count: int, at: datetime) -> float:
    """Store the events of a period, check some of them, and return how long storing took."""
    starts_at = at - STARTED_AGO + timedelta(hours=1)
    started = time.perf_counter()
    fill(subscription, count=count, starts_at=starts_at, at=at)
    seconds = time.perf_counter() - started
    sample = floor_to_hour(at - STARTED_AGO / 2, timezone="UTC")
    assert check_hour(subscription, starts_at=sample) > 0, "There are events in each hour."
    return seconds


def _measure(
    ask: HttpReader | ServerReader, subscriptions: Sequence[Subscription], *, requests: int
) -> Mapping[str, Times]:
    """Measure every query by turns, so that what else the machine does hits all alike; in milliseconds."""
    times: defaultdict[str, Times] = defaultdict(lambda: defaultdict(list))
    for number in range(WARM_UP + requests):
        for name, query in QUERIES.items():
            for subscription in subscriptions:
                started = time.perf_counter()
                ask(f"/v1/subscriptions/{subscription.pk}/usage{query}")
                if number >= WARM_UP:
                    times[subscription.pk.hex][name].append(1000 * (time.perf_counter() - started))
    return times


def _describe(count: int, rollup_count: int, over_http: Times, in_server: Times) -> dict[str, Any]:
    return {
        "events": count,
        "rollups": rollup_count,
        "queries": {
            name: {
                "http_ms": _summarize(over_http[name]),
                "server_ms": _summarize(in_server[name]),
            }
            for name in QUERIES
        },
    }


def _summarize(times: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(times, n=PERCENT, method="inclusive")
    return {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)}


def _draw(name: str, results: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=f"Usage: {name}")
    columns = ("events", "rollups", "HTTP p50 ms", "HTTP p99 ms", "server p50 ms", "server p99 ms", "p99 is")
    for column in columns:
        table.add_column(column, justify="right")
    least = results[0]["queries"][name]["http_ms"]["p99"]
    for result in results:
        http_ms, server_ms = (result["queries"][name][key] for key in ("http_ms", "server_ms"))
        table.add_row(
            f"{result['events']:,}",
            f"{result['rollups']:,}",
            *(f"{times[cut]:.1f}" for times in (http_ms, server_ms) for cut in ("p50", "p99")),
            f"{http_ms['p99'] / least:.2f} of the first",
        )
    return table
