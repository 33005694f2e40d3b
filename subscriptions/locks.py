"""What must be locked, and how: slots keep ingest and closing apart, row locks keep operations apart.

Slots are advisory locks; a subscription has the slot that its id hashes to, and shares it with others.
Ingest, and whoever makes period rows, holds the slot shared; whoever closes a period or moves its bounds
holds it exclusively. So an event is never stored in a period that closed since it was looked at. Take slots
first in a transaction, all that it needs in one call, and in a statement of their own: at READ COMMITTED only
a later statement sees what was committed while this one waited.
"""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID
from zlib import crc32

from django.db import connection
from django.db.models import Q

from billing_project.core.errors import NotFound
from customers.locks import lock_customer
from subscriptions.models import Period, Subscription

SLOT_COUNT = 128

# The first of the two numbers of each slot's advisory lock, so that no other use of such locks meets them.
SLOT_SPACE = 0x5107


def slot_of(subscription_id: UUID) -> int:
    """Tell which slot a subscription has."""
    return crc32(subscription_id.bytes) % SLOT_COUNT


def lock_slots_shared(subscription_ids: Iterable[UUID]) -> None:
    """Keep periods of these subscriptions from being closed or moved until the transaction ends.

    Locks: slots (shared).
    """
    _lock_slots("pg_advisory_xact_lock_shared", subscription_ids)


def lock_slots_exclusive(subscription_ids: Iterable[UUID]) -> None:
    """Wait until nobody is putting events into periods of these subscriptions, and keep it so until the end.

    Locks: slots (exclusive).
    """
    _lock_slots("pg_advisory_xact_lock", subscription_ids)


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


def _lock_slots(
    function: Literal["pg_advisory_xact_lock", "pg_advisory_xact_lock_shared"],
    subscription_ids: Iterable[UUID],
) -> None:
    assert connection.in_atomic_block, "A slot is held to the end of a transaction."
    slots = sorted({slot_of(subscription_id) for subscription_id in subscription_ids})
    with connection.cursor() as cursor:
        # `unnest` hands the slots out in the array's order, which is ascending: no two transactions wait for
        # each other.
        cursor.execute(f"SELECT {function}(%s, slot) FROM unnest(%s::int[]) AS slot", [SLOT_SPACE, slots])  # noqa: S608
