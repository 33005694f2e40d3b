"""Imports against each other, against ingest, against closing, and against the end of a process."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from catalog.models import BillingCadence
from metering.ingest import reading
from metering.ingest.incoming import IngestReport
from metering.models import EventImport, UsageEvent
from metering.operations import ingest_many_events, ingestion
from tests.concurrency.metering.test_ingestion import stop_before
from tests.concurrency.racing import Meeting, errors_of, race
from tests.factories.core import NOON
from tests.factories.metering import (
    INPUT,
    close,
    count_report,
    decode,
    get_period_number,
    ingest,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
FIRST_END = utc(2026, 3, 2)
Patches = pytest.MonkeyPatch
Event = dict[str, Any]


def write_file(path: Path, events: Sequence[Event]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(event, enc_hook=str) + b"\n" for event in events))
    return path


def run(path: Path, *, processes: int = 1, chunk: int = 7) -> str:
    """Import a file as the command does; return what it refused to do, if anything."""
    report = path.with_name(f"{path.name}.{threading.get_ident()}.refused")
    try:
        call_command("import_events", str(path), processes=processes, chunk=chunk, refused=report)
    except CommandError as error:
        return str(error)
    return ""


def ingest_many(*events: Event, at: Any = NOON) -> IngestReport:
    return ingest_many_events(events=decode(*events), at=at)


class TestImports:
    def test_of_one_file_at_once_count_once(self, tmp_path: Path) -> None:
        subscription = subscribe(plan=make_metered_plan())
        path = write_file(tmp_path / "events.jsonl", [write_event(subscription) for _ in range(60)])

        outcomes = race(*[partial(run, path)] * 4)

        assert errors_of(outcomes) == []
        assert outcomes.count("") >= 1
        assert set(outcomes) <= {"", "1 of 1 files not done."}  # Another was at it.
        assert UsageEvent.objects.count() == 60
        assert read_totals(subscription)[INPUT] == 600
        assert sum(row.accepted_count for row in EventImport.objects.all()) == 60
        assert find_breaches() == []

    def test_of_the_same_events_in_several_files_count_once(self, tmp_path: Path) -> None:
        plan = make_metered_plan()
        subscriptions = [subscribe(plan=plan) for _ in range(3)]
        events = [write_event(each) for each in subscriptions for _ in range(30)]
        paths = [
            write_file(tmp_path / f"{number}.jsonl", events[number * 9 :] + events[: number * 9])
            for number in range(4)
        ]

        outcomes = race(*[partial(run, path) for path in paths])

        assert outcomes == [""] * 4
        rows = EventImport.objects.all()
        assert sum(row.accepted_count for row in rows) == 90
        assert sum(row.duplicate_count for row in rows) == 3 * 90
        assert [read_totals(each)[INPUT] for each in subscriptions] == [300] * 3
        assert find_breaches() == []


class TestAgainstIngest:
    def test_each_event_counts_once(self, tmp_path: Path) -> None:
        subscription = subscribe(plan=make_metered_plan())
        events = [write_event(subscription) for _ in range(60)]
        path = write_file(tmp_path / "events.jsonl", events)

        def send() -> int:
            return sum(ingest(*events[start : start + 10]).accepted for start in range(0, 60, 10))

        said, *accepted = race(partial(run, path), send, send)

        assert said == ""
        assert sum(accepted) + EventImport.objects.get().accepted_count == 60
        assert read_totals(subscription)[INPUT] == 600
        assert find_breaches() == []


class TestAgainstClosing:
    def race(self, patches: Patches) -> tuple[int, object]:
        """Close a period while an imported event for it is on its way; tell where it is, and what was billed."""
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        event = write_event(subscription)
        meeting = Meeting()
        stop_before(patches, ingestion, "copy_events", meeting)

        def close_and_bill() -> object:
            with meeting.entering_second():
                close(subscription, 0, at=FIRST_END + HOUR)
                return read_totals(subscription, period=0).get(INPUT, 0)

        report, billed = race(partial(ingest_many, event, at=FIRST_END + HOUR), close_and_bill)
        assert count_report(report) == (1, 0, 0)
        return get_period_number(event), billed

    def test_no_event_enters_a_closed_period(self, monkeypatch: Patches) -> None:
        assert self.race(monkeypatch) == (0, 10)

    def test_one_would_without_the_slot(self, monkeypatch: Patches) -> None:
        monkeypatch.setattr(reading, "lock_slots_shared", lambda _: None)

        assert self.race(monkeypatch) == (0, 0)  # It is in the period, and on no bill.
