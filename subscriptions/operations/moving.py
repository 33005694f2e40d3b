"""Moving subscriptions into another time zone, as their customer does."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from customers.queries import get_customer
from subscriptions.instants import find_period_end
from subscriptions.models import ChangeKind, PlannedChange, Subscription
from subscriptions.operations.planning import lock_for_move, plan_change, withdraw_pending
from subscriptions.queries import find_planned_change, get_schedule

# So early an event may come into the next period. What is in it by then was counted by the hours of its zone.
EARLY = timedelta(hours=1)


@transaction.atomic
def follow_timezone(*, subscription_id: UUID, at: datetime, actor: Actor) -> Subscription:
    """Have the periods of a subscription follow its customer's time zone, from the next one on.

    They are counted on from the same anchor. Where that one may hold events already, it is the one after.
    Doing it again changes nothing.

    Raises: NotFound; SubscriptionEnded; TooManyPlanned.
    Locks: slot (exclusive), customer, subscription, periods.
    Emits: subscription.updated.
    """
    subscription = lock_for_move(subscription_id=subscription_id, at=at, actor=actor)
    timezone = get_customer(subscription.customer_id).timezone
    if get_schedule(subscription).epochs[-1].timezone == timezone:
        return subscription
    planned = find_planned_change(subscription_id=subscription_id, kind=ChangeKind.TIMEZONE)
    if planned is not None:
        withdraw_pending(change=planned, subscription=subscription, at=at, actor=actor)
    if get_schedule(subscription).epochs[-1].timezone == timezone:
        return subscription
    effective_at = find_period_end(subscription, at=at)
    if effective_at <= at + EARLY:
        effective_at = get_schedule(subscription).first_period_ending_after(effective_at).ends_at
    change = PlannedChange(kind=ChangeKind.TIMEZONE, effective_at=effective_at, timezone=timezone)
    details = {"timezone": (subscription.timezone, timezone)}
    plan_change(change=change, subscription=subscription, details=details, at=at, actor=actor)
    return subscription
