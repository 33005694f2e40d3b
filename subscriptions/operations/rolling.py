"""Bringing a subscription up to the time: its next period, the end of its trial, and what was planned."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from catalog.queries import get_plan_version, read_prices
from subscriptions.events import (
    SubscriptionCancelled,
    SubscriptionEvent,
    SubscriptionPaused,
    SubscriptionResumed,
    SubscriptionUpdated,
)
from subscriptions.layout import read_terms
from subscriptions.locks import lock_slots_shared, lock_subscription
from subscriptions.models import (
    ChangeKind,
    Period,
    PlannedChange,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from subscriptions.operations.periods import ensure_periods
from subscriptions.queries import find_segment_at, get_schedule, list_pending_changes


@transaction.atomic
def roll_subscription(*, subscription_id: UUID, at: datetime, actor: Actor) -> Subscription:
    """Bring a subscription up to `at`: make its periods, end its trial, carry out what was planned.

    Doing it again, or late, comes to the same.

    Raises: NotFound.
    Locks: slot (shared), customer, subscription.
    Emits: subscription.updated at the end of a trial and for a change; subscription.paused, .resumed and
        .cancelled.
    """
    lock_slots_shared([subscription_id])
    subscription = lock_subscription(subscription_id)
    ensure_periods(subscription_ids=[subscription_id], until=at)
    return catch_up(subscription=subscription, at=at, actor=actor)


@transaction.atomic
def catch_up(*, subscription: Subscription, at: datetime, actor: Actor) -> Subscription:
    """Have a subscription's own columns follow what its periods say of `at`. The caller holds its lock.

    What is planned counts from the instant that it was planned for, however late this runs.

    Emits: as `roll_subscription`.
    """
    if subscription.status == SubscriptionStatus.CANCELLED:
        return subscription
    for change in list_pending_changes(subscription.pk):
        if change.kind == ChangeKind.CANCEL or change.effective_at > max(at, subscription.starts_at):
            continue
        if subscription.ends_at is None or change.effective_at < subscription.ends_at:
            _apply(change, subscription, at=at, actor=actor)
    if subscription.ends_at is not None and subscription.ends_at <= at:
        return _end(subscription, at=at, actor=actor)
    _follow_schedule(subscription, at=at)
    if subscription.status == SubscriptionStatus.TRIALING and not _is_in_trial(subscription, at=at):
        _set_status(
            subscription,
            SubscriptionStatus.ACTIVE,
            action="subscription.activated",
            event=SubscriptionUpdated(subscription),
            at=at,
            actor=actor,
        )
    return subscription


def _apply(change: PlannedChange, subscription: Subscription, *, at: datetime, actor: Actor) -> None:
    change.applied_at = at
    change.save(update_fields=["applied_at"])
    if change.kind == ChangeKind.CHANGE:
        _follow_terms(subscription, change, at=at, actor=actor)
    elif change.kind == ChangeKind.PAUSE:
        _set_status(
            subscription,
            SubscriptionStatus.PAUSED,
            action="subscription.paused",
            event=SubscriptionPaused(subscription),
            at=at,
            actor=actor,
        )
    elif change.kind == ChangeKind.RESUME:
        is_in_trial = _is_in_trial(subscription, at=change.effective_at)
        _set_status(
            subscription,
            SubscriptionStatus.TRIALING if is_in_trial else SubscriptionStatus.ACTIVE,
            action="subscription.resumed",
            event=SubscriptionResumed(subscription),
            at=at,
            actor=actor,
        )


def _set_status(
    subscription: Subscription,
    status: SubscriptionStatus,
    *,
    action: str,
    event: SubscriptionEvent,
    at: datetime,
    actor: Actor,
) -> None:
    changes = audit.set_fields(subscription, {"status": status})
    if not changes:
        return
    subscription.save(update_fields=changes)
    audit.record(action, subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(event, at=at)


def _follow_terms(subscription: Subscription, change: PlannedChange, *, at: datetime, actor: Actor) -> None:
    """Take plan version and quantities from the segment that the change began."""
    segment = find_segment_at(subscription_id=subscription.pk, at=change.effective_at)
    assert segment is not None, f"{change} has not been laid into the periods."
    terms = read_terms(segment)
    changes = audit.set_fields(subscription, {"plan_version_id": terms.plan_version_id})
    if changes:
        subscription.save(update_fields=["plan_version"])
        subscription.plan_version = get_plan_version(terms.plan_version_id)
    changes |= _follow_quantities(subscription, terms.quantities)
    if change.overrides:
        changes["overrides"] = (None, change.overrides)
    audit.record("subscription.changed", subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionUpdated(subscription), at=at)


def _follow_quantities(
    subscription: Subscription, quantities: Mapping[str, str]
) -> dict[str, tuple[object, object]]:
    """Set what is licensed of the items in the plan: nothing of those that a meter counts."""
    prices = read_prices([subscription.plan_version_id])[subscription.plan_version_id]
    items = SubscriptionItem.objects.filter(
        subscription=subscription, sku__in={price.sku_id for price in prices}
    )
    before: dict[UUID, Decimal | None] = {}
    after: dict[UUID, Decimal | None] = {}
    for item in items.order_by("pk"):
        quantity = Decimal(quantities[str(item.pk)]) if str(item.pk) in quantities else None
        if item.quantity == quantity:
            continue
        before[item.sku_id], after[item.sku_id] = item.quantity, quantity
        item.quantity = quantity
        item.save(update_fields=["quantity"])
    return {"quantities": (before, after)} if after else {}


def _follow_schedule(subscription: Subscription, *, at: datetime) -> None:
    """Take time zone and anchor from the part of the schedule that is in force."""
    epoch = get_schedule(subscription).epoch_at(at)
    changes = audit.set_fields(subscription, {"timezone": epoch.timezone, "anchor_date": epoch.anchor_date})
    if changes:
        subscription.save(update_fields=changes)


def _is_in_trial(subscription: Subscription, *, at: datetime) -> bool:
    trials = Period.objects.filter(subscription=subscription, number=0, is_trial=True)
    return trials.filter(ends_at__gt=at).exists()


def _end(subscription: Subscription, *, at: datetime, actor: Actor) -> Subscription:
    """Carry out a planned end. What was planned for a time after it comes to nothing."""
    pending = PlannedChange.objects.filter(
        subscription=subscription, applied_at__isnull=True, withdrawn_at__isnull=True
    )
    ended_count = pending.filter(kind=ChangeKind.CANCEL).update(applied_at=at)
    assert ended_count == 1, f"{subscription.pk} has an end that nobody planned."
    pending.update(withdrawn_at=at)
    changes = audit.set_fields(
        subscription, {"status": SubscriptionStatus.CANCELLED, "cancelled_at": subscription.ends_at}
    )
    subscription.save(update_fields=changes)
    audit.record("subscription.cancelled", subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionCancelled(subscription), at=at)
    return subscription
