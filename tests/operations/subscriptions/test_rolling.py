"""Bringing a subscription up to the time."""

from datetime import datetime, timedelta

import pytest

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry, OutboxEvent
from subscriptions.models import PlannedChange, Subscription, SubscriptionStatus
from subscriptions.operations import When, cancel_subscription, roll_subscription
from tests.factories.core import NOON, TESTER
from tests.factories.subscriptions import find_breaches, list_bounds, subscribe, utc

pytestmark = pytest.mark.django_db

TRIAL_END = utc(2026, 3, 15)


def roll(subscription: Subscription, at: datetime) -> Subscription:
    return roll_subscription(subscription_id=subscription.pk, at=at, actor=TESTER)


def list_events() -> list[str]:
    return list(OutboxEvent.objects.order_by("position").values_list("name", flat=True))


class TestRollSubscription:
    def test_makes_the_period_of_now(self) -> None:
        subscription = subscribe()

        rolled = roll(subscription, utc(2026, 3, 28))

        assert rolled == subscription
        assert list_bounds(subscription) == [
            (NOON, utc(2026, 3, 28)),
            (utc(2026, 3, 28), utc(2026, 4, 28)),
        ]
        assert rolled.status == SubscriptionStatus.ACTIVE

    def test_ends_a_trial_at_its_end_and_not_before(self) -> None:
        subscription = subscribe(trial_days=14)

        assert roll(subscription, TRIAL_END - timedelta(microseconds=1)).status == SubscriptionStatus.TRIALING
        assert roll(subscription, TRIAL_END).status == SubscriptionStatus.ACTIVE

        subscription.refresh_from_db()
        assert subscription.status == SubscriptionStatus.ACTIVE
        event = OutboxEvent.objects.get(name="subscription.updated")
        assert event.payload["status"] == "Active"
        entry = AuditEntry.objects.get(action="subscription.activated")
        assert entry.changes == {"status": ["Trialing", "Active"]}
        assert entry.occurred_at == TRIAL_END

    def test_carries_out_a_planned_end_from_the_planned_instant(self) -> None:
        subscription = subscribe()
        cancel_subscription(
            subscription_id=subscription.pk, when=When.PERIOD_END, at=utc(2026, 3, 1), actor=TESTER
        )

        before = roll(subscription, utc(2026, 3, 27, 23))
        assert before.status == SubscriptionStatus.ACTIVE
        late = roll(subscription, utc(2026, 3, 28, 5))

        assert late.status == SubscriptionStatus.CANCELLED
        assert late.ends_at == late.cancelled_at == utc(2026, 3, 28)
        assert PlannedChange.objects.get().applied_at == utc(2026, 3, 28, 5)
        assert list_bounds(subscription) == [(NOON, utc(2026, 3, 28))]
        assert list_events()[-1] == "subscription.cancelled"
        entry = AuditEntry.objects.get(action="subscription.cancelled")
        assert entry.changes == {
            "status": ["Active", "Cancelled"],
            "cancelled_at": [None, "2026-03-28T00:00:00Z"],
        }
        assert find_breaches() == []

    def test_goes_from_a_trial_to_its_planned_end_in_one_step(self) -> None:
        subscription = subscribe(trial_days=14)
        cancel_subscription(
            subscription_id=subscription.pk, when=When.PERIOD_END, at=utc(2026, 3, 1), actor=TESTER
        )

        assert roll(subscription, utc(2026, 5, 1)).status == SubscriptionStatus.CANCELLED
        assert list_events() == [
            "customer.created",
            "subscription.created",
            "subscription.updated",
            "subscription.cancelled",
        ]

    @pytest.mark.parametrize("at", [TRIAL_END, utc(2026, 8, 1)])
    def test_changes_nothing_the_second_time(self, at: datetime) -> None:
        subscription = subscribe(trial_days=14)
        roll(subscription, at)
        bounds, events, entries = list_bounds(subscription), list_events(), AuditEntry.objects.count()

        roll(subscription, at)

        assert (list_bounds(subscription), list_events()) == (bounds, events)
        assert AuditEntry.objects.count() == entries

    def test_leaves_a_cancelled_subscription_alone(self) -> None:
        subscription = subscribe()
        cancelled = cancel_subscription(
            subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 3, 1), actor=TESTER
        )

        rolled = roll(subscription, utc(2026, 9, 1))

        assert rolled.cancelled_at == cancelled.cancelled_at == utc(2026, 3, 1)
        assert len(list_bounds(subscription)) == 1

    def test_refuses_an_unknown_subscription(self) -> None:
        with pytest.raises(NotFound):
            roll_subscription(subscription_id=make_id(), at=NOON, actor=TESTER)
