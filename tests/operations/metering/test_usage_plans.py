"""How PostgreSQL reads usage: by an index, in the customer's partition, with as many queries as there are."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.queries import BY_EVERY_GROUP, Grouping, UsageChoice, read_usage_summary
from metering.queries.windows import read_usage_series, read_window_usage
from metering.windows import Granularity, Window, WindowKind
from subscriptions.models import Subscription
from tests.factories.core import NOON
from tests.factories.subscriptions import subscribe
from tests.operations.metering.test_usage_cuts import make_grouped_plan

pytestmark = pytest.mark.django_db

AT = NOON + timedelta(days=20)
HOURS = 480

# As many rollups as a busy month has; and others of the same customer, and of another.
FILL = """
    INSERT INTO metering_usagerollup (
        customer_id, segment_id, meter_id, hour_at, group_key, stripe,
        total, event_count, late_total, late_count, moment, lead_rank, lead_value
    )
    SELECT owner.customer_id, owner.segment_id, meter.id, %(start)s + hour * interval '1 hour',
        '["small",null]', stripe, 10, 2, 0, 0, 0, 9, 9
    FROM unnest(%(customer_ids)s::uuid[], %(segment_ids)s::uuid[]) AS owner (customer_id, segment_id),
        catalog_meter AS meter, generate_series(1, %(hours)s) AS hour, generate_series(0, 1) AS stripe
"""
FILL_VALUES = """
    INSERT INTO metering_usagevalue (
        customer_id, segment_id, meter_id, hour_at, group_key, value, stripe, event_count
    )
    SELECT customer_id, segment_id, meter_id, hour_at, group_key, '9', stripe, 2 FROM metering_usagerollup
"""


@pytest.fixture
def subscription() -> Subscription:
    """Make a subscription with many rollups on meters of all kinds, and others around it."""
    plan = make_grouped_plan()
    subscription, *others = [subscribe(plan=plan) for _ in range(4)]
    owners = [(one.customer_id, one.segments.get().pk) for one in (subscription, *others)]
    owners += [(subscription.customer_id, one.segments.get().pk) for one in others]
    with connection.cursor() as cursor:
        parameters = {
            "start": NOON,
            "hours": HOURS,
            "customer_ids": [customer_id for customer_id, _ in owners],
            "segment_ids": [segment_id for _, segment_id in owners],
        }
        cursor.execute(FILL, parameters)
        cursor.execute(FILL_VALUES)
        cursor.execute("ANALYZE metering_usagerollup")
        cursor.execute("ANALYZE metering_usagevalue")
    return subscription


def read_summary(subscription: Subscription, choice: UsageChoice) -> None:
    read_usage_summary(subscription=subscription, period=subscription.periods.get(), at=AT, choice=choice)


def read_days(subscription: Subscription, choice: UsageChoice) -> None:
    read_usage_series(
        subscription=subscription,
        period=subscription.periods.get(),
        granularity=Granularity.DAY,
        at=AT,
        choice=choice,
    )


def read_window(subscription: Subscription, choice: UsageChoice) -> None:
    window = Window(kind=WindowKind.SLIDING, hours=24)
    read_window_usage(subscription=subscription, window=window, at=AT + timedelta(minutes=20), choice=choice)


class TestPlans:
    @pytest.mark.parametrize("read", [read_summary, read_days, read_window])
    @pytest.mark.parametrize(
        "grouping",
        [Grouping(), BY_EVERY_GROUP, Grouping(properties=("region",), only={"model": "small"})],
        ids=["whole", "by group", "merged"],
    )
    def test_use_an_index_of_the_customers_partition(
        self,
        subscription: Subscription,
        read: Callable[[Subscription, UsageChoice], None],
        grouping: Grouping,
    ) -> None:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            read(subscription, UsageChoice(grouping=grouping))
        statements = [query["sql"] for query in queries if "metering_" in query["sql"]]

        assert any("metering_usagerollup" in statement for statement in statements)
        assert any("metering_usagevalue" in statement for statement in statements)
        for statement in statements:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {statement}")
                plan = "\n".join(line for (line,) in cursor)
            assert "Seq Scan" not in plan, plan
            assert "Index Cond: ((customer_id =" in plan, plan
            assert find_partitions(plan).most_common(1)[0][1] == 1, plan


def find_partitions(plan: str) -> Counter[str]:
    """Count the partitions of each table of usage that a plan reads."""
    return Counter(table for table, _ in set(re.findall(r"on (metering_\w+)_(\d\d)\b", plan)))
