"""An import comes to what the same events come to over HTTP, however they are cut into chunks."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Max, Sum
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.models import Aggregation
from metering.ingest.incoming import IngestReport
from metering.models import UsageEvent, UsageRollup, UsageValue
from metering.operations import ingest_many_events
from subscriptions.models import Subscription
from tests.factories.core import NOON
from tests.factories.metering import decode, define_meter, ingest, make_plan_of, write_upload
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

# Under which id, in which hour, how much, and of which region: some of them cannot be accepted.
SENT = st.tuples(
    st.integers(0, 12),
    st.integers(-30, 3),
    st.one_of(st.integers(-2, 10**6), st.sampled_from(["12.5", "many", None, 10**31, "0.000000000001"])),
    st.sampled_from(["eu", "us", None]),
)
Sent = tuple[int, int, Any, str | None]


def make_subscriptions() -> tuple[Subscription, Subscription]:
    """Subscribe two customers to meters that keep each state that there is."""
    plan = make_plan_of(
        {
            aggregation.value: define_meter(aggregation, group_by=["region"])
            for aggregation in (
                Aggregation.SUM,
                Aggregation.MAX,
                Aggregation.LATEST,
                Aggregation.UNIQUE_COUNT,
            )
        }
    )
    return subscribe(plan=plan), subscribe(plan=plan)


def write_all(subscription: Subscription, sent: Sequence[Sent]) -> list[dict[str, Any]]:
    return [
        write_upload(subscription, timestamp=NOON + timedelta(hours=hours), size=size, region=region)
        | {"id": f"event-{number}"}
        for number, hours, size, region in sent
    ]


def describe(subscription: Subscription) -> list[object]:
    """Tell all that is stored of a subscription's usage, but for what is its own alone."""
    own = {"customer_id": subscription.customer_id}
    key = ("meter_id", "hour_at", "group_key")
    events = UsageEvent.objects.filter(**own).order_by("event_id")
    rollups = UsageRollup.objects.filter(**own).values(*key).order_by(*key)
    kept = UsageValue.objects.filter(**own).values(*key, "value").order_by(*key, "value")
    return [
        list(events.values_list("event_id", "timestamp", "billed_at", "is_late", "properties")),
        list(rollups.annotate(Sum("total"), Sum("event_count"), Max("lead_rank"), Max("lead_value"))),
        list(kept.annotate(Sum("event_count"))),
    ]


def list_outcomes(reports: Sequence[IngestReport]) -> tuple[int, int, list[tuple[str | None, str]]]:
    """Tell how many events were accepted and repeated, and which were refused, in their order."""
    refused = [(refusal.event_id, refusal.code.value) for report in reports for refusal in report.refusals]
    return sum(each.accepted for each in reports), sum(each.duplicates for each in reports), refused


class TestIngestManyEvents:
    @settings(max_examples=15, deadline=None)
    @given(sent=st.lists(SENT, min_size=1, max_size=40), data=st.data())
    def test_comes_to_what_batches_come_to(self, sent: list[Sent], data: st.DataObject) -> None:
        by_import, over_http = make_subscriptions()
        chunks = data.draw(st.lists(st.integers(1, 12), min_size=len(sent), max_size=len(sent)))
        batches = data.draw(st.lists(st.integers(1, 12), min_size=len(sent), max_size=len(sent)))

        imported = [
            ingest_many_events(events=decode(*chunk), at=NOON)
            for chunk in cut(write_all(by_import, sent), chunks)
        ]
        ingested = [ingest(*batch) for batch in cut(write_all(over_http, sent), batches)]

        assert list_outcomes(imported) == list_outcomes(ingested)
        assert describe(by_import) == describe(over_http)
        assert find_breaches() == []


def cut(events: Sequence[dict[str, Any]], sizes: Sequence[int]) -> Iterator[Sequence[dict[str, Any]]]:
    """Cut events into parts of these sizes, as far as they go."""
    start = 0
    for size in sizes:
        if start < len(events):
            yield events[start : start + size]
        start += size
