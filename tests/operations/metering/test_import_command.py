"""`import_events`: what it makes of files, what it says, and how it goes on after it was stopped."""

import gzip
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from billing_project.core.models import AuditEntry
from metering.importing import operations, progress, refusals, running
from metering.importing.dealing import deal
from metering.importing.locks import holding_file
from metering.importing.records import Chunk, gather
from metering.importing.sources import identify
from metering.management.commands import import_events
from metering.models import EventImport, ImportFormat, UsageEvent
from subscriptions.models import Subscription
from tests.concurrency.racing import Meeting, race
from tests.factories.core import NOON
from tests.factories.metering import (
    INPUT,
    OUTPUT,
    get_stored,
    ingest,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

HEADER = (
    "id,event_type,customer_id,subscription_id,timestamp,properties.input_tokens,properties.output_tokens"
)


@pytest.fixture
def subscription() -> Subscription:
    return subscribe(plan=make_metered_plan())


def encode(event: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def write_lines(events: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(encode(event) + b"\n" for event in events)


def write_csv(events: Sequence[Mapping[str, Any]]) -> bytes:
    rows = [
        f"{event['id']},{event['event_type']},{event['customer_id']},{event['subscription_id']},"
        f"{event['timestamp'].isoformat()},{event['properties']['input_tokens']},"
        f"{event['properties']['output_tokens']}"
        for event in events
    ]
    return "\r\n".join([HEADER, *rows, ""]).encode()


def run(*files: Path | str, chunk: int = 3, **options: Any) -> tuple[int, str]:
    """Run the command in this process; return its exit code and what it said."""
    said = io.StringIO()
    try:
        call_command(
            "import_events", *map(str, files), processes=1, chunk=chunk, stdout=said, stderr=said, **options
        )
    except CommandError as error:
        return error.returncode, f"{said.getvalue()}{error}"
    return 0, said.getvalue()


def read_report(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def count_import() -> tuple[int, int, int]:
    row = EventImport.objects.latest("id")
    return row.accepted_count, row.duplicate_count, row.rejected_count


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "write"),
        [
            ("events.jsonl", write_lines),
            ("events.NDJSON", write_lines),
            ("events.jsonl.gz", lambda events: gzip.compress(write_lines(events))),
            ("packed.jsonl", lambda events: gzip.compress(write_lines(events))),
            (
                "windows.jsonl",
                lambda events: b"\xef\xbb\xbf" + write_lines(events).replace(b"\n", b"\r\n\r\n"),
            ),
            ("unfinished.jsonl", lambda events: write_lines(events).rstrip()),
            ("events.csv", write_csv),
            ("events.csv", lambda events: b"\xef\xbb\xbf" + write_csv(events)),
            (
                "events.csv.gz",
                lambda events: (
                    gzip.compress(write_csv(events)[:300]) + gzip.compress(write_csv(events)[300:])
                ),
            ),
        ],
    )
    def test_are_read(
        self,
        name: str,
        write: Callable[[Sequence[Mapping[str, Any]]], bytes],
        subscription: Subscription,
        tmp_path: Path,
    ) -> None:
        path = tmp_path / name
        events = [write_event(subscription, timestamp=NOON) for _ in range(10)]
        path.write_bytes(write(events))

        code, said = run(path)

        assert (code, count_import()) == (0, (10, 0, 0)), said
        assert "10 accepted, 0 duplicates, 0 refused" in said
        assert read_totals(subscription) == {INPUT: 100, OUTPUT: 20}
        assert list(tmp_path.iterdir()) == [path]
        assert run(path, restart=True)[0] == 0
        assert ingest(*events).duplicates == 10  # In whatever they came, they are the same.
        assert find_breaches() == []

    def test_are_read_from_standard_input(
        self, subscription: Subscription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        events = [write_event(subscription) for _ in range(4)]
        for expected, content in (
            ((4, 0, 0), gzip.compress(write_lines(events))),
            ((0, 4, 0), write_lines(events)),
        ):
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

            assert run("-")[0] == 0

            assert count_import() == expected

    def test_may_be_several(self, subscription: Subscription, tmp_path: Path) -> None:
        paths = [tmp_path / f"{number}.jsonl" for number in range(3)]
        for path in paths:
            path.write_bytes(write_lines([write_event(subscription)]))

        assert run(*paths)[0] == 0

        assert read_totals(subscription)[INPUT] == 30

    @pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
    def test_may_have_nothing_in_them(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_bytes(content)

        assert run(path)[0] == 0

        assert count_import() == (0, 0, 0)


class TestUnusableFiles:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("events.txt", b"{}", "The format of events.txt is not in its name"),
            ("events.csv", b"", "is empty"),
            ("events.csv", b"tokens\n1\n", "The column 'tokens' is unknown"),
            ("events.parquet", b"PAR1", "Parquet"),
            ("events.jsonl", None, "No such file"),
        ],
    )
    def test_are_refused_whole(self, name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)

        code, said = run(path)

        assert code == 2
        assert message in said
        assert EventImport.objects.count() == 0

    def test_do_not_keep_the_next_from_being_read(self, subscription: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_bytes(write_lines([write_event(subscription)]))

        code, said = run(tmp_path, path)

        assert code == 2
        assert "is not a file" in said
        assert count_import() == (1, 0, 0)

    def test_that_are_torn_are_read_up_to_there(self, subscription: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl.gz"
        lines = write_lines([write_event(subscription) for _ in range(2_000)])
        whole = gzip.compress(lines)
        path.write_bytes(whole[: len(whole) // 2])

        code, said = run(path, chunk=100)

        assert code == 2
        assert "cannot be read any further" in said
        accepted, _, rejected = count_import()
        assert 0 < accepted < 2_000
        assert rejected == 0
        assert not EventImport.objects.get().is_finished

        path.write_bytes(whole)
        assert run(path, chunk=1_000)[0] == 0
        assert count_import() == (2_000 - accepted, accepted, 0)


class TestRefusals:
    def test_are_reported_with_their_lines(self, subscription: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        good = write_event(subscription, id="good")
        stored = write_event(subscription, id="stored")
        ingest(stored)
        bad = [
            encode(write_event(subscription, id="negative", properties={"input_tokens": -1})),
            b'{"id": "cut',
            b'{"id": "\xff"}',
            encode({**stored, "properties": {}}),
            b"x" * (1024 * 1024 + 1),
            encode(write_event(subscription, id="nan")).replace(b"10", b"NaN"),
        ]
        path.write_bytes(b"\n".join([encode(good), b"", *bad, encode(stored), b""]))

        code, said = run(path)

        assert code == 1
        assert "6 events were refused" in said
        assert count_import() == (1, 1, 6)
        report = sorted(read_report(tmp_path / "events.jsonl.refused.ndjson"), key=itemgetter("line"))
        assert [(entry["line"], entry["id"], entry["code"]) for entry in report] == [
            (3, "negative", "invalid_value"),
            (4, None, "malformed"),
            (5, None, "malformed"),
            (6, "stored", "conflict"),
            (7, None, "too_long"),
            (8, None, "malformed"),
        ]
        assert report[0]["record"] == bad[0].decode()
        assert report[0]["detail"] == "The property 'input_tokens' is negative."
        assert report[2]["record"] == '{"id": "\N{REPLACEMENT CHARACTER}"}'
        assert report[4]["record"] == "x" * refusals.SHOWN_BYTES
        assert find_breaches() == []

    def test_go_where_it_is_said(self, subscription: Subscription, tmp_path: Path) -> None:
        path, report = tmp_path / "events.csv", tmp_path / "report"
        path.write_text(f'{HEADER}\na,"b\n\n",c\n')

        assert run(path, refused=report)[0] == 1

        assert [(entry["line"], entry["record"]) for entry in read_report(report)] == [(2, 'a,"b\n\n",c')]
        assert run(path, path, refused=report)[0] == 1  # Which is a wrong call, and does nothing.
        assert EventImport.objects.count() == 1

    def test_that_cannot_be_written_stop_the_import(self, subscription: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_bytes(write_lines([write_event(subscription)]))

        code, said = run(path, refused=tmp_path / "missing" / "report")

        assert code == 2
        assert "name another --refused" in said
        assert UsageEvent.objects.count() == 0


class Crash(Exception):
    """Something that no code expects."""


def crash_in_chunk(number: int, patches: pytest.MonkeyPatch) -> None:
    """Have the process die in a chunk, when all is written but nothing committed."""
    count = 0
    original = progress.add_span

    def add(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            raise Crash
        return original(*arguments)

    patches.setattr(operations, "add_span", add)


class TestProgress:
    @pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz", "events.csv", "events.csv.gz"])
    def test_goes_on_where_it_stopped(
        self, name: str, subscription: Subscription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / name
        events = [
            write_event(
                subscription,
                properties={"input_tokens": -1 if number in {1, 8} else number, "output_tokens": 1},
            )
            for number in range(10)
        ]
        content = write_csv(events) if ".csv" in name else write_lines(events)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        with monkeypatch.context() as patches:
            crash_in_chunk(3, patches)
            with pytest.raises(Crash):
                run(path)
        assert count_import() == (4, 0, 1)
        assert UsageEvent.objects.count() == 4

        code, said = run(path, chunk=2)

        first = 2 if ".csv" in name else 1
        assert code == 1
        assert "going on, 5 events are done" in said
        assert count_import() == (8, 0, 2)
        assert EventImport.objects.get().is_finished
        report = read_report(path.with_name(f"{name}.refused.ndjson"))
        assert [entry["line"] for entry in report] == [1 + first, 8 + first]
        assert read_totals(subscription) == {INPUT: sum(range(10)) - 9, OUTPUT: 8}
        assert find_breaches() == []

    @pytest.mark.parametrize(("name", "original", "span_count"), [("gather", gather, 2), ("deal", deal, 1)])
    def test_fills_the_gaps_that_parallel_chunks_left(
        self,
        name: str,
        original: Callable[..., Iterable[Chunk]],
        span_count: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        plan = make_metered_plan()
        subscriptions = [subscribe(plan=plan) for _ in range(3)]
        path = tmp_path / "events.jsonl"
        bad = {"input_tokens": -1}
        events = [
            write_event(
                subscriptions[number % 3], id=f"{number}", **({"properties": bad} if number < 6 else {})
            )
            for number in range(12)
        ]
        path.write_bytes(write_lines(events))
        with monkeypatch.context() as patches:
            # As if others had been faster with the second and the fourth chunk than this one with the first.
            patches.setattr(running, name, lambda *a, **o: list(original(*a, **o))[1::2])
            patches.setattr(running, "STRETCH_CHUNKS", 1 if name == "gather" else 4)
            patches.setattr(import_events, "finish_import", lambda **_: None)
            assert run(path)[0] == 1
        row = EventImport.objects.get()
        assert (row.position, len(row.spans)) == (0, span_count)
        assert row.accepted_count + row.rejected_count == 6

        code, said = run(path, chunk=2)

        row.refresh_from_db()
        assert code == 1
        assert "going on, 6 events are done" in said
        assert (row.position, row.spans, row.line) == (path.stat().st_size, [], 13)
        assert count_import() == (6, 0, 6)
        report = read_report(path.with_name("events.jsonl.refused.ndjson"))
        assert sorted(entry["line"] for entry in report) == [1, 2, 3, 4, 5, 6]
        assert find_breaches() == []

    def test_that_is_complete_is_not_made_again(self, subscription: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_bytes(write_lines([write_event(subscription), {}]))
        assert run(path)[0] == 1
        moved = path.rename(tmp_path / "moved.jsonl")

        code, said = run(moved)

        assert code == 1
        assert "imported before" in said
        assert EventImport.objects.count() == 1
        assert run(moved, restart=True)[0] == 1
        assert count_import() == (0, 1, 1)
        assert EventImport.objects.count() == 2

    def test_is_that_of_the_content(self, subscription: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        event = write_event(subscription, properties={"input_tokens": -1})
        path.write_bytes(write_lines([event]))
        assert run(path)[0] == 1

        path.write_bytes(path.read_bytes().replace(b":-1", b":11"))

        assert run(path)[0] == 0
        assert count_import() == (1, 0, 0)
        assert not path.with_name("events.jsonl.refused.ndjson").exists()

    def test_is_in_the_audit_trail(self, subscription: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_bytes(write_lines([write_event(subscription)]))

        run(path)

        row = EventImport.objects.get()
        started, finished = AuditEntry.objects.filter(subject_id=str(row.pk)).order_by("id")
        assert (started.action, started.changes["name"]) == ("event_import.started", [None, "events.jsonl"])
        assert (finished.action, finished.changes["accepted_count"]) == ("event_import.finished", [None, 1])


@pytest.mark.django_db(transaction=True)
class TestUnderWay:
    def test_keeps_a_second_import_of_the_file_away(self, tmp_path: Path) -> None:
        subscription = subscribe(plan=make_metered_plan())
        path = tmp_path / "events.jsonl"
        path.write_bytes(write_lines([write_event(subscription)]))
        meeting = Meeting()

        def hold() -> None:
            with holding_file(identify(path, ImportFormat.JSON_LINES)):
                meeting.is_first_inside.set()
                assert meeting.is_second_done.wait(30)

        def import_meanwhile() -> tuple[int, str]:
            with meeting.entering_second():
                return run(path)

        _, (code, said) = race(hold, import_meanwhile)

        assert code == 2
        assert "is being imported by another process" in said
        assert UsageEvent.objects.count() == 0
        assert run(path)[0] == 0
        assert run(path, restart=True)[0] == 0


class TestOptions:
    @pytest.mark.parametrize("options", [{"chunk": 0}, {"chunk": 100_001}])
    def test_have_limits(self, options: dict[str, int], tmp_path: Path) -> None:
        assert run(tmp_path / "events.jsonl", **options)[0] == 1

    def test_name_a_format_that_the_name_does_not(self, subscription: Subscription, tmp_path: Path) -> None:
        path = tmp_path / "events.txt"
        event = write_event(subscription, timestamp=NOON)
        path.write_bytes(write_csv([event]))

        assert run(path, format="csv")[0] == 0

        assert get_stored(event).properties == event["properties"]
