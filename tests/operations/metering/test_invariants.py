"""Each breach of what must be true of usage is found."""

from typing import Any

import pytest
from django.db import connection

from billing_project.core.ids import make_id
from metering.invariants import check_owners, check_rollups
from tests.factories.customers import make_customer
from tests.factories.metering import ingest, make_metered_plan, write_event
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

    def test_finds_rollups_without_events(self) -> None:
        ingest(write_event(subscribe(plan=make_metered_plan())))

        run("UPDATE metering_usagerollup SET segment_id = %s", make_id())

        assert [breach for breach in check_owners() if "no events" in breach]
