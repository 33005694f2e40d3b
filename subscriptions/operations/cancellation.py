"""Ending a subscription, at once or with its period, and taking a planned end back.

Both move the bounds of stored periods, so they hold the subscription's slot exclusively: no event is on its
way into a period while its bounds move.
"""

from datetime import datetime
from uuid import UUID

from django.db import models, transaction
from django.db.models import Max, Q, Value
from django.db.models.functions import Least

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict
from subscriptions.events import SubscriptionCancelled, SubscriptionUpdated
from subscriptions.locks import lock_periods, lock_slots_exclusive, lock_subscription
from subscriptions.models import (
    ChangeKind,
    Period,
    PlannedChange,
    Segment,
    Subscription,
    SubscriptionStatus,
)
from subscriptions.operations.periods import ensure_periods
from subscriptions.queries import find_planned_change, get_schedule
from subscriptions.states import TRANSITIONS


class CancelWhen(models.TextChoices):
    """When a cancellation takes effect."""

    NOW = "Now", "Now"
    PERIOD_END = "PeriodEnd", "At the end of the period"


class SubscriptionEnded(Conflict):
    """A subscription that has ended stays so."""

    code = "subscription_ended"


class CancellationAlreadyPlanned(Conflict):
    """The subscription ends with its period already."""

    code = "cancellation_already_planned"


class NoCancellationPlanned(Conflict):
    """There is no planned end to take back."""

    code = "no_cancellation_planned"


@transaction.atomic
def cancel_subscription(
    *, subscription_id: UUID, when: CancelWhen, at: datetime, actor: Actor
) -> Subscription:
    """End a subscription at once, or with the period that contains `at`.

    What a later period may hold already, since events may come an hour early, stays in it and is billed: the
    period itself shrinks to nothing. A subscription that has not begun ends at its start, or with its first
    period.

    Raises: NotFound; SubscriptionEnded; CancellationAlreadyPlanned.
    Locks: slot (exclusive), customer, subscription, periods.
    Emits: subscription.cancelled, or subscription.updated where the end is planned.
    """
    lock_slots_exclusive([subscription_id])
    subscription = lock_subscription(subscription_id)
    _refuse_if_ended(subscription, at=at)
    ensure_periods(subscription_ids=[subscription_id], until=at)
    if when is CancelWhen.NOW:
        return _cancel_now(subscription, at=at, actor=actor)
    return _plan_cancellation(subscription, at=at, actor=actor)


@transaction.atomic
def uncancel_subscription(*, subscription_id: UUID, at: datetime, actor: Actor) -> Subscription:
    """Take back an end that is planned and has not come: the subscription runs on as if it had not been.

    Raises: NotFound; SubscriptionEnded; NoCancellationPlanned.
    Locks: slot (exclusive), customer, subscription, periods.
    Emits: subscription.updated.
    """
    lock_slots_exclusive([subscription_id])
    subscription = lock_subscription(subscription_id)
    _refuse_if_ended(subscription, at=at)
    planned = find_planned_change(subscription_id=subscription_id, kind=ChangeKind.CANCEL)
    if planned is None:
        raise NoCancellationPlanned(f"Subscription {subscription_id} has no planned end.")
    _withdraw(planned, at=at)
    changes = audit.set_fields(subscription, {"ends_at": None})
    subscription.save(update_fields=changes)
    _restore_periods(subscription, since=planned.effective_at)
    audit.record("subscription.uncancelled", subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionUpdated(subscription), at=at)
    return subscription


def _refuse_if_ended(subscription: Subscription, *, at: datetime) -> None:
    is_over = subscription.ends_at is not None and subscription.ends_at <= at
    if is_over or SubscriptionStatus.CANCELLED not in TRANSITIONS[SubscriptionStatus(subscription.status)]:
        raise SubscriptionEnded(
            f"Subscription {subscription.pk} ended at {subscription.ends_at:%Y-%m-%d %H:%M} UTC."
        )


def _cancel_now(subscription: Subscription, *, at: datetime, actor: Actor) -> Subscription:
    planned = find_planned_change(subscription_id=subscription.pk, kind=ChangeKind.CANCEL)
    if planned is not None:
        _withdraw(planned, at=at)
    ends_at = _find_earliest_end(subscription, at=at)
    _cut_periods(subscription, ends_at=ends_at)
    changes = audit.set_fields(
        subscription, {"status": SubscriptionStatus.CANCELLED, "ends_at": ends_at, "cancelled_at": at}
    )
    subscription.save(update_fields=changes)
    audit.record("subscription.cancelled", subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionCancelled(subscription), at=at)
    return subscription


def _plan_cancellation(subscription: Subscription, *, at: datetime, actor: Actor) -> Subscription:
    if find_planned_change(subscription_id=subscription.pk, kind=ChangeKind.CANCEL) is not None:
        raise CancellationAlreadyPlanned(
            f"Subscription {subscription.pk} ends at {subscription.ends_at:%Y-%m-%d %H:%M} UTC already."
        )
    last = Period.objects.filter(subscription=subscription, ends_at__gt=at).order_by("number")[0]
    PlannedChange.objects.create(subscription=subscription, kind=ChangeKind.CANCEL, effective_at=last.ends_at)
    _cut_periods(subscription, ends_at=last.ends_at)
    changes = audit.set_fields(subscription, {"ends_at": last.ends_at})
    subscription.save(update_fields=changes)
    audit.record(
        "subscription.cancellation_planned", subject=subscription, changes=changes, actor=actor, at=at
    )
    events.emit(SubscriptionUpdated(subscription), at=at)
    return subscription


def _withdraw(planned: PlannedChange, *, at: datetime) -> None:
    planned.withdrawn_at = at
    planned.save(update_fields=["withdrawn_at"])


def _find_earliest_end(subscription: Subscription, *, at: datetime) -> datetime:
    """Find the first instant from `at` on that is not before the start, nor within a closed period.

    A period can be closed beyond `at` only where the clocks of two servers differ.
    """
    closed = Period.objects.filter(subscription=subscription, closed_at__isnull=False)
    closed_until: datetime | None = closed.aggregate(at=Max("ends_at"))["at"]
    return max(at, subscription.starts_at, closed_until or at)


def _cut_periods(subscription: Subscription, *, ends_at: datetime) -> None:
    """End the stored periods by `ends_at`: the one that contains it there, later ones without any length."""
    before = Period.objects.filter(subscription=subscription, ends_at__lte=ends_at)
    closes_at: datetime = before.aggregate(at=Max("closes_at"))["at"] or ends_at
    periods = lock_periods(subscription_id=subscription.pk, where=Q(ends_at__gt=ends_at))
    for period in periods:
        assert period.due_at is not None, f"{period} is settled before its end."
        # Periods close in order, so this one does not close before those that end earlier.
        closes_at = max(closes_at, ends_at + (period.closes_at - period.ends_at))
        period.starts_at = min(period.starts_at, ends_at)
        period.ends_at = ends_at
        period.nominal_starts_at = min(period.nominal_starts_at, period.starts_at)
        period.closes_at = closes_at
        period.due_at = min(period.due_at, ends_at)
        period.save(update_fields=["starts_at", "ends_at", "nominal_starts_at", "closes_at", "due_at"])
    Segment.objects.filter(period__in=periods).update(
        starts_at=Least("starts_at", Value(ends_at)), ends_at=Least("ends_at", Value(ends_at))
    )


def _restore_periods(subscription: Subscription, *, since: datetime) -> None:
    """Give the periods that a planned end at `since` had left without length their bounds again."""
    schedule = get_schedule(subscription)
    for period in lock_periods(subscription_id=subscription.pk, where=Q(starts_at__gte=since)):
        scheduled = schedule.period(period.number)
        period.starts_at = scheduled.starts_at
        period.nominal_starts_at = scheduled.nominal_starts_at
        period.closes_at += scheduled.ends_at - period.ends_at
        period.ends_at = period.due_at = scheduled.ends_at
        period.save(update_fields=["starts_at", "ends_at", "nominal_starts_at", "closes_at", "due_at"])
        Segment.objects.filter(period=period).update(starts_at=period.starts_at, ends_at=period.ends_at)
