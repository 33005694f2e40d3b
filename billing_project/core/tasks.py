"""Celery tasks of core: each reads the clock, calls an operation, and stops at a stated limit."""

from celery import shared_task

from billing_project.core.access.rate_limits import delete_old_counters
from billing_project.core.clock import now
from billing_project.core.idempotency.answers import delete_expired_records
from billing_project.core.outbox import deliver_due

DELIVERY_BATCH = 100
MAX_ROUNDS = 100


@shared_task(ignore_result=True)
def deliver_outbox(**_: object) -> int:
    """Hand over events until none is due; what is left after the last round is for the next sweep."""
    delivered = 0
    for _round in range(MAX_ROUNDS):
        claimed = deliver_due(at=now(), limit=DELIVERY_BATCH)
        if not claimed:
            break
        delivered += claimed
    return delivered


@shared_task(ignore_result=True)
def delete_expired_idempotency_records(**_: object) -> int:
    """Delete the answers that are no longer kept."""
    deleted = 0
    for _round in range(MAX_ROUNDS):
        batch = delete_expired_records(at=now())
        if not batch:
            break
        deleted += batch
    return deleted


@shared_task(ignore_result=True)
def delete_old_rate_counters(**_: object) -> int:
    """Delete the counters of requests that no limit looks at any more."""
    return delete_old_counters(at=now())
