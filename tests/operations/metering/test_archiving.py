"""Events move into files: what is written, in which steps, and what a crash leaves."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from catalog.models import Meter
from metering.archiving import operations, parquet, role, running
from metering.archiving.files import iterate_events
from metering.archiving.operations import (
    ArchiveOutOfStep,
    FillsUnderWay,
    NothingToArchive,
    begin_archive,
    remove_rows,
)
from metering.archiving.reading import iterate_archivable_rows
from metering.archiving.role import ArchiverMissing
from metering.archiving.rows import DamagedArchive
from metering.archiving.running import UsageDoesNotAddUp
from metering.archiving.verifying import verify_archive
from metering.models import (
    ArchivedEvent,
    ArchivedSegment,
    ArchiveFormat,
    ArchiveStatus,
    EventArchive,
    LateUsage,
    MeterFill,
    UsageEvent,
)
from metering.operations import void_event
from subscriptions.models import Subscription
from subscriptions.operations import When, cancel_subscription
from tests.factories.archives import (
    LATER,
    archive_all,
    begin,
    make_settled,
    remove,
    run,
    settle,
    write,
)
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.metering import (
    INPUT,
    OUTPUT,
    ingest,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("archiver", "one_snapshot")]


def end_early(subscription: Subscription) -> None:
    """End a subscription a day after it began, and settle its only period."""
    cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 3, 1, 13), actor=TESTER)
    settle(subscription, at=utc(2026, 3, 1, 14))


def read_lines(folder: Path, archive: EventArchive) -> list[dict[str, Any]]:
    with gzip.open(folder / archive.file_name) as lines:
        return [json.loads(line) for line in lines]


class TestArchiveNext:
    def test_moves_events_and_keeps_usage_and_ids(self, tmp_path: Path) -> None:
        subscription = make_settled(count=3)
        ids = set(UsageEvent.objects.values_list("event_id", flat=True))

        archive = archive_all(tmp_path)

        assert (archive.status, archive.event_count, archive.removed_count) == (ArchiveStatus.REMOVED, 3, 3)
        assert not UsageEvent.objects.exists()
        assert set(ArchivedEvent.objects.values_list("event_id", flat=True)) == ids
        assert read_totals(subscription) == {INPUT: 30, OUTPUT: 6}
        assert find_breaches() == []
        assert list(verify_archive(archive, tmp_path)) == []

    def test_writes_all_that_an_event_is(self, tmp_path: Path) -> None:
        subscription = subscribe(plan=make_metered_plan())
        numbers = {"input_tokens": 10**20, "output_tokens": "0.10", "deep": {"a": [1, 0.1, None]}}
        ingest(write_event(subscription, id="one", properties=numbers), write_event(subscription, id="two"))
        void_event(
            customer_id=subscription.customer_id, event_id="two", reason="Wrong", at=NOON, actor=TESTER
        )
        stored = {event.event_id: event for event in UsageEvent.objects.all()}
        settle(subscription)

        archive = archive_all(tmp_path)

        lines = {line["event_id"]: line for line in read_lines(tmp_path, archive)}
        assert (lines["one"]["is_void"], lines["two"]["is_void"]) == (False, True)
        for event_id, line in lines.items():
            event = stored[event_id]
            assert line["uid"] == str(event.uid)
            assert line["segment_id"] == str(event.segment_id)
            assert line["content_hash"] == bytes(event.content_hash).hex()
            assert line["timestamp"] == line["billed_at"] == "2026-02-28T12:00:00Z"
        assert lines["one"]["properties"] == numbers
        assert find_breaches() == []

    def test_writes_what_can_be_read_into_a_table(self, tmp_path: Path) -> None:
        subscription = subscribe(plan=make_metered_plan())
        odd = {"text": 'a "quote", a \\ and a \x01', "input_tokens": "1.10", "small": 0.1}
        ingest(write_event(subscription, properties=odd))
        settle(subscription)
        packed = (tmp_path / archive_all(tmp_path).file_name).read_bytes()

        run("CREATE TABLE archived_line (event jsonb)")
        statement = "COPY archived_line FROM STDIN (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                copy.write(gzip.decompress(packed))
            cursor.execute("SELECT event -> 'properties' = %s::jsonb FROM archived_line", [json.dumps(odd)])
            assert cursor.fetchall() == [(True,)]

    def test_writes_a_manifest_with_hashes_counts_and_sums(self, tmp_path: Path) -> None:
        subscription = make_settled(count=2)

        archive = archive_all(tmp_path)

        manifest = json.loads((tmp_path / archive.manifest_name).read_text())
        assert manifest["file"] == {
            "name": "events-000001.jsonl.gz",
            "sha256": archive.file_hash,
            "bytes": (tmp_path / archive.file_name).stat().st_size,
            "event_count": 2,
        }
        (segment,) = manifest["segments"]
        assert segment["subscription_id"] == str(subscription.pk)
        assert sorted(meter["total"] for meter in segment["meters"].values()) == ["20", "4"]
        archived = ArchivedSegment.objects.get()
        assert archived.sums == segment["meters"]
        assert archived.event_count == 2

    def test_takes_settled_periods_that_have_ended_only(self, tmp_path: Path) -> None:
        subscription = make_settled(count=1)
        ingest(write_event(subscription, timestamp=utc(2026, 4, 5)), at=LATER)
        ingest(write_event(make_customer()))  # Unmatched.
        closed = subscribe(plan=make_metered_plan())
        ingest(write_event(closed))

        archive = archive_all(tmp_path)

        assert archive.event_count == 1
        assert UsageEvent.objects.count() == 3
        with pytest.raises(NothingToArchive):
            archive_all(tmp_path)
        assert find_breaches() == []

    def test_takes_no_period_that_ended_later(self, tmp_path: Path) -> None:
        make_settled()

        with pytest.raises(NothingToArchive):
            archive_all(tmp_path, ended_by=utc(2026, 3, 27))

        assert not EventArchive.objects.exists()

    def test_leaves_late_usage_that_is_not_billed_yet(self) -> None:
        subscription = make_settled()
        period = subscription.periods.get(number=0)
        LateUsage.objects.create(subscription_id=subscription.pk, period_id=period.pk, noted_at=NOON)

        with pytest.raises(NothingToArchive):
            begin()

    def test_waits_for_fills(self) -> None:
        make_settled()
        MeterFill.objects.create(meter=Meter.objects.get(code=INPUT))

        with pytest.raises(FillsUnderWay):
            begin()

        assert not EventArchive.objects.exists()

    def test_parts_customers_and_long_segments(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "ROWS_PER_REMOVAL", 2)
        monkeypatch.setattr(operations, "EVENTS_PER_ARCHIVE", 7)
        for _ in range(3):
            make_settled(count=3)

        counts = [archive_all(tmp_path).event_count for _ in range(2)]

        assert counts == [6, 3]
        assert [archive.number for archive in EventArchive.objects.order_by("pk")] == [1, 2]
        assert find_breaches() == []

    def test_removes_nothing_where_rollups_are_wrong(self, tmp_path: Path) -> None:
        make_settled()
        run("UPDATE metering_usagerollup SET total = total + 1")

        with pytest.raises(UsageDoesNotAddUp, match=r"come to 30, but are rolled up as 3 of 31"):
            archive_all(tmp_path)

        assert UsageEvent.objects.count() == 3
        assert EventArchive.objects.get().status == ArchiveStatus.WRITING

    def test_needs_the_role(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_settled()
        monkeypatch.setattr(role, "ARCHIVER", "nobody_of_that_name")

        with pytest.raises(ArchiverMissing, match="set_up_archiver"):
            archive_all(tmp_path)

        assert not EventArchive.objects.exists()
        assert list(tmp_path.iterdir()) == []

    def test_archives_what_came_late_to_an_archived_segment(self, tmp_path: Path) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription))
        end_early(subscription)
        first = archive_all(tmp_path)
        ingest(write_event(subscription), at=LATER)
        assert find_breaches() == []
        assert list(verify_archive(first, tmp_path)) == []
        LateUsage.objects.all().delete()  # As a bill run does.

        second = archive_all(tmp_path)

        assert ArchivedSegment.objects.count() == 2
        assert read_totals(subscription)[INPUT] == 20
        assert find_breaches() == []
        assert list(verify_archive(first, tmp_path)) == list(verify_archive(second, tmp_path)) == []


class TestResuming:
    def test_writes_anew_what_was_only_begun(self, tmp_path: Path) -> None:
        make_settled()
        archive = begin()
        (tmp_path / archive.file_name).write_bytes(b"half a fi")
        (tmp_path / f"{archive.file_name}.part").write_bytes(b"half")

        assert archive_all(tmp_path).pk == archive.pk
        assert find_breaches() == []

    def test_goes_on_where_removing_stopped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "ROWS_PER_REMOVAL", 2)
        subscription = make_settled(count=5)
        archive = write(begin(), tmp_path)
        original, calls = remove_rows, []

        def crash(**options: Any) -> EventArchive:
            calls.append(options["removed_count"])
            if len(calls) == 2:
                raise KeyboardInterrupt
            return original(**options)

        monkeypatch.setattr(running, "remove_rows", crash)
        with pytest.raises(KeyboardInterrupt):
            remove(archive, tmp_path)
        assert (UsageEvent.objects.count(), ArchivedEvent.objects.count()) == (3, 2)
        assert find_breaches() == []  # It is true at every moment, not only at the end.

        finished = archive_all(tmp_path)

        assert (finished.pk, finished.removed_count, calls) == (archive.pk, 5, [0, 2, 2, 4])
        assert read_totals(subscription)[INPUT] == 50
        assert find_breaches() == []

    def test_removes_nothing_once_the_file_is_another(self, tmp_path: Path) -> None:
        make_settled()
        archive = write(begin(), tmp_path)
        with (tmp_path / archive.file_name).open("ab") as file:
            file.write(b"\n")

        with pytest.raises(DamagedArchive, match="has been changed"):
            archive_all(tmp_path)

        assert UsageEvent.objects.count() == 3

    def test_removes_nothing_that_somebody_else_has_removed(self, tmp_path: Path) -> None:
        make_settled()
        stale = write(begin(), tmp_path)
        remove(stale, tmp_path)
        stale.removed_count = 0

        with pytest.raises(ArchiveOutOfStep):
            remove(stale, tmp_path)


class TestParquet:
    def test_says_the_same_as_json_lines(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("pyarrow", reason="The extra is not installed.")
        monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 2)
        numbers = {"input_tokens": 10**20, "output_tokens": "0.10", "deep": {"a": [1, 0.1, None]}}
        subscription = make_settled(
            write_event(make_customer(), properties=numbers),
            *[write_event(make_customer()) for _ in range(2)],
        )
        archive = begin_archive(ended_by=LATER, archive_format=ArchiveFormat.PARQUET, at=NOON, actor=TESTER)
        rows = list(iterate_archivable_rows(archive))

        archive = remove(write(archive, tmp_path), tmp_path)

        path = tmp_path / "events-000001.parquet"
        assert list(iterate_events(path, archive_format=ArchiveFormat.PARQUET)) == rows
        assert list(verify_archive(archive, tmp_path)) == []
        assert read_totals(subscription)[INPUT] == 10**20 + 20
        assert find_breaches() == []

    def test_that_is_no_such_file_is_damaged(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow", reason="The extra is not installed.")
        (tmp_path / "other.parquet").write_bytes(b"PAR1")

        with pytest.raises(DamagedArchive):
            list(iterate_events(tmp_path / "other.parquet", archive_format=ArchiveFormat.PARQUET))
