"""Reading usage."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from pytest_django import DjangoAssertNumQueries

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from catalog.models import BillingCadence
from metering.models import UsageEvent, UsageRollup
from metering.queries import (
    MeterUsage,
    PeriodName,
    get_event,
    get_usage_period,
    read_segment_usage,
    read_usage_summary,
)
from subscriptions.models import Subscription
from subscriptions.operations import CancelWhen, cancel_subscription, ensure_periods
from tests.factories.core import NOON, TESTER
from tests.factories.metering import INPUT, OUTPUT, ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

FIRST_END = utc(2026, 3, 2)


def make_daily(**options: Any) -> Subscription:
    return subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY), **options)


class TestReadSegmentUsage:
    def test_adds_up_hours_and_stripes(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription), write_event(subscription, timestamp=NOON + timedelta(hours=1)))
        rollup = UsageRollup.objects.order_by("meter_id")[0]
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE metering_usagerollup SET stripe = (stripe + 1) %% 8 WHERE hour_at = %s", [NOON]
            )
        (segment,) = subscription.segments.all()

        with django_assert_num_queries(1):
            usage = read_segment_usage(customer_id=subscription.customer_id, segment_ids=[segment.pk])

        assert {quantity.quantity for quantity in usage.values()} == {Decimal(20), Decimal(4)}
        assert usage[segment.pk, rollup.meter_id].event_count == 2

    def test_leaves_out_what_has_none_and_what_is_not_asked_for(self) -> None:
        first, second = subscribe(plan=make_metered_plan()), subscribe(plan=make_metered_plan())
        ingest(write_event(first), write_event(second))
        segment = first.segments.get()

        assert read_segment_usage(customer_id=first.customer_id, segment_ids=[]) == {}
        assert read_segment_usage(customer_id=second.customer_id, segment_ids=[segment.pk]) == {}
        assert (
            len(read_segment_usage(customer_id=first.customer_id, segment_ids=[segment.pk, make_id()])) == 2
        )


class TestReadUsageSummary:
    def test_lists_every_meter_of_the_plan_in_its_order(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription, properties={"output_tokens": 3}))
        period = subscription.periods.get()

        summary = read_usage_summary(subscription=subscription, period=period)

        assert summary.period == period
        assert [(item.meter.code, item.usage) for item in summary.meters] == [
            (INPUT, MeterUsage(Decimal(0), Decimal(0), 0)),
            (OUTPUT, MeterUsage(Decimal(3), Decimal(0), 1)),
        ]

    def test_leaves_out_meters_that_the_plan_does_not_charge_for(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        make_metered_plan(with_count=True)
        ingest(write_event(subscription))

        summary = read_usage_summary(subscription=subscription, period=subscription.periods.get())

        assert [item.meter.code for item in summary.meters] == [INPUT, OUTPUT]


class TestGetUsagePeriod:
    def test_finds_the_current_one_and_the_one_before(self) -> None:
        subscription = make_daily()
        ensure_periods(subscription_ids=[subscription.pk], until=FIRST_END + timedelta(days=3))

        def number(which: PeriodName, at: datetime) -> int:
            return get_usage_period(subscription_id=subscription.pk, which=which, at=at).number

        assert number(PeriodName.CURRENT, NOON) == 0
        assert number(PeriodName.CURRENT, FIRST_END) == 1
        assert number(PeriodName.PREVIOUS, FIRST_END) == 0
        assert number(PeriodName.CURRENT, FIRST_END + timedelta(days=99)) == 4

    def test_finds_one_by_its_id(self) -> None:
        subscription, other = make_daily(), make_daily()
        period = subscription.periods.get()

        assert get_usage_period(subscription_id=subscription.pk, which=period.pk, at=NOON) == period
        with pytest.raises(NotFound):
            get_usage_period(subscription_id=other.pk, which=period.pk, at=NOON)

    def test_finds_the_first_before_the_start(self) -> None:
        subscription = make_daily(start_at=NOON + timedelta(days=9))

        assert (
            get_usage_period(subscription_id=subscription.pk, which=PeriodName.CURRENT, at=NOON).number == 0
        )

    def test_passes_over_what_has_no_length(self) -> None:
        subscription = make_daily()
        ensure_periods(subscription_ids=[subscription.pk], until=FIRST_END)
        cancel_subscription(
            subscription_id=subscription.pk, when=CancelWhen.NOW, at=NOON + timedelta(hours=1), actor=TESTER
        )

        current = get_usage_period(subscription_id=subscription.pk, which=PeriodName.CURRENT, at=FIRST_END)

        assert current.number == 0

    def test_refuses_where_there_is_none(self) -> None:
        with pytest.raises(NotFound):
            get_usage_period(subscription_id=make_id(), which=PeriodName.CURRENT, at=NOON)
        with pytest.raises(NotFound):
            get_usage_period(subscription_id=make_daily().pk, which=PeriodName.PREVIOUS, at=NOON)


class TestGetEvent:
    def test_finds_an_event_of_the_customer(self) -> None:
        plan = make_metered_plan()
        first, second = subscribe(plan=plan), subscribe(plan=plan)
        ingest(write_event(first, id="same"), write_event(second, id="same"))

        event = get_event(customer_id=first.customer_id, event_id="same")

        assert (event.event_id, event.subscription_id) == ("same", first.pk)
        with pytest.raises(NotFound):
            get_event(customer_id=make_id(), event_id="same")


class TestPlans:
    """Every hot read finds its rows by an index, in one partition."""

    def explain(self, query: QuerySet[Any]) -> str:
        sql, parameters = query.query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}", parameters)
            return "\n".join(line for (line,) in cursor)

    def test_of_a_segments_usage(self) -> None:
        query = UsageRollup.objects.filter(customer_id=make_id(), segment_id__in=[make_id(), make_id()])
        plan = self.explain(query)

        assert "Index Cond: ((customer_id =" in plan
        assert "segment_id" in plan.split("Index Cond")[1].splitlines()[0]
        assert plan.count("metering_usagerollup_") == 2  # The partition and its index.

    def test_of_a_page_of_events(self) -> None:
        query = UsageEvent.objects.filter(customer_id=make_id(), uid__lt=make_id()).order_by("-uid")[:10]
        plan = self.explain(query)

        assert "Index Scan Backward" in plan
        assert "uid <" in plan.split("Index Cond")[1].splitlines()[0]
        assert "Sort" not in plan

    def test_of_unmatched_events(self) -> None:
        query = UsageEvent.objects.filter(customer_id=make_id(), segment_id__isnull=True).order_by(
            "event_id"
        )[:10]
        plan = self.explain(query)

        assert "event_id_idx" in plan
        assert "Sort" not in plan
