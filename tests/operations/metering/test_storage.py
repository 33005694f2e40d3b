"""What the database itself guards: events are never changed or removed, and lie in partitions by customer."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from billing_project.core.ids import make_id
from metering.models import UsageEvent
from tests.factories.core import NOON
from tests.factories.customers import make_customer
from tests.factories.metering import ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe

pytestmark = pytest.mark.django_db


def run(sql: str, *parameters: Any) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        count: int = cursor.rowcount
        return count


def refuse(sql: str, *parameters: Any) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        run(sql, *parameters)


class TestEvents:
    @pytest.mark.parametrize(
        "change",
        [
            "properties = '{}'",
            "segment_id = NULL, subscription_id = NULL, billed_at = NULL, is_late = false",
            "segment_id = gen_random_uuid()",
            "billed_at = billed_at + interval '1 hour'",
            "is_late = true",
            "event_id = 'other'",
            "customer_id = gen_random_uuid()",
        ],
    )
    def test_that_are_matched_cannot_be_changed(self, change: str) -> None:
        ingest(write_event(subscribe(plan=make_metered_plan())))

        refuse(f"UPDATE metering_usageevent SET {change}")

    def test_that_are_unmatched_get_their_segment_and_nothing_else_once(self) -> None:
        ingest(write_event(make_customer()))
        matched = "segment_id = gen_random_uuid(), subscription_id = gen_random_uuid(), billed_at = %s"

        refuse(f"UPDATE metering_usageevent SET {matched}, properties = '{{}}'", NOON)
        refuse("UPDATE metering_usageevent SET event_type = 'other'")
        assert run(f"UPDATE metering_usageevent SET {matched}", NOON) == 1
        refuse(f"UPDATE metering_usageevent SET {matched}", NOON)

    def test_cannot_be_removed(self) -> None:
        ingest(write_event(make_customer()))

        refuse("DELETE FROM metering_usageevent")
        refuse("TRUNCATE metering_usageevent")
        for number in range(16):
            refuse(f"TRUNCATE metering_usageevent_{number:02}")
        assert UsageEvent.objects.count() == 1

    @pytest.mark.parametrize(
        "fields",
        [
            {"segment_id": make_id()},
            {"segment_id": make_id(), "subscription_id": make_id()},
            {"billed_at": NOON},
            {"subscription_id": make_id()},
            {"is_late": True},
        ],
        ids="+".join,
    )
    def test_are_matched_whole_or_not_at_all(self, fields: dict[str, Any]) -> None:
        event = UsageEvent(
            customer_id=make_id(),
            event_id="e",
            event_type="t",
            timestamp=NOON,
            received_at=NOON,
            properties={},
            content_hash=b"0" * 16,
            **fields,
        )

        with pytest.raises(IntegrityError, match="whole_or_not_at_all"), transaction.atomic():
            event.save(force_insert=True)

    def test_have_a_key_of_customer_and_id(self) -> None:
        fields = {
            "event_type": "t",
            "timestamp": NOON,
            "received_at": NOON,
            "properties": {},
            "content_hash": b"0",
        }
        customer_id = make_id()
        UsageEvent.objects.create(customer_id=customer_id, event_id="e", **fields)
        UsageEvent.objects.create(customer_id=make_id(), event_id="e", **fields)

        with pytest.raises(IntegrityError), transaction.atomic():
            UsageEvent.objects.create(customer_id=customer_id, event_id="e", **fields)


class TestPartitions:
    @pytest.mark.parametrize(
        "table",
        ["metering_usageevent", "metering_usagerollup", "metering_usagevalue", "metering_archivedevent"],
    )
    def test_are_sixteen_by_hash_of_the_customer(self, table: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid IN "
                "(SELECT inhrelid FROM pg_inherits WHERE inhparent = %s::regclass)",
                [table],
            )
            bounds = {bound for (bound,) in cursor}

        assert bounds == {f"FOR VALUES WITH (modulus 16, remainder {number})" for number in range(16)}

    def test_have_no_foreign_keys(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
                " WHERE contype = 'f' AND (relkind = 'p' OR relispartition)"
            )
            assert cursor.fetchall() == []


class TestMigration:
    @pytest.mark.django_db(transaction=True)
    def test_can_be_taken_back_and_done_again(self) -> None:
        call_command("migrate", "metering", "zero", verbosity=0)
        assert "metering_usageevent" not in connection.introspection.table_names()
        call_command("migrate", "metering", verbosity=0)

        assert "metering_usageevent" in connection.introspection.table_names()

    def test_says_what_the_models_say(self) -> None:
        call_command("makemigrations", "metering", check=True, dry_run=True, verbosity=0)
