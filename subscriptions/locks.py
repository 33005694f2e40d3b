"""What must be locked, and how: slots keep ingest and closing apart, row locks keep operations apart.

Slots are advisory locks; a subscription has the slot that its id hashes to, and shares it with others.
Ingest, and whoever makes period rows, holds the slot shared; whoever closes a period or moves its bounds
holds it exclusively. So an event is never stored in a period that closed since it was looked at. Take slots
first in a transaction, all that it needs in one call, and in a statement of their own: at READ COMMITTED only
a later statement sees what was committed while this one waited.
"""

from collections.abc import Iterable
from uuid import UUID
from zlib import crc32

from django.db import connection, transaction
from django.db.models import Q

from billing_project.core.errors import NotFound
from billing_project.core.statements import fetch_row
from customers.locks import lock_customer
from subscriptions.models import Period, Subscription

SLOT_COUNT = 128

# The first of the two numbers of each slot's advisory lock, so that no other use of such locks meets them.
SLOT_SPACE = 0x5107

_LOCK = "SELECT count({}(%(space)s::int, slot)) FROM unnest(%(slots)s::int[]) AS slot"
LOCK_SHARED = _LOCK.format("pg_advisory_xact_lock_shared")
LOCK_EXCLUSIVE = _LOCK.format("pg_advisory_xact_lock")


def slot_of(subscription_id: UUID) -> int:
    """Tell which slot a subscription has."""
    return crc32(subscription_id.bytes) % SLOT_COUNT


def lock_slots_shared(subscription_ids: Iterable[UUID]) -> None:
    """Keep periods of these subscriptions from being closed or moved until the transaction ends.

    Locks: slots (shared).
    """
    _lock_slots(LOCK_SHARED, map(slot_of, subscription_ids))


def lock_slots_exclusive(subscription_ids: Iterable[UUID]) -> None:
    """Wait until nobody is putting events into periods of these subscriptions, and keep it so until the end.

    Locks: slots (exclusive).
    """
    _lock_slots(LOCK_EXCLUSIVE, map(slot_of, subscription_ids))


def outwait_slots() -> None:
    """Wait until every transaction that holds a slot at this moment has ended.

    Takes the slots one after the other, each in a transaction of its own, so that nobody is kept waiting for
    long. Within a transaction, they are kept to its end.

    Locks: slots (exclusive).
    """
    for slot in range(SLOT_COUNT):
        with transaction.atomic():
            _lock_slots(LOCK_EXCLUSIVE, [slot])


def lock_subscription(subscription_id: UUID) -> Subscription:
    """Lock a subscription and its customer, and read it as it is now.

    Raises: NotFound.
    Locks: customer, subscription.
    """
    found = Subscription.objects.filter(pk=subscription_id).values_list("customer_id", flat=True).first()
    if found is None:
        raise NotFound(f"There is no subscription {subscription_id}.")
    lock_customer(found)
    return (
        Subscription.objects.select_for_update(of=("self",), no_key=True)
        .select_related("plan_version")
        .get(pk=subscription_id)
    )


def lock_period(period_id: UUID) -> Period:
    """Lock a period and read it as it is now.

    Raises: NotFound.
    Locks: period.
    """
    period = Period.objects.select_for_update(of=("self",), no_key=True).filter(pk=period_id).first()
    if period is None:
        raise NotFound(f"There is no period {period_id}.")
    return period


def lock_periods(*, subscription_id: UUID, where: Q) -> list[Period]:
    """Lock the periods of a subscription that satisfy a condition, and read them in order.

    Locks: periods.
    """
    return list(
        Period.objects.select_for_update(of=("self",), no_key=True)
        .filter(where, subscription_id=subscription_id)
        .order_by("number")
    )


def _lock_slots(statement: str, slots: Iterable[int]) -> None:
    assert connection.in_atomic_block, "A slot is held to the end of a transaction."
    ascending = sorted(set(slots))
    # `unnest` hands the slots out in the array's order, which is ascending: no two transactions wait for each
    # other.
    fetch_row(statement, {"space": SLOT_SPACE, "slots": ascending})
