"""Reading usage."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from catalog.models import Aggregation, BillingCadence, Meter
from metering.models import UsageEvent
from metering.queries import (
    MeterUsage,
    PeriodName,
    get_event,
    get_usage_period,
    read_segment_usage,
    read_usage_summary,
)
from subscriptions.models import Segment, Subscription
from subscriptions.operations import When, cancel_subscription, ensure_periods
from tests.factories.core import NOON, TESTER
from tests.factories.metering import (
    INPUT,
    OUTPUT,
    define_meter,
    ingest,
    make_metered_plan,
    make_plan_of,
    read_usage,
    write_event,
    write_upload,
)
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

FIRST_END = utc(2026, 3, 2)


def make_daily(**options: Any) -> Subscription:
    return subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY), **options)


def write_sql(query: QuerySet[Any]) -> str:
    with connection.cursor() as cursor:
        return str(cursor.mogrify(*query.query.sql_with_params()))


class TestReadSegmentUsage:
    def test_adds_up_hours_and_stripes(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription), write_event(subscription, timestamp=NOON + timedelta(hours=1)))
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE metering_usagerollup SET stripe = (stripe + 1) %% 8 WHERE hour_at = %s", [NOON]
            )
        segment = subscription.segments.select_related("period").get()
        meters = {meter.code: meter for meter in Meter.objects.all()}

        with django_assert_num_queries(1):
            usage = read_segment_usage(
                customer_id=subscription.customer_id,
                period=segment.period,
                segments=[segment],
                meters=meters.values(),
                at=NOON,
            )

        assert usage == {
            (segment.pk, meters[INPUT].pk): MeterUsage(Decimal(20), Decimal(0), 2),
            (segment.pk, meters[OUTPUT].pk): MeterUsage(Decimal(4), Decimal(0), 2),
        }

    def test_passes_over_what_comes_in_while_it_reads(self) -> None:
        subscription = subscribe(plan=make_plan_of({"meter": define_meter(Aggregation.MAX)}))

        def ingest_first(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            if "DISTINCT ON" in sql:  # The totals have been read.
                ingest(write_upload(subscription, timestamp=NOON, size=5))
            return execute(sql, *rest)

        with connection.execute_wrapper(ingest_first):
            assert read_usage(subscription) == {}
        assert read_usage(subscription) == {"meter": MeterUsage(Decimal(5), Decimal(0), 1)}

    def test_leaves_out_what_has_none_and_what_is_not_asked_for(self) -> None:
        first, second = subscribe(plan=make_metered_plan()), subscribe(plan=make_metered_plan())
        ingest(write_event(first), write_event(second))
        period = first.periods.get()
        meters = list(Meter.objects.order_by("code"))

        def read(owner: Subscription, segments: Sequence[Segment], meters: Sequence[Meter]) -> set[str]:
            usage = read_segment_usage(
                customer_id=owner.customer_id, period=period, segments=segments, meters=meters, at=NOON
            )
            assert {segment_id for segment_id, _ in usage} <= {segment.pk for segment in segments}
            return {meter.code for meter in meters if meter.pk in {meter_id for _, meter_id in usage}}

        segments = list(period.segments.all())
        assert read(first, segments, meters) == {INPUT, OUTPUT}
        assert read(first, segments, meters[:1]) == {INPUT}
        assert read(first, segments, []) == read(first, [], meters) == read(second, segments, meters) == set()


class TestReadUsageSummary:
    def test_lists_every_meter_of_the_plan_in_its_order(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(write_event(subscription, properties={"output_tokens": 3}))
        period = subscription.periods.get()

        summary = read_usage_summary(subscription=subscription, period=period, at=NOON)

        assert summary.period == period
        assert [(item.meter.code, item.usage) for item in summary.meters] == [
            (INPUT, MeterUsage(Decimal(0), Decimal(0), 0)),
            (OUTPUT, MeterUsage(Decimal(3), Decimal(0), 1)),
        ]

    def test_leaves_out_meters_that_the_plan_does_not_charge_for(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        make_metered_plan(with_count=True)
        ingest(write_event(subscription))

        summary = read_usage_summary(subscription=subscription, period=subscription.periods.get(), at=NOON)

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
            subscription_id=subscription.pk, when=When.NOW, at=NOON + timedelta(hours=1), actor=TESTER
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

    def explain(self, sql: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
            return "\n".join(line for (line,) in cursor)

    @pytest.mark.parametrize(
        ("aggregation", "tables"),
        [
            (Aggregation.SUM, ["usagerollup"]),
            (Aggregation.MAX, ["usagerollup", "usagerollup"]),
            (Aggregation.UNIQUE_COUNT, ["usagerollup", "usagevalue"]),
            (Aggregation.PERCENTILE, ["usagerollup", "usagevalue"]),
        ],
    )
    def test_of_a_segments_usage(self, aggregation: Aggregation, tables: list[str]) -> None:
        subscription = subscribe(plan=make_plan_of({"meter": define_meter(aggregation)}))

        with CaptureQueriesContext(connection) as captured:
            read_usage(subscription)

        reads = [query["sql"] for query in captured if "AS kept" in query["sql"]]
        for sql, table in zip(reads, tables, strict=True):
            plan = self.explain(sql)
            condition = plan.split("Index Cond: ")[1].splitlines()[0]
            assert "customer_id =" in condition
            assert "segment_id =" in condition
            assert plan.count(f"metering_{table}_") == 2  # The partition and its index.

    def test_of_a_page_of_events(self) -> None:
        query = UsageEvent.objects.filter(customer_id=make_id(), uid__lt=make_id()).order_by("-uid")[:10]
        plan = self.explain(write_sql(query))

        assert "Index Scan Backward" in plan
        assert "uid <" in plan.split("Index Cond")[1].splitlines()[0]
        assert "Sort" not in plan

    def test_of_unmatched_events(self) -> None:
        query = UsageEvent.objects.filter(customer_id=make_id(), segment_id__isnull=True).order_by(
            "event_id"
        )[:10]
        plan = self.explain(write_sql(query))

        assert "event_id_idx" in plan
        assert "Sort" not in plan
