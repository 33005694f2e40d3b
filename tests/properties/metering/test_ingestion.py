"""Usage does not depend on the order of events, how they are batched, or how often they are sent."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_project.core.money import EXACT
from catalog.models import BillingCadence
from metering.models import UsageRollup
from subscriptions.models import Subscription
from tests.factories.core import NOON
from tests.factories.metering import INPUT, close, ingest, make_metered_plan, read_usage, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

FIRST_END = utc(2026, 3, 2)
AT = FIRST_END + timedelta(days=3)

# Which of three subscriptions, how many hours from their start, and how much.
SENT = st.tuples(
    st.integers(0, 2),
    st.integers(-48, 84),
    st.decimals(min_value=0, max_value=10**12, places=6),
)
Sent = tuple[int, int, Decimal]


def make_subscriptions() -> list[Subscription]:
    """Make three subscriptions, whose first period is closed, but for the last."""
    plan = make_metered_plan(billing_cadence=BillingCadence.DAILY)
    subscriptions = [subscribe(plan=plan) for _ in range(3)]
    for subscription in subscriptions[:2]:
        close(subscription, 0, at=FIRST_END)
    return subscriptions


def write_all(subscriptions: Sequence[Subscription], sent: Iterable[Sent]) -> list[dict[str, Any]]:
    return [
        write_event(
            subscriptions[number],
            id=f"event-{place}",
            timestamp=NOON + timedelta(hours=hours),
            properties={"input_tokens": str(value)},
        )
        for place, (number, hours, value) in enumerate(sent)
    ]


def describe(subscriptions: Sequence[Subscription]) -> list[object]:
    """Tell all that rollups say of subscriptions, by period and hour."""
    described: list[object] = []
    for subscription in subscriptions:
        hours: Counter[object] = Counter()
        for rollup in UsageRollup.objects.filter(customer_id=subscription.customer_id):
            hours[rollup.hour_at] += rollup.event_count
        described.append((hours, [read_usage(subscription, period=number) for number in range(5)]))
    return described


class TestIngestEvents:
    @settings(max_examples=12, deadline=None)
    @given(sent=st.lists(SENT, min_size=1, max_size=25), data=st.data())
    def test_comes_to_the_same_in_any_order_and_any_batches(
        self, sent: list[Sent], data: st.DataObject
    ) -> None:
        plain, shuffled = make_subscriptions(), make_subscriptions()
        events = write_all(shuffled, sent)
        order = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=10))))
        sizes = data.draw(st.lists(st.integers(1, 10), min_size=len(order), max_size=len(order)))

        ingest(*write_all(plain, sent), at=AT)
        accepted = duplicates = 0
        while order:
            batch, order = order[: sizes[0]], order[sizes.pop(0) :]
            report = ingest(*batch, at=AT)
            accepted += report.accepted
            duplicates += report.duplicates
            assert report.refusals == ()

        assert accepted == len(sent)
        assert describe(shuffled) == describe(plain)
        assert find_breaches() == []

    @settings(max_examples=12, deadline=None)
    @given(sent=st.lists(SENT, min_size=1, max_size=25))
    def test_adds_up_to_what_was_sent(self, sent: list[Sent]) -> None:
        subscriptions = make_subscriptions()

        ingest(*write_all(subscriptions, sent), at=AT)

        for number, subscription in enumerate(subscriptions):
            expected = Decimal(0)
            for owner, _, value in sent:
                if owner == number:
                    expected = EXACT.add(expected, value)
            usage = read_usage(subscription)
            assert (usage[INPUT].quantity if INPUT in usage else 0) == expected
