"""Bringing a subscription up to the time: the next period, the end of its trial, the end that was planned."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from subscriptions.events import SubscriptionCancelled, SubscriptionUpdated
from subscriptions.locks import lock_slots_shared, lock_subscription
from subscriptions.models import ChangeKind, Period, Subscription, SubscriptionStatus
from subscriptions.operations.periods import ensure_periods
from subscriptions.queries import find_planned_change


@transaction.atomic
def roll_subscription(*, subscription_id: UUID, at: datetime, actor: Actor) -> Subscription:
    """Bring a subscription up to `at`: make its periods, end its trial, carry out its planned end.

    Doing it again, or late, comes to the same.

    Raises: NotFound.
    Locks: slot (shared), customer, subscription.
    Emits: subscription.updated at the end of a trial; subscription.cancelled.
    """
    lock_slots_shared([subscription_id])
    subscription = lock_subscription(subscription_id)
    ensure_periods(subscription_ids=[subscription_id], until=at)
    if subscription.status == SubscriptionStatus.CANCELLED:
        return subscription
    if subscription.ends_at is not None and subscription.ends_at <= at:
        return _end(subscription, at=at, actor=actor)
    if subscription.status == SubscriptionStatus.TRIALING and _is_trial_over(subscription, at=at):
        return _activate(subscription, at=at, actor=actor)
    return subscription


def _is_trial_over(subscription: Subscription, *, at: datetime) -> bool:
    return Period.objects.filter(subscription=subscription, number=0, is_trial=True, ends_at__lte=at).exists()


def _activate(subscription: Subscription, *, at: datetime, actor: Actor) -> Subscription:
    changes = audit.set_fields(subscription, {"status": SubscriptionStatus.ACTIVE})
    subscription.save(update_fields=changes)
    audit.record("subscription.activated", subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionUpdated(subscription), at=at)
    return subscription


def _end(subscription: Subscription, *, at: datetime, actor: Actor) -> Subscription:
    """Carry out a planned end. It counts from the instant that was planned, however late this runs."""
    planned = find_planned_change(subscription_id=subscription.pk, kind=ChangeKind.CANCEL)
    assert planned is not None, f"{subscription.pk} has an end that nobody planned."
    planned.applied_at = at
    planned.save(update_fields=["applied_at"])
    changes = audit.set_fields(
        subscription, {"status": SubscriptionStatus.CANCELLED, "cancelled_at": subscription.ends_at}
    )
    subscription.save(update_fields=changes)
    audit.record("subscription.cancelled", subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionCancelled(subscription), at=at)
    return subscription
