"""The hand-over of events to their handlers: at least once, and in order for each handler and subject.

A delivery is claimed first, and the claim is committed, so that a crash of the handler's process costs a
lease and not the event. The handler then runs in one transaction with the mark that it is done, under the
lock of its delivery. An event that fails is tried again, further and further apart, and is parked in the end;
it holds back only later events of the same subject for the same handler.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, NotFound
from billing_project.core.events import StoredEvent, find_handler
from billing_project.core.models import DeliveryStatus, OutboxDelivery
from billing_project.core.redaction import redact

LEASE = timedelta(minutes=2)
MAX_ATTEMPTS = 15
FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(hours=1)
MAX_CLAIMS = 1_000
_MAX_ERROR_LENGTH = 2_000

logger = structlog.get_logger(__name__)


class HandlerMissing(RuntimeError):
    """No code is subscribed under the delivery's key any more."""


class DeliveryNotParked(Conflict):
    """Only a parked delivery waits for somebody to decide."""

    code = "delivery_not_parked"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to hand over one event, until the lease ends or the next claim."""

    delivery_id: int
    attempt: int


def deliver_due(*, at: datetime, limit: int = 100) -> int:
    """Hand over up to `limit` deliveries that are due, and return how many were claimed.

    At most one delivery of a handler and subject is claimed at a time, so call it until it returns 0.
    """
    assert 0 < limit <= MAX_CLAIMS
    claims = claim_due(at=at, limit=limit)
    for claim in claims:
        hand_over(claim=claim, at=at)
    return len(claims)


@transaction.atomic(durable=True)
def claim_due(*, at: datetime, limit: int) -> list[Claim]:
    """Claim the earliest waiting delivery of each handler and subject, if it is due, for a lease."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE core_outboxdelivery SET due_at = %(lease_ends_at)s, attempt_count = attempt_count + 1
             WHERE id IN (
                   SELECT delivery.id FROM core_outboxdelivery delivery
                    WHERE delivery.status = 'Pending' AND delivery.due_at <= %(at)s
                      AND NOT EXISTS (
                          SELECT 1 FROM core_outboxdelivery earlier
                           WHERE earlier.handler = delivery.handler
                             AND earlier.subject_id = delivery.subject_id
                             AND earlier.subject_type = delivery.subject_type
                             AND earlier.id < delivery.id
                             AND earlier.status IN ('Pending', 'Parked'))
                    ORDER BY delivery.due_at, delivery.id
                    LIMIT %(limit)s
                      FOR NO KEY UPDATE SKIP LOCKED)
            RETURNING id, attempt_count
            """,
            {"at": at, "lease_ends_at": at + LEASE, "limit": limit},
        )
        return [Claim(delivery_id, attempt) for delivery_id, attempt in sorted(cursor.fetchall())]


def hand_over(*, claim: Claim, at: datetime) -> None:
    """Call a claimed delivery's handler and mark it done, in one transaction; note a failure in another."""
    try:
        with transaction.atomic(durable=True):
            delivery = _lock_claimed(claim)
            if delivery is None:
                return  # The lease had ended, and somebody else has the delivery now.
            event = delivery.event
            handler = find_handler(name=event.name, key=delivery.handler)
            if handler is None:
                raise HandlerMissing(f"No handler is subscribed to {event.name} as {delivery.handler}.")
            handler(
                StoredEvent(
                    id=event.id,
                    position=event.position,
                    name=event.name,
                    subject_type=event.subject_type,
                    subject_id=event.subject_id,
                    customer_id=event.customer_id,
                    payload=event.payload,
                    occurred_at=event.occurred_at,
                )
            )
            delivery.status = DeliveryStatus.DELIVERED
            delivery.delivered_at = at
            delivery.last_error = ""
            delivery.save(update_fields=["status", "delivered_at", "last_error"])
    except Exception as error:  # Whatever is wrong with one handler must not keep the others from theirs.
        logger.exception("outbox_handler_failed", delivery_id=claim.delivery_id, attempt=claim.attempt)
        _note_failure(claim=claim, error=error, at=at)


@transaction.atomic
def retry_delivery(*, delivery_id: int, at: datetime, actor: Actor) -> OutboxDelivery:
    """Let a parked delivery be tried again, from its first attempt.

    Raises: NotFound; DeliveryNotParked.
    """
    delivery = _lock_parked(delivery_id)
    values = {"status": DeliveryStatus.PENDING, "attempt_count": 0, "due_at": at}
    changes = audit.set_fields(delivery, values)
    delivery.save(update_fields=changes)
    audit.record("outbox_delivery.retried", subject=delivery, changes=changes, actor=actor, at=at)
    return delivery


@transaction.atomic
def skip_delivery(*, delivery_id: int, at: datetime, actor: Actor) -> OutboxDelivery:
    """Give up a parked delivery, which lets later events of its subject go on.

    Raises: NotFound; DeliveryNotParked.
    """
    delivery = _lock_parked(delivery_id)
    changes = audit.set_fields(delivery, {"status": DeliveryStatus.SKIPPED})
    delivery.save(update_fields=changes)
    audit.record("outbox_delivery.skipped", subject=delivery, changes=changes, actor=actor, at=at)
    return delivery


def retry_delay(attempt: int) -> timedelta:
    """Return how long to wait after a failed attempt, the first being 1."""
    doublings: int = 1 << (attempt - 1)
    return min(FIRST_RETRY * doublings, LONGEST_RETRY)


def _lock_claimed(claim: Claim) -> OutboxDelivery | None:
    """Lock the delivery of a claim that still stands; None if it does not.

    Waits for whoever holds the row: often only another worker's `claim_due`, which found it due a moment too
    late, and lets go of it at its end. Passing over it then would leave the claim to its lease.
    """
    return (
        OutboxDelivery.objects.select_for_update(of=("self",), no_key=True)
        .select_related("event")
        .filter(pk=claim.delivery_id, status=DeliveryStatus.PENDING, attempt_count=claim.attempt)
        .first()
    )


def _lock_parked(delivery_id: int) -> OutboxDelivery:
    """Lock a delivery that waits for a decision."""
    delivery = (
        OutboxDelivery.objects.select_for_update(of=("self",), no_key=True).filter(pk=delivery_id).first()
    )
    if delivery is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    if delivery.status != DeliveryStatus.PARKED:
        raise DeliveryNotParked(f"Delivery {delivery_id} is {delivery.status}.")
    return delivery


@transaction.atomic(durable=True)
def _note_failure(*, claim: Claim, error: Exception, at: datetime) -> None:
    """Plan the next attempt, or park the delivery after the last."""
    delivery = _lock_claimed(claim)
    if delivery is None:
        return
    is_last = claim.attempt >= MAX_ATTEMPTS
    delivery.last_error = redact(f"{type(error).__name__}: {error}").replace("\x00", "")[:_MAX_ERROR_LENGTH]
    delivery.status = DeliveryStatus.PARKED if is_last else DeliveryStatus.PENDING
    delivery.due_at = at + retry_delay(claim.attempt)
    delivery.save(update_fields=["last_error", "status", "due_at"])
    if is_last:
        logger.error("outbox_delivery_parked", delivery_id=delivery.pk, handler=delivery.handler)
