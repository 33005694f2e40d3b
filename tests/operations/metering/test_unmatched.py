"""Events that came before their subscription."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing_project.core.models import AuditEntry, OutboxEvent
from catalog.models import BillingCadence
from catalog.operations import MeterDefinition
from metering.models import LateUsage, UsageEvent
from metering.operations import match_unmatched_events, unmatched
from subscriptions.models import Subscription
from subscriptions.operations import CancelWhen, cancel_subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER, drain_outbox
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import (
    CALLS,
    INPUT,
    OUTPUT,
    close,
    get_period_number,
    get_stored,
    ingest,
    make_metered_plan,
    read_totals,
    read_usage,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def match(subscription: Subscription, **options: Any) -> int:
    return match_unmatched_events(
        **{"subscription_id": subscription.pk, "at": NOON, "actor": TESTER, **options}
    )


class TestMatchUnmatchedEvents:
    def test_counts_what_is_stamped_from_the_start_on(self) -> None:
        customer = make_customer()
        before = write_event(customer, timestamp=NOON - timedelta(microseconds=1))
        events = [write_event(customer, timestamp=NOON), write_event(customer, timestamp=NOON + HOUR)]
        ingest(before, *events)
        subscription = subscribe(customer=customer, plan=make_metered_plan(with_count=True))

        assert match(subscription) == 2

        assert read_totals(subscription) == {INPUT: Decimal(20), OUTPUT: Decimal(4), CALLS: Decimal(2)}
        assert [get_stored(event).billed_at for event in events] == [NOON, NOON + HOUR]
        assert not get_stored(before).is_matched
        assert find_breaches() == []

    def test_happens_by_itself_when_a_customer_subscribes(self) -> None:
        customer = make_customer(test_clock_id=make_test_clock(now_at=NOON).pk)
        ingest(write_event(customer))
        subscription = subscribe(customer=customer, plan=make_metered_plan())

        drain_outbox()

        assert read_totals(subscription)[INPUT] == 10

    def test_is_harmless_when_done_again(self) -> None:
        customer = make_customer()
        ingest(write_event(customer))
        subscription = subscribe(customer=customer, plan=make_metered_plan())

        assert [match(subscription), match(subscription)] == [1, 0]
        assert read_totals(subscription)[INPUT] == 10
        assert AuditEntry.objects.filter(action="usage.matched").count() == 1

    def test_leaves_events_of_other_types_and_customers(self) -> None:
        customer = make_customer()
        other = write_event(customer, event_type="llm.embedding")
        foreign = write_event(make_customer())
        ingest(other, foreign)
        subscription = subscribe(customer=customer, plan=make_metered_plan())

        assert match(subscription) == 0
        assert not get_stored(other).is_matched
        assert not get_stored(foreign).is_matched

    def test_leaves_a_value_out_that_a_younger_meter_cannot_count(self) -> None:
        customer = make_customer()
        ingest(write_event(customer, properties={"input_tokens": "many", "output_tokens": 3}))
        subscription = subscribe(customer=customer, plan=make_metered_plan())

        assert match(subscription) == 1
        assert read_totals(subscription) == {OUTPUT: Decimal(3)}
        assert find_breaches() == []

    def test_puts_events_into_the_periods_of_their_time(self) -> None:
        customer = make_customer()
        first, second = write_event(customer), write_event(customer, timestamp=utc(2026, 3, 2))
        at = utc(2026, 3, 2, 1)
        ingest(first, second, at=at)
        plan = make_metered_plan(billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(customer=customer, plan=plan, start_at=NOON, at=at)

        match(subscription, at=at)

        assert [get_period_number(first), get_period_number(second)] == [0, 1]
        assert find_breaches() == []

    def test_passes_events_of_a_closed_period_on(self) -> None:
        customer = make_customer()
        event = write_event(customer)
        at = utc(2026, 3, 2, 1)
        ingest(event, at=at)
        plan = make_metered_plan(billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(customer=customer, plan=plan, start_at=NOON, at=at)
        close(subscription, 0, at=at)

        match(subscription, at=at)

        assert (get_period_number(event), get_stored(event).is_late) == (1, True)
        assert read_usage(subscription)[INPUT].late_quantity == 10

    def test_takes_none_from_the_end_on(self) -> None:
        customer = make_customer()
        within, after = write_event(customer), write_event(customer, timestamp=NOON + HOUR)
        ingest(within, after)
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        cancel_subscription(
            subscription_id=subscription.pk, when=CancelWhen.NOW, at=NOON + HOUR, actor=TESTER
        )
        close(subscription, 0, at=NOON + HOUR)

        assert match(subscription, at=NOON + 2 * HOUR) == 1

        assert (get_stored(within).is_late, get_stored(after).is_matched) == (True, False)
        assert LateUsage.objects.get().noted_at == NOON + 2 * HOUR
        assert find_breaches() == []

    def test_goes_on_after_as_many_as_one_call_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(unmatched, "EVENTS_PER_CALL", 2)
        customer = make_customer(test_clock_id=make_test_clock(now_at=NOON).pk)
        ingest(*[write_event(customer) for _ in range(5)])
        subscription = subscribe(customer=customer, plan=make_metered_plan())

        drain_outbox()

        assert read_totals(subscription)[INPUT] == 50
        assert not UsageEvent.objects.filter(segment_id=None).exists()
        assert OutboxEvent.objects.filter(name="usage.partly_matched").count() == 2

    def test_ignores_a_plan_without_meters(self) -> None:
        customer = make_customer()
        ingest(write_event(customer))
        plan = make_plan()
        make_sku(plan, meter=None)

        assert match(subscribe(customer=customer, plan=plan)) == 0

    def test_counts_on_every_meter_of_the_type(self) -> None:
        customer = make_customer()
        ingest(write_event(customer))
        plan = make_plan()
        make_sku(plan, meter=MeterDefinition.read(event_type="llm.completion", property="input_tokens"))
        make_metered_plan(with_count=True)
        subscription = subscribe(customer=customer, plan=plan)

        match(subscription)

        assert read_totals(subscription) == {INPUT: Decimal(10), OUTPUT: Decimal(2), CALLS: Decimal(1)}
