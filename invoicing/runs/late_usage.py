"""Usage that came after the end of a subscription, into a period that is closed already."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from customers.locks import lock_customer
from metering.operations import take_late_usage
from subscriptions.locks import lock_period, lock_slots_exclusive
from subscriptions.operations import reopen_settlement
from subscriptions.queries import get_subscription


@transaction.atomic(durable=True)
def reopen_late_periods(*, subscription_id: UUID, at: datetime, actor: Actor) -> int:
    """Turn the marks of late usage into periods that are due to be settled once more; return how many.

    The period stays closed: what is billed is the difference to what was billed. The slot is taken
    exclusively, since an event whose transaction is under way has put no mark beside one that is there.

    Locks: slot (exclusive), customer, period.
    """
    lock_slots_exclusive([subscription_id])
    lock_customer(get_subscription(subscription_id).customer_id)
    period_ids = take_late_usage(subscription_id=subscription_id)
    for period_id in sorted(period_ids):
        lock_period(period_id)
        reopen_settlement(period_id=period_id, due_at=at, actor=actor, at=at)
    return len(period_ids)
