"""Many events at once: what becomes of them, and of the rollups, is what becomes of a batch."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from catalog.models import Aggregation, BillingCadence
from catalog.operations import MeterDefinition
from metering.models import LateUsage, UsageEvent, UsageRollup, UsageValue
from metering.operations import ingest_many_events
from subscriptions.models import Subscription
from subscriptions.operations import When, cancel_subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.metering import (
    EVENT_TYPE,
    INPUT,
    close,
    count_report,
    decode,
    get_stored,
    ingest,
    list_codes,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db


def ingest_many(*events: dict[str, Any], at: Any = NOON) -> Any:
    return ingest_many_events(events=decode(*events), at=at)


class TestIngestManyEvents:
    def test_stores_an_event_as_a_batch_does(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        properties = {
            "input_tokens": "12.50",
            "text": 'tab\t, line\n, \\backslash, "quote", é, \U0001f600, \\u0000',
            "nested": {"list": [1, 2.5, 1e30, None, True, {}]},
        }
        one, other = (
            write_event(subscription, id=f"{number}\t\\N", timestamp=NOON, properties=properties)
            for number in "12"
        )

        assert count_report(ingest_many(one)) == (1, 0, 0)
        assert count_report(ingest(other)) == (1, 0, 0)

        imported, sent = get_stored(one), get_stored(other)
        for name in [
            field.attname for field in UsageEvent._meta.fields if field.attname not in {"uid", "event_id"}
        ]:
            assert getattr(imported, name) == getattr(sent, name), name

    def test_tells_duplicates_conflicts_and_refusals_apart(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        stored = write_event(subscription, id="stored")
        ingest(stored)

        report = ingest_many(
            stored,
            {**stored, "properties": {"input_tokens": 11}},
            write_event(subscription, id="new"),
            write_event(subscription, id="new"),
            write_event(subscription, id="new", properties={}),
            write_event(subscription, properties={"input_tokens": -1}),
            write_event(subscription, timestamp="yesterday"),
        )

        assert count_report(report) == (1, 2, 4)
        assert list_codes(report) == [
            (1, "conflict"),
            (4, "conflict"),
            (5, "invalid_value"),
            (6, "malformed"),
        ]
        assert read_totals(subscription)[INPUT] == 20
        assert find_breaches() == []

    def test_can_be_called_again_in_one_transaction(self) -> None:
        subscription = subscribe(plan=make_metered_plan())

        for _ in range(2):
            ingest_many(write_event(subscription))

        assert read_totals(subscription)[INPUT] == 20

    def test_leaves_no_table_behind(self) -> None:
        ingest_many(write_event(subscribe(plan=make_metered_plan())))

        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_class WHERE relname LIKE 'given_%' AND relpersistence = 't'"
            )
            assert cursor.fetchone() == (0,)

    def test_stores_without_a_subscription_what_nobody_charges_for(self) -> None:
        event = write_event(make_customer())

        assert count_report(ingest_many(event)) == (1, 0, 0)

        stored = get_stored(event)
        assert (stored.segment_id, stored.subscription_id, stored.billed_at, stored.is_late) == (
            None,
            None,
            None,
            False,
        )
        assert UsageRollup.objects.count() == 0

    def test_puts_late_events_into_the_open_period(self) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        end = utc(2026, 3, 2)
        close(subscription, 0, at=end)
        event = write_event(subscription, timestamp=NOON)

        ingest_many(event, at=end)

        stored = get_stored(event)
        assert (stored.billed_at, stored.timestamp, stored.is_late) == (end, NOON, True)
        assert find_breaches() == []

    def test_marks_closed_periods_of_what_has_ended(self) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        at = NOON + timedelta(hours=1)
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=at, actor=TESTER)
        close(subscription, 0, at=at)

        ingest_many(write_event(subscription), at=at)

        assert LateUsage.objects.get().subscription_id == subscription.pk

    @pytest.mark.parametrize("timezone", ["UTC", "Asia/Kolkata"])
    @pytest.mark.parametrize("aggregation", Aggregation)
    def test_keeps_the_state_of_every_aggregation(self, aggregation: Aggregation, timezone: str) -> None:
        subscriptions = [make_gauged(aggregation, timezone=timezone) for _ in range(2)]
        values = ["3", "12.5", "0", "12.5", "7"]
        groups = ["a", "b", None, "a", "b\t"]

        for take_in, subscription in zip((ingest_many, ingest), subscriptions, strict=True):
            take_in(
                *[
                    write_event(
                        subscription,
                        timestamp=NOON + timedelta(minutes=17 * number),
                        properties={"level": value, "model": group, "is_used": number != 4},
                    )
                    for number, (value, group) in enumerate(zip(values, groups, strict=True))
                ],
                at=NOON + timedelta(hours=2),
            )

        assert describe(subscriptions[0]) == describe(subscriptions[1])
        assert describe(subscriptions[0]) != []
        assert find_breaches() == []


def make_gauged(aggregation: Aggregation, *, timezone: str) -> Subscription:
    """Subscribe somebody to a plan with a meter of that aggregation, with a filter and groups."""
    fields: dict[str, Any] = {"aggregation": aggregation}
    if aggregation is not Aggregation.COUNT:
        fields["property"] = "level"
    if aggregation is Aggregation.PERCENTILE:
        fields["percentile"] = Decimal(95)
    definition = MeterDefinition.read(
        event_type=EVENT_TYPE,
        filters=[{"property": "is_used", "operator": "Equals", "value": "true"}],
        group_by=["model"],
        **fields,
    )
    plan = make_plan()
    make_sku(plan, meter=definition, meter_code=f"level.{aggregation}")
    return subscribe(customer=make_customer(timezone=timezone), plan=plan)


def describe(subscription: Subscription) -> list[object]:
    """List all that rollups keep of a subscription, but for whose it is, and in which stripe."""
    rows: list[object] = []
    for model in (UsageRollup, UsageValue):
        names = [
            field.attname
            for field in model._meta.concrete_fields
            if field.attname not in {"customer_id", "segment_id", "meter_id", "stripe"}
        ]
        found = model._default_manager.filter(customer_id=subscription.customer_id)
        rows += sorted(found.values_list(*names), key=str)
    return rows
