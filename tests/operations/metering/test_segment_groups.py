"""Usage by what a price tells apart, read from rollups."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Aggregation, Meter
from catalog.operations import MeterDefinition
from catalog.pricing.types import Dimension, Usage
from metering.queries.segment_groups import Breakdown, read_segment_groups
from subscriptions.models import Subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON
from tests.factories.metering import ingest, write_event
from tests.factories.subscriptions import subscribe
from tests.operations.metering.test_usage_plans import FILL, find_partitions

pytestmark = pytest.mark.django_db

ODD = 'the "odd" one, with [signs], \\ and ü'
MODEL = Dimension("model", frozenset({"small", "large", ODD}))
KIND = Dimension("kind", frozenset({"in", "out", "5"}))


@pytest.fixture
def subscription() -> Subscription:
    """Make a subscription with a meter of sizes and one of calls, grouped in different orders."""
    plan = make_plan()
    sizes = MeterDefinition.read(event_type="call", property="size", group_by=["region", "model", "kind"])
    calls = MeterDefinition.read(event_type="call", group_by=["kind", "model"])
    make_sku(plan, name="sizes", meter=sizes, meter_code="sizes")
    make_sku(plan, name="calls", meter=calls, meter_code="calls")
    return subscribe(plan=plan)


def send(subscription: Subscription, *, size: int, hour: int = 0, **properties: object) -> None:
    """Send an event."""
    at = NOON + timedelta(hours=hour)
    event = write_event(
        subscription, event_type="call", timestamp=at, properties={"size": size, **properties}
    )
    ingest(event, at=at)


def break_down(code: str, *dimensions: Dimension) -> Breakdown:
    """Tell the usage of a meter apart."""
    return Breakdown(meter=Meter.objects.get(code=code), dimensions=dimensions)


def read(subscription: Subscription, *breakdowns: Breakdown) -> list[Usage | None]:
    """Read the usage of each breakdown in the subscription's one segment; None if there is none."""
    segment = subscription.segments.get()
    groups = read_segment_groups(
        customer_id=subscription.customer_id, segment_ids=[segment.pk], breakdowns=breakdowns
    )
    return [groups.get((segment.pk, breakdown)) for breakdown in breakdowns]


class TestReadSegmentGroups:
    def test_adds_up_hours_and_groups_that_are_not_told_apart(self, subscription: Subscription) -> None:
        send(subscription, size=1, model="small", kind="in", region="eu")
        send(subscription, size=2, model="small", kind="in", region="us", hour=5)
        send(subscription, size=4, model="small", kind="out")
        send(subscription, size=8, model=ODD, kind=5)
        send(subscription, size=16, model="unheard of", kind="in")
        send(subscription, size=32, kind="in")
        send(subscription, size=64)

        both, model_only, swapped = read(
            subscription,
            break_down("sizes", MODEL, KIND),
            break_down("sizes", MODEL),
            break_down("calls", KIND, MODEL),
        )

        assert both == Usage(
            Decimal(127),
            {
                ("small", "in"): Decimal(3),
                ("small", "out"): Decimal(4),
                (ODD, "5"): Decimal(8),
                (None, "in"): Decimal(48),
                (None, None): Decimal(64),
            },
        )
        assert model_only == Usage(
            Decimal(127), {("small",): Decimal(7), (ODD,): Decimal(8), (None,): Decimal(112)}
        )
        assert swapped == Usage(
            Decimal(7),
            {
                ("in", "small"): Decimal(2),
                ("out", "small"): Decimal(1),
                ("5", ODD): Decimal(1),
                ("in", None): Decimal(2),
                (None, None): Decimal(1),
            },
        )

    def test_reads_segments_apart_and_nobody_elses(self, subscription: Subscription) -> None:
        other = subscribe(plan=subscription.plan_version.plan)
        send(subscription, size=1, model="small", kind="in")
        send(other, size=2, model="large", kind="in")
        segment, others = subscription.segments.get(), other.segments.get()
        breakdown = break_down("sizes", MODEL)

        groups = read_segment_groups(
            customer_id=subscription.customer_id,
            segment_ids=[segment.pk, others.pk],
            breakdowns=[breakdown],
        )

        assert groups == {(segment.pk, breakdown): Usage(Decimal(1), {("small",): Decimal(1)})}

    def test_leaves_out_what_was_not_used(self, subscription: Subscription) -> None:
        send(subscription, size=0, model="small", kind="in")

        assert read(subscription, break_down("sizes", MODEL)) == [None]
        assert read(subscription, break_down("calls", MODEL)) == [Usage(Decimal(1), {("small",): Decimal(1)})]

    def test_makes_one_query_and_none_where_nothing_is_asked(self, subscription: Subscription) -> None:
        breakdowns = [break_down("sizes", MODEL, KIND), break_down("calls", KIND)]
        send(subscription, size=1, model="small", kind="in")

        with CaptureQueriesContext(connection) as queries:
            segment_ids = [subscription.pk, subscription.pk]
            read_segment_groups(
                customer_id=subscription.customer_id, segment_ids=segment_ids, breakdowns=breakdowns
            )
            read_segment_groups(customer_id=subscription.customer_id, segment_ids=segment_ids, breakdowns=[])

        assert len(queries) == 1

    def test_uses_an_index_of_the_customers_partition(self, subscription: Subscription) -> None:
        # Usage of the same customer in other segments, as of earlier periods.
        others = [subscribe(plan=subscription.plan_version.plan) for _ in range(12)]
        segments = [one.segments.get().pk for one in (subscription, *others)]
        with connection.cursor() as cursor:
            parameters = {
                "start": NOON,
                "hours": 480,
                "customer_ids": [subscription.customer_id] * len(segments),
                "segment_ids": segments,
            }
            cursor.execute(FILL, parameters)
            cursor.execute("ANALYZE metering_usagerollup")

        with CaptureQueriesContext(connection) as queries:
            read(subscription, break_down("sizes", MODEL, KIND))
        (statement,) = [query["sql"] for query in queries if "metering_usagerollup" in query["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(line for (line,) in cursor)

        assert "Seq Scan" not in plan, plan
        assert "Index Cond: ((customer_id =" in plan, plan
        assert find_partitions(plan) == {"metering_usagerollup": 1}, plan

    def test_agrees_with_the_aggregations_that_add_up(self) -> None:
        # What is read as a total is the quantity of a Sum and of a Count, and of no other aggregation.
        additive = {aggregation for aggregation in Aggregation if Meter(aggregation=aggregation).adds_up()}

        assert additive == {Aggregation.SUM, Aggregation.COUNT}
