"""Ending a subscription, and taking a planned end back."""

from datetime import datetime, timedelta

import pytest

from billing_project.core.errors import Conflict, NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry, OutboxEvent
from catalog.models import BillingCadence
from subscriptions.models import Period, PlannedChange, Segment, Subscription, SubscriptionStatus
from subscriptions.operations import (
    When,
    cancel_subscription,
    close_period,
    ensure_periods,
    roll_subscription,
    set_period_due,
    uncancel_subscription,
)
from subscriptions.operations.cancellation import (
    CancellationAlreadyPlanned,
    NoCancellationPlanned,
)
from subscriptions.operations.planning import SubscriptionEnded
from tests.factories.catalog import make_plan
from tests.factories.core import NOON, TESTER
from tests.factories.subscriptions import find_breaches, list_bounds, subscribe, utc

pytestmark = pytest.mark.django_db

END = utc(2026, 3, 28)
NEXT_END = utc(2026, 4, 28)
HOUR = timedelta(hours=1)


def cancel(subscription: Subscription, when: When, at: datetime) -> Subscription:
    return cancel_subscription(subscription_id=subscription.pk, when=when, at=at, actor=TESTER)


def uncancel(subscription: Subscription, at: datetime) -> Subscription:
    return uncancel_subscription(subscription_id=subscription.pk, at=at, actor=TESTER)


def ensure(subscription: Subscription, until: datetime) -> None:
    ensure_periods(subscription_ids=[subscription.pk], until=until)


def read_rows() -> tuple[list[object], ...]:
    """Read all that a cancellation can change."""
    return (
        list(Subscription.objects.values()),
        list(Period.objects.order_by("number").values()),
        list(Segment.objects.order_by("pk").values()),
        list(PlannedChange.objects.values()),
        list(OutboxEvent.objects.values_list("position", flat=True)),
    )


def assert_refused(error: type[Conflict], operation: object, *arguments: object) -> None:
    rows = read_rows()
    with pytest.raises(error):
        operation(*arguments)  # type: ignore[operator]
    assert read_rows() == rows


class TestCancelNow:
    def test_ends_the_subscription_and_its_period(self) -> None:
        subscription = subscribe()
        at = utc(2026, 3, 10, 9, 30)

        cancelled = cancel(subscription, When.NOW, at)

        subscription.refresh_from_db()
        assert subscription.status == cancelled.status == SubscriptionStatus.CANCELLED
        assert subscription.ends_at == subscription.cancelled_at == at
        period = Period.objects.get()
        assert (period.starts_at, period.ends_at) == (NOON, at)
        assert (period.nominal_starts_at, period.nominal_ends_at) == (utc(2026, 2, 28), END)
        assert period.closes_at == at + HOUR
        assert period.due_at == NOON  # Its start has not been billed yet.
        segment = Segment.objects.get()
        assert (segment.starts_at, segment.ends_at) == (NOON, at)
        assert find_breaches() == []

    def test_makes_the_period_due_where_only_its_end_was_left(self) -> None:
        subscription = subscribe()
        set_period_due(period_id=Period.objects.get().pk, due_at=END)

        cancel(subscription, When.NOW, utc(2026, 3, 10))

        assert Period.objects.get().due_at == utc(2026, 3, 10)

    def test_tells_of_itself(self) -> None:
        subscription = subscribe()
        at = utc(2026, 3, 10)

        cancel(subscription, When.NOW, at)

        event = OutboxEvent.objects.order_by("-position")[0]
        assert (event.name, event.subject_id, event.occurred_at) == (
            "subscription.cancelled",
            subscription.pk,
            at,
        )
        assert event.payload["status"] == "Cancelled"
        assert event.payload["ends_at"] == "2026-03-10T00:00:00Z"
        entry = AuditEntry.objects.get(action="subscription.cancelled")
        assert entry.changes == {
            "status": ["Active", "Cancelled"],
            "ends_at": [None, "2026-03-10T00:00:00Z"],
            "cancelled_at": [None, "2026-03-10T00:00:00Z"],
        }

    def test_makes_the_periods_that_are_missing_first(self) -> None:
        subscription = subscribe()

        cancel(subscription, When.NOW, utc(2026, 4, 10))

        assert list_bounds(subscription) == [(NOON, END), (END, utc(2026, 4, 10))]
        assert Period.objects.get(number=0).closes_at == END + HOUR
        assert find_breaches() == []

    def test_leaves_a_later_period_without_length(self) -> None:
        subscription = subscribe()
        ensure(subscription, END + timedelta(minutes=30))  # An event for the next month came early.
        at = END - timedelta(minutes=20)

        cancel(subscription, When.NOW, at)

        assert list_bounds(subscription) == [(NOON, at), (at, at)]
        later = Period.objects.get(number=1)
        assert later.closes_at == at + HOUR
        assert later.due_at == at
        assert later.nominal_starts_at == at
        assert later.nominal_ends_at == NEXT_END
        segment = Segment.objects.get(period=later)
        assert (segment.starts_at, segment.ends_at) == (at, at)
        assert find_breaches() == []

    def test_can_come_at_the_start_of_a_period(self) -> None:
        subscription = subscribe()
        ensure(subscription, END)

        cancel(subscription, When.NOW, END)

        assert list_bounds(subscription) == [(NOON, END), (END, END)]
        assert find_breaches() == []

    def test_can_come_at_the_instant_of_subscribing(self) -> None:
        subscription = subscribe()

        cancel(subscription, When.NOW, NOON)

        assert list_bounds(subscription) == [(NOON, NOON)]
        assert find_breaches() == []

    def test_ends_a_trial(self) -> None:
        subscription = subscribe(trial_days=14)

        cancelled = cancel(subscription, When.NOW, utc(2026, 3, 5))

        assert cancelled.status == SubscriptionStatus.CANCELLED
        period = Period.objects.get()
        assert period.is_trial
        assert period.ends_at == utc(2026, 3, 5)

    def test_ends_at_its_start_what_has_not_begun(self) -> None:
        start = utc(2026, 5, 1)
        subscription = subscribe(start_at=start)

        cancelled = cancel(subscription, When.NOW, utc(2026, 3, 5))

        assert cancelled.ends_at == start
        assert cancelled.cancelled_at == utc(2026, 3, 5)
        period = Period.objects.get()
        assert (period.starts_at, period.ends_at, period.due_at) == (start, start, start)
        assert period.closes_at == start + HOUR
        assert find_breaches() == []

    def test_overrides_a_planned_end(self) -> None:
        subscription = subscribe()
        ensure(subscription, END)
        cancel(subscription, When.PERIOD_END, utc(2026, 3, 5))

        cancelled = cancel(subscription, When.NOW, utc(2026, 3, 6))

        assert cancelled.status == SubscriptionStatus.CANCELLED
        assert cancelled.ends_at == utc(2026, 3, 6)
        planned, made = PlannedChange.objects.order_by("pk")
        assert (planned.withdrawn_at, planned.applied_at) == (utc(2026, 3, 6), None)
        assert (made.kind, made.effective_at, made.applied_at) == ("Cancel", utc(2026, 3, 6), utc(2026, 3, 6))
        assert list_bounds(subscription) == [(NOON, utc(2026, 3, 6)), (utc(2026, 3, 6), utc(2026, 3, 6))]
        assert find_breaches() == []

    def test_keeps_the_order_of_closing(self) -> None:
        subscription = subscribe()
        ensure(subscription, END)
        Period.objects.filter(number=0).update(closes_at=END + timedelta(days=3))
        Period.objects.filter(number=1).update(closes_at=NEXT_END)

        cancel(subscription, When.NOW, END + HOUR)

        assert Period.objects.get(number=1).closes_at == END + timedelta(days=3)
        assert find_breaches() == []

    def test_leaves_a_closed_period_as_it_is(self) -> None:
        """The clocks of two servers differ: one has closed what has not ended by the other's."""
        subscription = subscribe()
        ensure(subscription, END)
        close_period(period_id=Period.objects.get(number=0).pk, at=END, actor=TESTER)

        cancelled = cancel(subscription, When.NOW, END - timedelta(milliseconds=5))

        assert cancelled.ends_at == END
        assert list_bounds(subscription) == [(NOON, END), (END, END)]
        assert find_breaches() == []

    def test_is_refused_the_second_time(self) -> None:
        subscription = subscribe()
        cancel(subscription, When.NOW, utc(2026, 3, 5))

        assert_refused(SubscriptionEnded, cancel, subscription, When.NOW, utc(2026, 3, 6))
        assert_refused(SubscriptionEnded, cancel, subscription, When.PERIOD_END, utc(2026, 3, 6))

    def test_is_refused_after_a_planned_end_that_nobody_has_carried_out_yet(self) -> None:
        subscription = subscribe()
        cancel(subscription, When.PERIOD_END, utc(2026, 3, 5))

        assert_refused(SubscriptionEnded, cancel, subscription, When.NOW, END)

    def test_refuses_an_unknown_subscription(self) -> None:
        with pytest.raises(NotFound):
            cancel_subscription(subscription_id=make_id(), when=When.NOW, at=NOON, actor=TESTER)


class TestCancelAtPeriodEnd:
    def test_plans_the_end(self) -> None:
        subscription = subscribe()
        at = utc(2026, 3, 10)

        cancelled = cancel(subscription, When.PERIOD_END, at)

        subscription.refresh_from_db()
        assert subscription.status == cancelled.status == SubscriptionStatus.ACTIVE
        assert subscription.ends_at == END
        assert subscription.cancelled_at is None
        assert subscription.is_ending
        planned = PlannedChange.objects.get()
        assert (planned.kind, planned.effective_at) == ("Cancel", END)
        assert list_bounds(subscription) == [(NOON, END)]
        event = OutboxEvent.objects.order_by("-position")[0]
        assert (event.name, event.payload["ends_at"]) == ("subscription.updated", "2026-03-28T00:00:00Z")
        entry = AuditEntry.objects.get(action="subscription.cancellation_planned")
        assert entry.changes == {"ends_at": [None, "2026-03-28T00:00:00Z"]}
        assert find_breaches() == []

    def test_takes_the_period_that_contains_the_instant(self) -> None:
        subscription = subscribe()

        cancel(subscription, When.PERIOD_END, END)

        assert list_bounds(subscription) == [(NOON, END), (END, NEXT_END)]
        subscription.refresh_from_db()
        assert subscription.ends_at == NEXT_END

    def test_leaves_a_later_period_without_length(self) -> None:
        subscription = subscribe()
        ensure(subscription, END + timedelta(minutes=30))

        cancel(subscription, When.PERIOD_END, END - timedelta(minutes=20))

        assert list_bounds(subscription) == [(NOON, END), (END, END)]
        assert Period.objects.get(number=0).due_at == NOON
        assert Period.objects.get(number=1).due_at == END
        assert find_breaches() == []

    def test_ends_with_the_trial_what_is_in_its_trial(self) -> None:
        subscription = subscribe(trial_days=14)

        assert cancel(subscription, When.PERIOD_END, utc(2026, 3, 1)).ends_at == utc(2026, 3, 15)

    def test_ends_with_its_first_period_what_has_not_begun(self) -> None:
        subscription = subscribe(start_at=utc(2026, 5, 1))

        assert cancel(subscription, When.PERIOD_END, NOON).ends_at == utc(2026, 6, 1)

    def test_is_refused_the_second_time(self) -> None:
        subscription = subscribe()
        cancel(subscription, When.PERIOD_END, utc(2026, 3, 5))

        assert_refused(CancellationAlreadyPlanned, cancel, subscription, When.PERIOD_END, utc(2026, 3, 6))


class TestUncancelSubscription:
    def test_lets_the_subscription_run_on(self) -> None:
        subscription = subscribe()
        cancel(subscription, When.PERIOD_END, utc(2026, 3, 5))
        at = utc(2026, 3, 6)

        uncancel(subscription, at)

        subscription.refresh_from_db()
        assert subscription.ends_at is None
        assert not subscription.is_ending
        planned = PlannedChange.objects.get()
        assert (planned.withdrawn_at, planned.applied_at) == (at, None)
        assert (
            roll_subscription(subscription_id=subscription.pk, at=END, actor=TESTER).status
            == SubscriptionStatus.ACTIVE
        )
        assert list_bounds(subscription) == [(NOON, END), (END, NEXT_END)]
        event = OutboxEvent.objects.order_by("-position")[0]
        assert (event.name, event.payload["ends_at"]) == ("subscription.updated", None)
        entry = AuditEntry.objects.get(action="subscription.uncancelled")
        assert entry.changes == {"ends_at": ["2026-03-28T00:00:00Z", None]}
        assert find_breaches() == []

    def test_gives_later_periods_their_bounds_again(self) -> None:
        plan = make_plan(billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(plan=plan, at=utc(2026, 3, 1, 12))
        ensure(subscription, utc(2026, 3, 4, 12))
        before = (
            list(Period.objects.order_by("number").values()),
            list(Segment.objects.order_by("pk").values()),
        )
        cancel(subscription, When.PERIOD_END, utc(2026, 3, 1, 13))
        assert list_bounds(subscription)[1:] == [(utc(2026, 3, 3), utc(2026, 3, 3))] * 2
        assert find_breaches() == []

        uncancel(subscription, utc(2026, 3, 1, 14))

        after = (
            list(Period.objects.order_by("number").values()),
            list(Segment.objects.order_by("pk").values()),
        )
        assert after == before
        assert find_breaches() == []

    def test_can_be_followed_by_another_end(self) -> None:
        subscription = subscribe()
        cancel(subscription, When.PERIOD_END, utc(2026, 3, 5))
        uncancel(subscription, utc(2026, 3, 6))

        cancel(subscription, When.PERIOD_END, utc(2026, 3, 7))

        assert PlannedChange.objects.filter(withdrawn_at__isnull=True).count() == 1
        assert find_breaches() == []

    def test_is_refused_where_nothing_is_planned(self) -> None:
        assert_refused(NoCancellationPlanned, uncancel, subscribe(), utc(2026, 3, 6))

    def test_is_refused_once_the_end_has_come(self) -> None:
        subscription = subscribe()
        cancel(subscription, When.PERIOD_END, utc(2026, 3, 5))

        assert_refused(SubscriptionEnded, uncancel, subscription, END)
        roll_subscription(subscription_id=subscription.pk, at=END, actor=TESTER)
        assert_refused(SubscriptionEnded, uncancel, subscription, END)

    def test_is_refused_after_a_cancellation_at_once(self) -> None:
        subscription = subscribe()
        cancel(subscription, When.NOW, utc(2026, 3, 5))

        assert_refused(SubscriptionEnded, uncancel, subscription, utc(2026, 3, 5))
