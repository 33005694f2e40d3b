"""Events that came before their subscription."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry, OutboxEvent
from catalog.models import BillingCadence
from catalog.operations import MeterDefinition
from metering.models import LateUsage, UsageEvent
from metering.operations import (
    match_selected_events,
    match_unmatched_events,
    preview_match,
    unmatched,
    void_event,
)
from metering.operations.corrections import TooManyEventsSelected
from metering.operations.unmatched import Matched, NothingToMatch, UnknownSubscription
from metering.queries.corrections import EventSelection
from metering.reasons import CorrectionReasonMissing
from subscriptions.models import Subscription
from subscriptions.operations import When, cancel_subscription
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
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=NOON + HOUR, actor=TESTER)
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


OLD = NOON - timedelta(days=10)


def match_selected(subscription: Subscription, **options: Any) -> Matched:
    selection = options.pop("selection", {"stamped_before": NOON})
    return match_selected_events(
        selection=EventSelection(**{"customer_id": subscription.customer_id, **selection}),
        **{
            "subscription_id": subscription.pk,
            "reason": "Used before the contract was signed",
            "at": NOON,
            "actor": TESTER,
            **options,
        },
    )


class TestMatchSelectedEvents:
    def test_puts_older_events_into_the_first_period(self) -> None:
        customer = make_customer()
        older = [write_event(customer, timestamp=OLD), write_event(customer, timestamp=OLD + HOUR)]
        ingest(*older)
        subscription = subscribe(customer=customer, plan=make_metered_plan())

        assert match_selected(subscription).count == 2

        assert read_totals(subscription) == {INPUT: Decimal(20), OUTPUT: Decimal(4)}
        assert [get_stored(event).billed_at for event in older] == [NOON, NOON]
        assert not any(get_stored(event).is_late for event in older)
        entry = AuditEntry.objects.get(action="usage.matched")
        assert entry.changes["reason"] == [None, "Used before the contract was signed"]
        assert find_breaches() == []

    def test_puts_them_into_the_first_open_period_where_that_is_closed(self) -> None:
        customer = make_customer()
        older = write_event(customer, timestamp=OLD)
        ingest(older)
        at = utc(2026, 3, 2, 1)
        plan = make_metered_plan(billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(customer=customer, plan=plan, start_at=NOON, at=at)
        close(subscription, 0, at=at)

        match_selected(subscription, at=at)

        assert (get_period_number(older), get_stored(older).is_late) == (1, True)
        assert find_breaches() == []

    def test_takes_only_what_is_meant_and_can_be_matched(self) -> None:
        customer = make_customer()
        first = subscribe(customer=customer, plan=make_metered_plan())
        matched = write_event(first, timestamp=NOON - HOUR)
        ingest(matched)
        named, other, of_other_type = (
            write_event(customer, timestamp=OLD, event_type=event_type)
            for event_type in ("llm.image", "llm.image", "llm.embedding")
        )
        voided = write_event(customer, timestamp=OLD, event_type="llm.image")
        ingest(named, other, of_other_type, voided)
        void_event(customer_id=customer.pk, event_id=voided["id"], reason="A test run", at=NOON, actor=TESTER)
        plan = make_plan()
        make_sku(plan, meter=MeterDefinition.read(event_type="llm.image"))
        second = subscribe(customer=customer, plan=plan)
        ids = tuple(each["id"] for each in (named, of_other_type, matched, voided))

        assert match_selected(second, selection={"event_ids": ids}).count == 1

        assert get_stored(named).subscription_id == second.pk
        assert get_stored(matched).subscription_id == first.pk
        assert not get_stored(other).is_matched
        assert not get_stored(of_other_type).is_matched
        assert find_breaches() == []

    def test_takes_none_from_the_end_on(self) -> None:
        customer = make_customer()
        within, after = write_event(customer, timestamp=OLD), write_event(customer, timestamp=NOON + HOUR)
        ingest(within, after)
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=NOON + HOUR, actor=TESTER)

        selection = {"event_type": "llm.completion"}
        assert match_selected(subscription, selection=selection, at=NOON + HOUR).count == 1
        assert not get_stored(after).is_matched

    def test_marks_a_closed_period_after_the_end_as_due(self) -> None:
        customer = make_customer()
        ingest(write_event(customer, timestamp=OLD))
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=NOON + HOUR, actor=TESTER)
        close(subscription, 0, at=NOON + HOUR)

        match_selected(subscription, at=NOON + 2 * HOUR)

        assert LateUsage.objects.get().noted_at == NOON + 2 * HOUR

    def test_refuses_a_subscription_of_somebody_else(self) -> None:
        customer = make_customer()
        older = write_event(customer, timestamp=OLD)
        ingest(older)
        other = subscribe(plan=make_metered_plan())

        for subscription_id in (other.pk, make_id()):
            with pytest.raises(UnknownSubscription):
                match_selected(
                    other,
                    selection={"customer_id": customer.pk, "stamped_before": NOON},
                    subscription_id=subscription_id,
                )

        assert not get_stored(older).is_matched

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_asks_for_a_reason(self, reason: str) -> None:
        customer = make_customer()
        ingest(write_event(customer, timestamp=OLD))
        subscription = subscribe(customer=customer, plan=make_metered_plan())

        with pytest.raises(CorrectionReasonMissing):
            match_selected(subscription, reason=reason)

        assert read_totals(subscription) == {}

    def test_refuses_when_there_is_nothing_to_match(self) -> None:
        subscription = subscribe(plan=make_metered_plan())

        with pytest.raises(NothingToMatch):
            match_selected(subscription)

    def test_refuses_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(unmatched, "VOID_LIMIT", 1)
        customer = make_customer()
        ingest(*[write_event(customer, timestamp=OLD) for _ in range(2)])
        subscription = subscribe(customer=customer, plan=make_metered_plan())

        with pytest.raises(TooManyEventsSelected):
            match_selected(subscription)

        assert read_totals(subscription) == {}


class TestPreviewMatch:
    def test_tells_what_would_change_and_changes_nothing(self) -> None:
        customer = make_customer()
        ingest(*[write_event(customer, timestamp=OLD) for _ in range(2)])
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        ingest(write_event(subscription))

        preview = preview_match(
            selection=EventSelection(customer_id=customer.pk, stamped_before=NOON),
            subscription_id=subscription.pk,
            at=NOON,
            actor=TESTER,
        )

        assert preview.event_count == 2
        changes = {
            effect.meter.code: (effect.before.quantity, effect.after.quantity) for effect in preview.effects
        }
        assert changes == {INPUT: (10, 30), OUTPUT: (2, 6)}
        assert read_totals(subscription)[INPUT] == 10
        assert not AuditEntry.objects.filter(action="usage.matched").exists()
        assert find_breaches() == []
