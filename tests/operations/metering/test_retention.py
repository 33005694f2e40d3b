"""What is left of events that have been archived: what is kept, refused and verified."""

import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from billing_project.core.errors import NotFound
from billing_project.local import postgres
from catalog.models import Meter
from metering.archiving import role
from metering.archiving.role import ArchiverMissing, check_archiver, set_up_archiver
from metering.archiving.rows import DamagedArchive
from metering.archiving.verifying import verify_archive
from metering.invariants import check_archives, check_owners, check_rollups
from metering.meters import build_rule
from metering.models import (
    EventArchive,
    MeterFill,
    UsageEvent,
    UsageRollup,
)
from metering.operations import rebuild_stretch, void_event, void_events
from metering.queries import find_next_segment, select_used_segments
from metering.queries.archives import UsageArchived, is_archived
from metering.queries.corrections import EventSelection
from metering.recounting import ALWAYS
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
from tests.factories.core import TESTER
from tests.factories.customers import make_customer
from tests.factories.metering import (
    INPUT,
    count_report,
    ingest,
    list_codes,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("archiver")]


@pytest.mark.usefixtures("one_snapshot")
class TestIngest:
    @pytest.mark.parametrize("is_unnamed", [False, True])
    def test_counts_no_archived_id_again(self, tmp_path: Path, is_unnamed: bool) -> None:
        subscription = subscribe(plan=make_metered_plan())
        owner = subscription.customer if is_unnamed else subscription
        event = write_event(owner, id="old")
        ingest(event)
        settle(subscription)
        archive_all(tmp_path)

        again = ingest(event, at=LATER)
        other = ingest({**event, "properties": {"input_tokens": 1}}, at=LATER)
        fresh = ingest({**event, "id": "new"}, event, at=LATER)

        assert count_report(again) == (0, 1, 0)
        assert list_codes(other) == [(0, "conflict")]
        assert count_report(fresh) == (1, 1, 0)
        assert read_totals(subscription)[INPUT] == 20
        assert find_breaches() == []

    def test_counts_no_archived_id_for_another_subscription(self, tmp_path: Path) -> None:
        subscription = make_settled(write_event(make_customer(), id="old"))
        archive_all(tmp_path)
        other = subscribe(customer=subscription.customer, plan=make_metered_plan(), at=LATER)

        report = ingest(write_event(other, id="old", timestamp=LATER), at=LATER)

        assert list_codes(report) == [(0, "conflict")]
        assert read_totals(other) == {}

    def test_calls_an_archived_event_a_duplicate_that_would_be_refused_by_now(self, tmp_path: Path) -> None:
        subscription = make_settled(write_event(make_customer(), id="old"))
        archive_all(tmp_path)
        run("UPDATE customers_customer SET status = 'Closed'")

        report = ingest(write_event(subscription, id="old"), at=LATER)

        assert count_report(report) == (0, 1, 0)

    def test_takes_the_same_id_of_another_customer(self, tmp_path: Path) -> None:
        make_settled(write_event(make_customer(), id="old"))
        archive_all(tmp_path)

        assert count_report(ingest(write_event(subscribe(plan=make_metered_plan()), id="old"))) == (1, 0, 0)


@pytest.mark.usefixtures("one_snapshot")
class TestArchivedSegments:
    def test_take_no_correction(self, tmp_path: Path) -> None:
        subscription = make_settled(write_event(make_customer(), id="old"))
        owner = subscription.customer_id
        options: dict[str, Any] = {"reason": "Wrong", "at": LATER, "actor": TESTER}
        archive = begin()
        with pytest.raises(UsageArchived, match="cannot be changed any more"):
            void_event(customer_id=owner, event_id="old", **options)

        remove(write(archive, tmp_path), tmp_path)

        with pytest.raises(UsageArchived, match="Event 'old' is in archive 1"):
            void_event(customer_id=owner, event_id="old", **options)
        with pytest.raises(UsageArchived):
            void_events(selection=EventSelection(customer_id=owner, event_ids=("old",)), **options)
        with pytest.raises(NotFound):
            void_event(customer_id=owner, event_id="never", **options)
        assert find_breaches() == []

    def test_are_not_counted_anew(self, tmp_path: Path) -> None:
        subscription = make_settled()
        segment = subscription.periods.get(number=0).segments.get()
        meter = Meter.objects.get(code=INPUT)
        assert list(select_used_segments()) == [segment]
        archive_all(tmp_path)

        with pytest.raises(UsageArchived):
            rebuild_stretch(segment_id=segment.pk, stretch=ALWAYS, rules=[build_rule(meter)])

        assert is_archived([segment.pk])
        assert find_next_segment(MeterFill(meter=meter)) is None
        assert read_totals(subscription)[INPUT] == 30


@pytest.mark.usefixtures("one_snapshot")
class TestProtection:
    def test_refuses_everybody_without_the_role(self, tmp_path: Path) -> None:
        make_settled()
        write(begin(), tmp_path)

        with pytest.raises(IntegrityError, match="append-only: DELETE is refused"):
            run("DELETE FROM metering_usageevent")

        assert UsageEvent.objects.count() == 3

    @pytest.mark.parametrize("status", ["none", "Writing", "Verified"])
    def test_refuses_the_role_what_is_not_archived(self, tmp_path: Path, status: str) -> None:
        make_settled()
        if status == "Writing":
            begin()
        if status == "Verified":
            write(begin(), tmp_path)  # The ids are not kept yet.

        with (
            pytest.raises(IntegrityError, match="append-only: DELETE is refused"),
            transaction.atomic(),
            role.acting_as_archiver(),
        ):
            run("DELETE FROM metering_usageevent")

        assert UsageEvent.objects.count() == 3

    def test_refuses_the_role_an_event_whose_kept_content_is_another(self, tmp_path: Path) -> None:
        make_settled(count=1)
        archive = write(begin(), tmp_path)
        run(
            "INSERT INTO metering_archivedevent (customer_id, archive_number, event_id, content_hash)"
            " SELECT customer_id, %s, event_id, 'another' FROM metering_usageevent",
            archive.number,
        )

        with pytest.raises(IntegrityError), transaction.atomic(), role.acting_as_archiver():
            run("DELETE FROM metering_usageevent")

    def test_refuses_the_role_all_but_removing(self, tmp_path: Path) -> None:
        make_settled()
        write(begin(), tmp_path)

        with transaction.atomic(), role.acting_as_archiver(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT has_table_privilege('metering_usageevent', privilege) FROM"
                " unnest(ARRAY['SELECT', 'DELETE', 'INSERT', 'UPDATE', 'TRUNCATE']) AS privilege"
            )
            assert [may for (may,) in cursor.fetchall()] == [True, True, False, False, False]

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE metering_archivedevent SET archive_number = 2",
            "DELETE FROM metering_archivedevent",
            "TRUNCATE metering_archivedevent",
            "UPDATE metering_eventarchive SET file_hash = 'x'",
            "DELETE FROM metering_eventarchive",
            "UPDATE metering_archivedsegment SET sums = '{}'",
            "DELETE FROM metering_archivedsegment",
        ],
    )
    def test_keeps_what_says_that_events_are_archived(self, tmp_path: Path, change: str) -> None:
        make_settled()
        archive_all(tmp_path)

        with pytest.raises(IntegrityError, match="is refused"):
            run(change)

    def test_of_partitions_refuses_to_empty_them(self, tmp_path: Path) -> None:
        with pytest.raises(IntegrityError, match="TRUNCATE is refused"):
            run("TRUNCATE metering_archivedevent_03")


class TestSetUpArchiver:
    def test_can_be_run_again(self) -> None:
        set_up_archiver()
        set_up_archiver()

        check_archiver()

    def test_gives_what_is_missing(self) -> None:
        run("REVOKE DELETE ON metering_usageevent FROM billing_archiver")
        with pytest.raises(ArchiverMissing, match="set_up_archiver"):
            check_archiver()

        call_command("set_up_archiver")

        check_archiver()

    def test_says_what_a_superuser_has_to_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with transaction.atomic(), role.acting_as_archiver():  # Who may make no roles.
            monkeypatch.setattr(role, "ARCHIVER", "nobody_of_that_name")

            with pytest.raises(
                CommandError, match=r"(?s)CREATE ROLE billing_archiver NOLOGIN;.*GRANT SELECT"
            ):
                call_command("set_up_archiver")

    def test_makes_the_role_that_the_embedded_server_has(self) -> None:
        assert postgres.ARCHIVER == role.ARCHIVER


@pytest.mark.usefixtures("one_snapshot")
class TestVerifyArchive:
    def test_finds_a_file_that_is_another(self, tmp_path: Path) -> None:
        make_settled()
        archive = archive_all(tmp_path)
        (tmp_path / archive.manifest_name).write_text("{}")

        with pytest.raises(DamagedArchive, match="has been changed"):
            list(verify_archive(archive, tmp_path))

    def test_finds_a_file_that_is_gone(self, tmp_path: Path) -> None:
        make_settled()
        archive = archive_all(tmp_path)
        (tmp_path / archive.file_name).unlink()

        with pytest.raises(DamagedArchive, match="cannot be read"):
            list(verify_archive(archive, tmp_path))

    def test_finds_a_rollup_that_was_changed_in_one_hour(self, tmp_path: Path) -> None:
        make_settled()
        archive = archive_all(tmp_path)
        run("UPDATE metering_usagerollup SET hour_at = hour_at - interval '1 hour'")

        assert list(check_rollups()) == []  # That knows the sums only.
        assert len(list(verify_archive(archive, tmp_path))) == 4

    def test_tells_what_is_wrong(self, tmp_path: Path) -> None:
        make_settled()
        archive = archive_all(tmp_path)
        run("UPDATE metering_usagerollup SET total = 7 WHERE total = 30")

        (problem,) = verify_archive(archive, tmp_path)

        assert problem.endswith("3 events come to 30, but are rolled up as 3 of 7.")


@pytest.mark.usefixtures("one_snapshot")
class TestInvariants:
    def test_find_rollups_of_archived_events_that_are_wrong(self, tmp_path: Path) -> None:
        make_settled()
        archive_all(tmp_path)
        run("UPDATE metering_usagerollup SET total = total + 1")

        assert len(list(check_rollups())) == 2

    def test_find_rollups_of_archived_events_that_are_gone(self, tmp_path: Path) -> None:
        make_settled()
        archive_all(tmp_path)
        UsageRollup.objects.all().delete()
        subscribe(plan=make_metered_plan())

        assert list(check_owners()) == []
        assert len(list(check_rollups())) == 2

    def test_find_ids_that_are_lost_and_events_that_are_back(self, tmp_path: Path) -> None:
        make_settled(count=1)
        run("CREATE TABLE copied AS SELECT * FROM metering_usageevent")
        archive_all(tmp_path)
        run("INSERT INTO metering_usageevent SELECT * FROM copied")
        assert len(list(check_archives())) == 1
        run("ALTER TABLE metering_archivedevent DISABLE TRIGGER USER")
        run("DELETE FROM metering_archivedevent")

        assert list(check_archives()) == ["Archive 1 has removed 1 events; 0 ids are kept, 1 are noted."]


@pytest.mark.django_db(transaction=True)
class TestCommands:
    def test_archive_and_verify(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        make_settled()
        folder = str(tmp_path / "new")

        call_command("archive_events", "--before", "2026-04-10", "--to", folder, "--dry-run")
        call_command("archive_events", "--before", "2026-04-10", "--to", folder)
        call_command("verify_archive", "1", "--from", folder)
        call_command("archive_events", "--before", "2026-04-10", "--to", folder)

        assert capsys.readouterr().out.splitlines() == [
            "3 events in 1 segments of 1 customers would be archived.",
            f"3 events are in {folder}/events-000001.jsonl.gz.",
            "Done. No settled period that ended by 2026-04-10 00:00 UTC has events.",
            "Archive 1 is right: 3 events, all removed.",
            "Done. No settled period that ended by 2026-04-10 00:00 UTC has events.",
        ]

    def test_tell_when_parquet_is_not_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_settled()
        for name in ("pyarrow", "pyarrow.parquet"):
            monkeypatch.setitem(sys.modules, name, None)

        with pytest.raises(CommandError, match="uv sync --extra parquet"):
            call_command(
                "archive_events", "--before", "2026-04-10", "--to", str(tmp_path), "--format", "parquet"
            )

        assert not EventArchive.objects.exists()

    def test_say_which_archive_is_wrong(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        make_settled()
        archive = archive_all(tmp_path)
        (tmp_path / archive.file_name).write_bytes(b"")

        with pytest.raises(CommandError, match="1 of 1 archives are wrong"):
            call_command("verify_archive", "1", "--from", str(tmp_path))

        assert "has been changed" in capsys.readouterr().err

    @pytest.mark.parametrize("text", ["2026-04-10T01:00", "soon", "2026-04-10T00:00+02:00"])
    def test_take_a_day(self, text: str) -> None:
        with pytest.raises(CommandError):
            call_command("archive_events", "--before", text)
