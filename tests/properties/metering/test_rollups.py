"""Rollups say what their events add up to, however those came; and SQL reads them as pure code does."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.models import Aggregation, BillingCadence, Meter
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.rules import NO_GROUP, MeterRule
from metering.aggregation.types import Accumulated
from metering.ingest.writing import STRIPE_COUNT
from metering.meters import build_rule, group_rules
from metering.models import UsageRollup, UsageValue
from metering.operations.rebuilding import rebuild_stretch
from metering.queries.rollups import BY_EVERY_GROUP, NOT_GROUPED, Grouping, Place, Selection, read_accumulated
from metering.recounting import (
    RollupKey,
    Stretch,
    iterate_counted_events,
    read_rolled_up,
    read_timezones,
    recount,
)
from subscriptions.models import Segment, Subscription
from tests.factories.core import NOON
from tests.factories.customers import make_customer
from tests.factories.metering import close, define_meter, ingest, make_plan_of, write_upload
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

HOURS = 100
AT = NOON + timedelta(hours=HOURS)

# When an event is stamped, in quarters of an hour after the start, its size, and its region. The first period
# is closed, so what is stamped in it, or before it, comes late to the second; and few sizes, so that there are
# ties.
SIZES = st.sampled_from(["0", "1", "2", "2.0", "5", "9", "10", "100", "0.5"]) | st.integers(
    10**30 - 3, 10**30 - 1
)
SENT = st.tuples(st.integers(-8, 4 * HOURS), SIZES, st.sampled_from([None, "eu", "us"]))
Sent = tuple[int, object, str | None]
Accumulators = dict[RollupKey, Accumulator]


def make_subscription(timezone: str) -> Subscription:
    """Subscribe to a plan with a meter of each aggregation there is, whole and by region; close a day of it."""
    meters = {name: define_meter(Aggregation(name)) for name in Aggregation.values}
    by_region = {
        f"{name} by region": define_meter(Aggregation(name), group_by=["region"])
        for name in Aggregation.values
    }
    plan = make_plan_of({**meters, **by_region}, billing_cadence=BillingCadence.DAILY)
    subscription = subscribe(customer=make_customer(timezone=timezone), plan=plan)
    close(subscription, 0, at=subscription.periods.get().ends_at)
    return subscription


def write_uploads(subscription: Subscription, sent: Sequence[Sent]) -> list[dict[str, Any]]:
    return [
        write_upload(
            subscription, timestamp=NOON + quarters * timedelta(minutes=15), size=size, region=region
        )
        for quarters, size, region in sent
    ]


def draw_batches(data: st.DataObject, events: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Part events into batches, in any order, and with some of them sent again."""
    again = data.draw(st.lists(st.sampled_from(events), max_size=5))
    left = data.draw(st.permutations([*events, *again]))
    while left:
        size = data.draw(st.integers(1, 8))
        yield left[:size]
        left = left[size:]


def turn_stripes(subscription: Subscription, number: int) -> None:
    """Have what is rolled up so far be the stripe of another connection."""
    for model in (UsageRollup, UsageValue):
        rows = model.objects.filter(customer_id=subscription.customer_id, stripe__lt=STRIPE_COUNT)
        rows.update(stripe=STRIPE_COUNT + number)


def spoil(subscription: Subscription) -> None:
    """Do some harm to what the first batch has rolled up."""
    of_first = {"customer_id": subscription.customer_id, "stripe": STRIPE_COUNT}
    UsageRollup.objects.filter(**of_first).update(total=F("total") + 1, lead_value=7)
    UsageValue.objects.filter(**of_first).delete()


def recount_all(subscription: Subscription) -> Accumulators:
    rules = group_rules(map(build_rule, Meter.objects.all()))
    timezones = read_timezones(set(subscription.segments.values_list("pk", flat=True)))
    events = iterate_counted_events(customer_id=subscription.customer_id)
    return recount(events, rules=rules, timezones=timezones)


def read_purely(
    accumulators: Accumulators, rules: Sequence[MeterRule], buckets: dict[Any, int], *, by_group: bool
) -> dict[Place, Accumulated]:
    """Merge what was recounted into buckets, and read it, without the database."""
    merged: defaultdict[Place, Accumulator] = defaultdict(Accumulator)
    for key, accumulator in accumulators.items():
        group_key = key.group_key if by_group else NO_GROUP
        merged[Place(buckets[key.segment_id], key.meter_id, group_key)].merge(accumulator)
    aggregations = {rule.meter_id: rule.aggregation for rule in rules}
    return {place: found.read(aggregations[place.meter_id]) for place, found in merged.items()}


def check(subscription: Subscription) -> Accumulators:
    """Check that rollups are what is recounted, and that they read the same; return them."""
    expected = recount_all(subscription)
    assert read_rolled_up(customer_id=subscription.customer_id) == expected
    rules = [build_rule(meter) for meter in Meter.objects.all()]
    segments = list(Segment.objects.filter(subscription=subscription).order_by("starts_at"))
    by_segment = {segment.pk: number for number, segment in enumerate(segments)}
    for buckets in (by_segment, dict.fromkeys(by_segment, 0)):
        for grouping in (NOT_GROUPED, BY_EVERY_GROUP):
            assert read(subscription, rules, buckets, grouping) == read_purely(
                expected, rules, buckets, by_group=grouping is BY_EVERY_GROUP
            )
    return expected


def read(
    subscription: Subscription, rules: Sequence[MeterRule], buckets: dict[Any, int], grouping: Grouping
) -> dict[Place, Accumulated]:
    return read_accumulated(
        Selection(customer_id=subscription.customer_id, buckets=buckets, rules=rules, grouping=grouping)
    )


def rebuild(subscription: Subscription, bounds: Sequence[datetime]) -> None:
    """Rebuild the rollups of a subscription, in stretches that end at these bounds."""
    rules = [build_rule(meter) for meter in Meter.objects.all()]
    ends = [None, *bounds, None]
    for segment in subscription.segments.all():
        for stretch in map(Stretch, ends, ends[1:]):
            rebuild_stretch(segment_id=segment.pk, stretch=stretch, rules=rules)


class TestRollups:
    @settings(max_examples=10, deadline=None)
    @given(
        sent=st.lists(SENT, min_size=1, max_size=25),
        timezone=st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York"]),
        data=st.data(),
    )
    def test_are_those_of_their_events_in_any_order_and_any_batches(
        self, sent: list[Sent], timezone: str, data: st.DataObject
    ) -> None:
        subscription = make_subscription(timezone)

        accepted = 0
        for number, batch in enumerate(draw_batches(data, write_uploads(subscription, sent))):
            report = ingest(*batch, at=AT)
            assert report.refusals == ()
            accepted += report.accepted
            turn_stripes(subscription, number)

        assert accepted == len(sent)
        found = check(subscription)
        assert sum(accumulator.event_count for accumulator in found.values()) == (
            2 * len(sent) * len(Aggregation.values)
        )
        assert find_breaches() == []

    @settings(max_examples=10, deadline=None)
    @given(
        sent=st.lists(SENT, min_size=1, max_size=25),
        hours=st.sets(st.integers(0, HOURS), max_size=4),
        timezone=st.sampled_from(["UTC", "Asia/Kathmandu"]),
        data=st.data(),
    )
    def test_are_the_same_when_rebuilt_in_any_stretches(
        self, sent: list[Sent], hours: set[int], timezone: str, data: st.DataObject
    ) -> None:
        subscription = make_subscription(timezone)
        # Local hours in Kathmandu begin at a quarter past.
        first = NOON + timedelta(minutes=15 if timezone == "Asia/Kathmandu" else 0)
        for number, batch in enumerate(draw_batches(data, write_uploads(subscription, sent))):
            ingest(*batch, at=AT)
            turn_stripes(subscription, number)
        before = check(subscription)
        spoil(subscription)
        assert find_breaches() != []

        rebuild(subscription, [first + timedelta(hours=hour) for hour in sorted(hours)])

        assert check(subscription) == before
        assert find_breaches() == []


class TestPercentile:
    @settings(max_examples=15, deadline=None)
    @given(
        sizes=st.lists(st.integers(0, 9), min_size=1, max_size=30),
        percentile=st.decimals(min_value="0.01", max_value=100, places=2),
    )
    def test_is_the_same_in_sql_whichever_is_asked_for(self, sizes: list[int], percentile: Decimal) -> None:
        definition = define_meter(Aggregation.PERCENTILE, percentile=percentile)
        plan = make_plan_of({f"p{percentile.normalize():f}": definition})
        subscription = subscribe(plan=plan)

        ingest(*[write_upload(subscription, timestamp=NOON, size=size) for size in sizes])

        check(subscription)
