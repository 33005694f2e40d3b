"""Domain events: what has happened, told to whoever subscribed, after the change is committed.

An app declares its events as frozen dataclasses in its `events.py`, emits them in operations, and lists the
handlers of other apps' events in `AppConfig.ready()`. A handler runs after the commit, in a transaction of
its own, in the order of the events of one subject, and may run twice. The hand-over itself is in `outbox`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db import transaction

from billing_project.core.dispatch import send
from billing_project.core.models import OutboxDelivery, OutboxEvent
from billing_project.core.plain import to_plain

DELIVER_TASK = "billing_project.core.tasks.deliver_outbox"
_BATCH_SIZE = 1_000


class DomainEvent(ABC):
    """Something that has happened to a subject. A frozen dataclass in an app's `events.py` extends it.

    `name` is dotted lower case ("invoice.finalized"), `subject_type` the noun before the dot.
    """

    name: ClassVar[str]
    subject_type: ClassVar[str]

    @property
    @abstractmethod
    def subject_id(self) -> UUID:
        """Return what it happened to."""

    @property
    @abstractmethod
    def customer_id(self) -> UUID | None:
        """Return whose it is, if it is a customer's."""

    @abstractmethod
    def payload(self) -> Mapping[str, object]:
        """Return what handlers and webhooks need to know, in values that `plain.to_plain` takes."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as a handler receives it."""

    id: UUID
    position: int
    name: str
    subject_type: str
    subject_id: UUID
    customer_id: UUID | None
    payload: Mapping[str, object]
    occurred_at: datetime


Handler = Callable[[StoredEvent], None]

_subscriptions: dict[str, dict[str, Handler]] = {}


def subscribe(name: str, handler: Handler, *, key: str) -> None:
    """Have the handler called for each event of that name. Called in `AppConfig.ready()`.

    `key` names the handler for good: it is stored with each delivery, and survives renames of the function.
    """
    handlers = _subscriptions.setdefault(name, {})
    assert handlers.get(key, handler) is handler, f"{key} is already subscribed to {name}."
    handlers[key] = handler


def find_handler(*, name: str, key: str) -> Handler | None:
    """Find the handler that a delivery is for; None if the code that subscribed it is gone."""
    return _subscriptions.get(name, {}).get(key)


def emit(event: DomainEvent, *, at: datetime) -> OutboxEvent:
    """Store an event, with a delivery for each subscribed handler, in the caller's transaction."""
    (stored,) = emit_all([event], at=at)
    return stored


def emit_all(events: Iterable[DomainEvent], *, at: datetime) -> list[OutboxEvent]:
    """Store many events, in their order, in two statements for each thousand.

    The caller holds the lock of each event's subject, which is what keeps the events of a subject in order.
    """
    connection = transaction.get_connection()
    assert connection.in_atomic_block, "An event shares the transaction of its change."
    stored = OutboxEvent.objects.bulk_create(
        [
            OutboxEvent(
                name=event.name,
                subject_type=event.subject_type,
                subject_id=event.subject_id,
                customer_id=event.customer_id,
                payload=to_plain(event.payload()),
                occurred_at=at,
            )
            for event in events
        ],
        batch_size=_BATCH_SIZE,
    )
    deliveries = [
        OutboxDelivery(
            event=event,
            handler=key,
            subject_type=event.subject_type,
            subject_id=event.subject_id,
            due_at=event.created_at,
        )
        for event in stored
        for key in _subscriptions.get(event.name, {})
    ]
    if deliveries:
        OutboxDelivery.objects.bulk_create(deliveries, batch_size=_BATCH_SIZE)
        # One request for each transaction is enough, however many events it emits.
        if not any(function is request_delivery for _, function, _ in connection.run_on_commit):
            transaction.on_commit(request_delivery, robust=True)
    return stored


def request_delivery() -> None:
    """Ask a worker to hand over what is due."""
    send(DELIVER_TASK)
