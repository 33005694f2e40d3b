"""Ending a subscription, at once or with its period, and taking a planned end back."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict
from subscriptions.events import SubscriptionCancelled, SubscriptionUpdated
from subscriptions.instants import When, find_earliest_instant, find_period_end
from subscriptions.models import ChangeKind, PlannedChange, Subscription, SubscriptionStatus
from subscriptions.operations.laying import lay_again
from subscriptions.operations.planning import lock_for_move, withdraw_pending
from subscriptions.queries import find_planned_change


class CancellationAlreadyPlanned(Conflict):
    """The subscription ends with its period already."""

    code = "cancellation_already_planned"


class NoCancellationPlanned(Conflict):
    """There is no planned end to take back."""

    code = "no_cancellation_planned"


@transaction.atomic
def cancel_subscription(*, subscription_id: UUID, when: When, at: datetime, actor: Actor) -> Subscription:
    """End a subscription at once, or with the period that contains `at`.

    What a later period may hold already, since events may come an hour early, stays in it and is billed: the
    period itself shrinks to nothing. A subscription that has not begun ends at its start, or with its first
    period. Fees that were billed in advance for the time after the end are credited on the last invoice.

    Raises: NotFound; SubscriptionEnded; CancellationAlreadyPlanned.
    Locks: slot (exclusive), customer, subscription, periods.
    Emits: subscription.cancelled, or subscription.updated where the end is planned.
    """
    subscription = lock_for_move(subscription_id=subscription_id, at=at, actor=actor)
    if when is When.NOW:
        return _cancel_now(subscription, at=at, actor=actor)
    return _plan_cancellation(subscription, at=at, actor=actor)


@transaction.atomic
def uncancel_subscription(*, subscription_id: UUID, at: datetime, actor: Actor) -> Subscription:
    """Take back an end that is planned and has not come: the subscription runs on as if it had not been.

    Raises: NotFound; SubscriptionEnded; NoCancellationPlanned.
    Locks: slot (exclusive), customer, subscription, periods.
    Emits: subscription.updated.
    """
    subscription = lock_for_move(subscription_id=subscription_id, at=at, actor=actor)
    planned = find_planned_change(subscription_id=subscription_id, kind=ChangeKind.CANCEL)
    if planned is None:
        raise NoCancellationPlanned(f"Subscription {subscription_id} has no planned end.")
    return withdraw_pending(change=planned, subscription=subscription, at=at, actor=actor)


def _cancel_now(subscription: Subscription, *, at: datetime, actor: Actor) -> Subscription:
    ends_at = find_earliest_instant(subscription, at=at)
    pending = PlannedChange.objects.filter(
        subscription=subscription, applied_at__isnull=True, withdrawn_at__isnull=True
    )
    pending.filter(Q(effective_at__gte=ends_at) | Q(kind=ChangeKind.CANCEL)).update(withdrawn_at=at)
    PlannedChange.objects.create(
        subscription=subscription, kind=ChangeKind.CANCEL, effective_at=ends_at, applied_at=at
    )
    changes = audit.set_fields(
        subscription, {"status": SubscriptionStatus.CANCELLED, "ends_at": ends_at, "cancelled_at": at}
    )
    subscription.save(update_fields=changes)
    lay_again(subscription=subscription, since=ends_at, at=at)
    audit.record("subscription.cancelled", subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionCancelled(subscription), at=at)
    return subscription


def _plan_cancellation(subscription: Subscription, *, at: datetime, actor: Actor) -> Subscription:
    if find_planned_change(subscription_id=subscription.pk, kind=ChangeKind.CANCEL) is not None:
        raise CancellationAlreadyPlanned(
            f"Subscription {subscription.pk} ends at {subscription.ends_at:%Y-%m-%d %H:%M} UTC already."
        )
    ends_at = find_period_end(subscription, at=at)
    PlannedChange.objects.create(subscription=subscription, kind=ChangeKind.CANCEL, effective_at=ends_at)
    changes = audit.set_fields(subscription, {"ends_at": ends_at})
    subscription.save(update_fields=changes)
    lay_again(subscription=subscription, since=ends_at, at=at)
    audit.record(
        "subscription.cancellation_planned", subject=subscription, changes=changes, actor=actor, at=at
    )
    events.emit(SubscriptionUpdated(subscription), at=at)
    return subscription
