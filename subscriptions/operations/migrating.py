"""Taking the subscriptions of one version of a plan to another, in the background, some at a time.

There is no list of what is to be done: a subscription that is on the old version, and is not about to leave
it, is still to be taken over. So the work can be begun again, and what has failed shows by itself.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import BillingError, InvalidInput
from catalog.models import PlanVersion
from catalog.queries import get_numbered_version
from customers.locks import lock_customers
from customers.queries import now_for
from subscriptions.events import MigrationRequested
from subscriptions.instants import When
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Subscription
from subscriptions.operations.changing import SubscriptionChange, change_subscription
from subscriptions.queries import select_on_version

SUBSCRIPTIONS_PER_STEP = 25


class SameVersion(InvalidInput):
    """Subscriptions are taken from one version to another."""

    code = "same_version"


@transaction.atomic
def start_migration(
    *,
    plan_id: UUID,
    from_number: int,
    to_number: int,
    when: When,
    subscription_ids: Sequence[UUID] | None,
    at: datetime,
    actor: Actor,
) -> int:
    """Have the subscriptions of a plan version, or those named, taken to another; return how many there are.

    Raises: NotFound for a version that the plan has not; SameVersion.
    Emits: plan.migration_requested.
    """
    source = get_numbered_version(plan_id=plan_id, number=from_number)
    target = get_numbered_version(plan_id=plan_id, number=to_number)
    if source == target:
        raise SameVersion("Name two versions.", field="to_version")
    request = MigrationRequested(
        source=source,
        target=target,
        when=when,
        subscription_ids=None if subscription_ids is None else tuple(subscription_ids),
        after=None,
    )
    changes = {"from_version": (None, from_number), "to_version": (None, to_number), "when": (None, when)}
    audit.record("plan.migration_started", subject=source, changes=changes, actor=actor, at=at)
    events.emit(request, at=at)
    return select_on_version(source, subscription_ids=subscription_ids).count()


@transaction.atomic
def continue_migration(
    *,
    source: PlanVersion,
    target: PlanVersion,
    when: When,
    subscription_ids: Sequence[UUID] | None,
    after: UUID | None,
    at: datetime,
    actor: Actor,
) -> int:
    """Take the next subscriptions over, in the order of their ids; ask for more to be done if there are more.

    One that cannot be taken over stays, and the audit trail says why. `at` is the real time: each is changed
    at its customer's.

    Locks: slots (exclusive), customers, subscriptions, periods.
    Emits: plan.migration_requested, and subscription.updated for each.
    """
    waiting = select_on_version(source, subscription_ids=subscription_ids)
    if after is not None:
        waiting = waiting.filter(pk__gt=after)
    chosen = list(waiting.order_by("pk")[:SUBSCRIPTIONS_PER_STEP])
    lock_slots_exclusive([subscription.pk for subscription in chosen])
    lock_customers({subscription.customer_id for subscription in chosen})
    change = SubscriptionChange(plan_id=target.plan_id, version_number=target.number)
    for subscription in chosen:
        _take_over(subscription, change, when=when, at=at, actor=actor)
    if len(chosen) == SUBSCRIPTIONS_PER_STEP:
        further = MigrationRequested(
            source=source,
            target=target,
            when=when,
            subscription_ids=None if subscription_ids is None else tuple(subscription_ids),
            after=chosen[-1].pk,
        )
        events.emit(further, at=at)
    return len(chosen)


def _take_over(
    subscription: Subscription, change: SubscriptionChange, *, when: When, at: datetime, actor: Actor
) -> None:
    customer_time = now_for(customer_id=subscription.customer_id, real_now=at)
    try:
        with transaction.atomic():
            change_subscription(
                subscription_id=subscription.pk, change=change, when=when, at=customer_time, actor=actor
            )
    except BillingError as error:
        problem = {"problem": (None, error.detail)}
        audit.record(
            "subscription.migration_refused",
            subject=subscription,
            changes=problem,
            actor=actor,
            at=customer_time,
        )
