"""Planning a change of a subscription, and taking it back: what all moves have in common.

Each move holds the subscription's slot exclusively, since it moves the bounds of stored rows: no event is on
its way into a segment meanwhile. It brings the subscription up to the time first, so that a change is always
made to what holds at its instant.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict
from subscriptions.events import SubscriptionUpdated
from subscriptions.locks import lock_slots_exclusive, lock_subscription
from subscriptions.models import ChangeKind, PlannedChange, Subscription, SubscriptionStatus
from subscriptions.operations.laying import lay_again
from subscriptions.operations.periods import ensure_periods
from subscriptions.operations.rolling import catch_up
from subscriptions.queries import get_planned_change, list_pending_changes
from subscriptions.states import TRANSITIONS

PENDING_LIMIT = 100


class SubscriptionEnded(Conflict):
    """A subscription that has ended stays so."""

    code = "subscription_ended"


class TooManyPlanned(Conflict):
    """A limited number of changes is planned at any time."""

    code = "too_many_planned"


class ChangeNotPending(Conflict):
    """A change that has come, or was withdrawn, cannot be withdrawn."""

    code = "change_not_pending"


@transaction.atomic
def lock_for_move(*, subscription_id: UUID, at: datetime, actor: Actor) -> Subscription:
    """Lock a subscription that is to change, and bring it up to the time.

    Raises: NotFound; SubscriptionEnded.
    Locks: slot (exclusive), customer, subscription.
    """
    lock_slots_exclusive([subscription_id])
    subscription = lock_subscription(subscription_id)
    _refuse_if_ended(subscription, at=at)
    ensure_periods(subscription_ids=[subscription_id], until=at)
    return catch_up(subscription=subscription, at=at, actor=actor)


@transaction.atomic
def plan_change(
    *,
    change: PlannedChange,
    subscription: Subscription,
    details: Mapping[str, tuple[object, object]],
    at: datetime,
    actor: Actor,
) -> None:
    """Store a change and lay it into the periods; one that takes effect at once is applied.

    `details` are what the audit trail says of one that is still to come.

    Raises: TooManyPlanned; TooManyChanges.
    """
    if len(list_pending_changes(subscription.pk)) >= PENDING_LIMIT:
        raise TooManyPlanned(f"A subscription has at most {PENDING_LIMIT} changes planned.")
    change.subscription = subscription
    change.save(force_insert=True)
    lay_again(subscription=subscription, since=change.effective_at, at=at)
    catch_up(subscription=subscription, at=at, actor=actor)
    if change.effective_at > max(at, subscription.starts_at):
        planned = {"kind": (None, change.kind), "effective_at": (None, change.effective_at), **details}
        audit.record("subscription.change_planned", subject=subscription, changes=planned, actor=actor, at=at)
        events.emit(SubscriptionUpdated(subscription), at=at)


@transaction.atomic
def withdraw_change(*, subscription_id: UUID, change_id: UUID, at: datetime, actor: Actor) -> Subscription:
    """Take back a change that has not come: the subscription goes on as if it had not been planned.

    Raises: NotFound; SubscriptionEnded; ChangeNotPending.
    Locks: slot (exclusive), customer, subscription, periods.
    Emits: subscription.updated.
    """
    subscription = lock_for_move(subscription_id=subscription_id, at=at, actor=actor)
    change = get_planned_change(subscription_id=subscription_id, change_id=change_id)
    if not change.is_pending:
        raise ChangeNotPending(
            f"Change {change_id} of {change.effective_at:%Y-%m-%d %H:%M} UTC is done with."
        )
    return withdraw_pending(change=change, subscription=subscription, at=at, actor=actor)


@transaction.atomic
def withdraw_pending(
    *, change: PlannedChange, subscription: Subscription, at: datetime, actor: Actor
) -> Subscription:
    """Take a pending change back. The caller has locked the subscription to move it."""
    change.withdrawn_at = at
    change.save(update_fields=["withdrawn_at"])
    if change.kind == ChangeKind.CANCEL:
        changes = audit.set_fields(subscription, {"ends_at": None})
        subscription.save(update_fields=changes)
        action = "subscription.uncancelled"
    else:
        changes = {"kind": (change.kind, None), "effective_at": (change.effective_at, None)}
        action = "subscription.change_withdrawn"
    lay_again(subscription=subscription, since=change.effective_at, at=at)
    audit.record(action, subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionUpdated(subscription), at=at)
    return subscription


def _refuse_if_ended(subscription: Subscription, *, at: datetime) -> None:
    """Refuse to change what has ended, whether a bill run has come by since or not."""
    is_over = subscription.ends_at is not None and subscription.ends_at <= at
    if is_over or SubscriptionStatus.CANCELLED not in TRANSITIONS[SubscriptionStatus(subscription.status)]:
        raise SubscriptionEnded(
            f"Subscription {subscription.pk} ended at {subscription.ends_at:%Y-%m-%d %H:%M} UTC."
        )
