"""Leading a period from open over closed to settled.

What happens in between, the billing, is the work of an app above; here is only where a period stands.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict
from subscriptions.locks import lock_period, lock_slots_exclusive
from subscriptions.models import Period
from subscriptions.queries import get_period


class PeriodNotEnded(Conflict):
    """A period closes after its end."""

    code = "period_not_ended"


class EarlierPeriodOpen(Conflict):
    """Periods close in order."""

    code = "earlier_period_open"


@transaction.atomic(durable=True)
def close_period(*, period_id: UUID, at: datetime, actor: Actor) -> Period:
    """Let no further usage into a period whose end has come; one that is closed stays as it is.

    It is a transaction of its own, with nothing else in it, because all ingest into the slot waits for it.

    Raises: NotFound; PeriodNotEnded; EarlierPeriodOpen.
    Locks: slot (exclusive), period.
    """
    lock_slots_exclusive([get_period(period_id).subscription_id])
    period = lock_period(period_id)
    if not period.is_open:
        return period
    if at < period.ends_at:
        raise PeriodNotEnded(f"Period {period.number} ends at {period.ends_at:%Y-%m-%d %H:%M} UTC.")
    earlier = Period.objects.filter(
        subscription_id=period.subscription_id, number__lt=period.number, closed_at__isnull=True
    )
    if earlier.exists():
        raise EarlierPeriodOpen(f"A period before period {period.number} is still open.")
    return _change(period, "period.closed", {"closed_at": at}, at=at, actor=actor)


@transaction.atomic
def set_period_due(*, period_id: UUID, due_at: datetime) -> Period:
    """Say when a bill run next has work on a period that is not settled.

    The caller holds the customer's lock.

    Locks: period.
    """
    period = lock_period(period_id)
    assert period.settled_at is None, f"{period} is settled: nothing is due on it."
    period.due_at = due_at
    period.save(update_fields=["due_at"])
    return period


@transaction.atomic
def settle_period(*, period_id: UUID, at: datetime, actor: Actor) -> Period:
    """Record that all that a closed period owes is on final invoices.

    The caller holds the customer's lock.

    Locks: period.
    """
    period = lock_period(period_id)
    assert not period.is_open, f"{period} is still open."
    if period.settled_at is not None:
        return period
    return _change(period, "period.settled", {"settled_at": at, "due_at": None}, at=at, actor=actor)


@transaction.atomic
def reopen_settlement(*, period_id: UUID, due_at: datetime, at: datetime, actor: Actor) -> Period:
    """Have a closed period settled once more, from `due_at` on: it owes what is on no final invoice.

    The period stays closed. The caller holds the customer's lock.

    Locks: period.
    """
    period = lock_period(period_id)
    assert not period.is_open, f"{period} is still open."
    return _change(period, "period.reopened", {"settled_at": None, "due_at": due_at}, at=at, actor=actor)


def _change(
    period: Period, action: str, values: dict[str, datetime | None], *, at: datetime, actor: Actor
) -> Period:
    changes = audit.set_fields(period, values)
    period.save(update_fields=changes)
    audit.record(action, subject=period, changes=changes, actor=actor, at=at)
    return period
