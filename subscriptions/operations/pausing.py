"""Pausing a subscription and resuming it. Its periods go on; while it is paused, no fees are due."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict
from subscriptions.instants import When, find_instant, read_terms_at
from subscriptions.models import ChangeKind, PlannedChange, Subscription
from subscriptions.operations.planning import lock_for_move, plan_change


class AlreadyPaused(Conflict):
    """The subscription is paused at that instant."""

    code = "already_paused"


class NotPaused(Conflict):
    """The subscription is not paused at that instant."""

    code = "not_paused"


@transaction.atomic
def pause_subscription(
    *, subscription_id: UUID, when: When | datetime, at: datetime, actor: Actor
) -> Subscription:
    """Pause a subscription: at once, at the end of the period, or at an instant.

    Fees that were billed in advance for the time that it is paused are credited on the invoice of the
    period's end. Usage is taken in and billed as ever.

    Raises: NotFound; SubscriptionEnded; InstantNotAhead; AlreadyPaused; TooManyPlanned; TooManyChanges.
    Locks: slot (exclusive), customer, subscription, periods.
    Emits: subscription.paused, or subscription.updated where the pause is planned.
    """
    subscription = lock_for_move(subscription_id=subscription_id, at=at, actor=actor)
    instant = find_instant(subscription, when=when, at=at)
    if read_terms_at(subscription, at=instant).is_paused:
        raise AlreadyPaused(f"Subscription {subscription_id} is paused at {instant:%Y-%m-%d %H:%M} UTC.")
    change = PlannedChange(kind=ChangeKind.PAUSE, effective_at=instant)
    plan_change(change=change, subscription=subscription, details={}, at=at, actor=actor)
    return subscription


@transaction.atomic
def resume_subscription(
    *, subscription_id: UUID, when: When | datetime, at: datetime, actor: Actor
) -> Subscription:
    """Let a paused subscription go on: at once, at the end of the period, or at an instant.

    What fees come to for the rest of the period is on the invoice of its end.

    Raises: NotFound; SubscriptionEnded; InstantNotAhead; NotPaused; TooManyPlanned; TooManyChanges.
    Locks: slot (exclusive), customer, subscription, periods.
    Emits: subscription.resumed, or subscription.updated where that is planned.
    """
    subscription = lock_for_move(subscription_id=subscription_id, at=at, actor=actor)
    instant = find_instant(subscription, when=when, at=at)
    if not read_terms_at(subscription, at=instant).is_paused:
        raise NotPaused(f"Subscription {subscription_id} is not paused at {instant:%Y-%m-%d %H:%M} UTC.")
    change = PlannedChange(kind=ChangeKind.RESUME, effective_at=instant)
    plan_change(change=change, subscription=subscription, details={}, at=at, actor=actor)
    return subscription
