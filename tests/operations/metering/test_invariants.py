"""Each breach of what must be true of usage is found."""

from typing import Any

import pytest
from django.db import connection

from billing_project.core.ids import make_id
from catalog.models import Aggregation
from metering.invariants import check_corrections, check_owners, check_rollups
from metering.models import UsageRollup
from tests.factories.core import NOON
from tests.factories.corrections import void
from tests.factories.customers import make_customer
from tests.factories.metering import (
    define_meter,
    ingest,
    make_metered_plan,
    make_plan_of,
    write_event,
    write_upload,
)
from tests.factories.subscriptions import subscribe

pytestmark = pytest.mark.django_db


def run(sql: str, *parameters: Any) -> None:
    """Change what the database would not let be changed."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE metering_usageevent DISABLE TRIGGER USER")
        cursor.execute(sql, parameters)


class TestCheckRollups:
    def test_finds_none_in_what_ingest_has_written(self) -> None:
        subscription = subscribe(plan=make_metered_plan(with_count=True))
        ingest(*[write_event(subscription) for _ in range(3)], write_event(make_customer()))

        assert list(check_rollups()) == list(check_owners()) == []

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE metering_usagerollup SET total = total + 1",
            "UPDATE metering_usagerollup SET event_count = event_count + 1",
            "UPDATE metering_usagerollup SET late_total = 1",
            "UPDATE metering_usagerollup SET late_count = 1",
            "UPDATE metering_usagerollup SET hour_at = hour_at - interval '1 hour'",
            "DELETE FROM metering_usagerollup",
        ],
    )
    def test_finds_a_rollup_that_is_wrong(self, change: str) -> None:
        ingest(write_event(subscribe(plan=make_metered_plan())))

        run(change)

        assert len(list(check_rollups())) >= 2  # One for each of two meters at least.

    @pytest.mark.parametrize(
        ("aggregation", "change"),
        [
            (Aggregation.WEIGHTED_SUM, "UPDATE metering_usagerollup SET moment = moment + 1"),
            (Aggregation.WEIGHTED_SUM, "UPDATE metering_usagerollup SET moment = NULL"),
            (Aggregation.LATEST, "UPDATE metering_usagerollup SET lead_rank = lead_rank + 1"),
            (Aggregation.MAX, "UPDATE metering_usagerollup SET lead_value = lead_value + 1"),
            (Aggregation.PERCENTILE, "UPDATE metering_usagevalue SET value = '6'"),
            (Aggregation.PERCENTILE, "UPDATE metering_usagevalue SET event_count = 2"),
            (Aggregation.UNIQUE_COUNT, "DELETE FROM metering_usagevalue"),
            (Aggregation.SUM, "UPDATE metering_usagerollup SET group_key = '[\"us\"]'"),
        ],
    )
    def test_finds_a_state_that_is_wrong(self, aggregation: Aggregation, change: str) -> None:
        subscription = subscribe(plan=make_plan_of({"meter": define_meter(aggregation, group_by=["region"])}))
        ingest(write_upload(subscription, timestamp=NOON, size=5, region="eu"))
        assert list(check_rollups()) == []

        run(change)

        assert list(check_rollups())

    def test_says_nothing_of_events_whose_segment_is_unknown(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription, id="stray"))
        UsageRollup.objects.all().delete()

        run("UPDATE metering_usageevent SET segment_id = %s", make_id())

        assert list(check_rollups()) == []
        assert len(list(check_owners())) == 1

    def test_finds_an_event_that_is_gone(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription, id="kept"), write_event(subscription, id="gone"))

        run("DELETE FROM metering_usageevent WHERE event_id = 'gone'")

        assert len(list(check_rollups())) == 2

    def test_lets_a_younger_meter_have_less_but_not_more(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription))
        make_metered_plan(with_count=True)
        ingest(write_event(subscription))

        assert list(check_rollups()) == []
        run("UPDATE metering_usagerollup SET event_count = 3 WHERE total = 1")
        assert len(list(check_rollups())) == 1


class TestCheckOwners:
    def test_finds_an_event_in_a_segment_of_somebody_else(self) -> None:
        plan = make_metered_plan()
        mine, theirs = subscribe(plan=plan), subscribe(plan=plan)
        ingest(write_event(mine, id="mine"))

        run("UPDATE metering_usageevent SET segment_id = %s", theirs.segments.get().pk)

        assert "Event 'mine'" in [breach.split(" of ")[0] for breach in check_owners()]

    def test_finds_an_event_of_another_subscription_of_the_customer(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription))

        run("UPDATE metering_usageevent SET subscription_id = %s", make_id())

        assert len(list(check_owners())) == 1

    def test_finds_an_event_of_nobody(self) -> None:
        ingest(write_event(make_customer()))

        run("UPDATE metering_usageevent SET customer_id = %s", make_id())

        assert len(list(check_owners())) == 1

    def test_finds_kept_values_without_rollups(self) -> None:
        subscription = subscribe(plan=make_plan_of({"meter": define_meter(Aggregation.UNIQUE_COUNT)}))
        ingest(write_upload(subscription, timestamp=NOON, size=5))
        assert list(check_owners()) == []

        run("DELETE FROM metering_usagerollup")

        (breach,) = check_owners()
        assert breach.endswith("but no rollups.")
        assert str(subscription.segments.get().pk) in breach

    def test_finds_rollups_without_events(self) -> None:
        ingest(write_event(subscribe(plan=make_metered_plan())))

        run("UPDATE metering_usagerollup SET segment_id = %s", make_id())

        assert [breach for breach in check_owners() if "no events" in breach]


class TestCheckCorrections:
    def void_one(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription)
        ingest(event, write_event(subscription))
        void(event)

    def test_finds_none_in_what_was_taken_back(self) -> None:
        self.void_one()

        assert list(check_corrections()) == list(check_rollups()) == []

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE metering_eventvoid SET event_uid = gen_random_uuid()",
            "UPDATE metering_eventvoid SET segment_id = NULL",
            "UPDATE metering_eventvoid SET customer_id = gen_random_uuid()",
            "UPDATE metering_usagecorrection SET event_count = 2",
            "DELETE FROM metering_eventvoid",
        ],
    )
    def test_finds_one_that_is_about_something_else(self, change: str) -> None:
        self.void_one()

        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in ("usagecorrection", "eventvoid"):
                cursor.execute(f"ALTER TABLE metering_{table} DISABLE TRIGGER USER")
            cursor.execute(change)

        assert len(list(check_corrections())) == 1

    def test_finds_a_void_that_was_not_undone(self) -> None:
        self.void_one()

        run("UPDATE metering_usagerollup SET total = total + 10, event_count = event_count + 1")

        assert len(list(check_rollups())) == 2
