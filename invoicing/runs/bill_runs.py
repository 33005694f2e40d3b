"""Bill runs: which subscriptions are due, who works on them, and what became of each.

A worker claims items with SKIP LOCKED and a lease, commits the claim, and only then touches domain rows. A
worker that dies leaves items whose lease runs out; another takes them, and finds done what was done.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import DatabaseError, transaction
from django.db.models import F, Q

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Busy, Conflict, NotFound
from invoicing.models import BillRun, BillRunItem, BillRunItemStatus, BillRunStatus, BillRunTrigger
from invoicing.runs.due import find_due_subscription_ids, is_unfinished
from invoicing.runs.late_usage import reopen_late_periods
from invoicing.runs.subscription_run import run_subscription

logger = structlog.get_logger(__name__)

CHUNK = 20
LEASE = timedelta(minutes=2)
BUSY_DELAY = timedelta(seconds=5)
CLAIM_LIMIT = 5
SUBSCRIPTIONS_PER_RUN = 100_000


class ItemNotParked(Conflict):
    """Only a parked subscription can be released."""

    code = "item_not_parked"


@transaction.atomic
def start_bill_run(
    *,
    at: datetime,
    trigger: BillRunTrigger,
    test_clock_id: UUID | None = None,
    subscription_ids: Sequence[UUID] | None = None,
) -> BillRun | None:
    """Make a run over all that is due at `at`, or over the subscriptions named; None where none is free.

    Subscriptions that are in an unfinished item already, or parked, are left to that item.
    """
    if subscription_ids is None:
        subscription_ids = find_due_subscription_ids(
            at=at, test_clock_id=test_clock_id, limit=SUBSCRIPTIONS_PER_RUN
        )
    busy = set(
        BillRunItem.objects.filter(subscription_id__in=subscription_ids)
        .filter(is_unfinished())
        .values_list("subscription_id", flat=True)
    )
    free = [subscription_id for subscription_id in subscription_ids if subscription_id not in busy]
    if not free:
        return None
    run = BillRun.objects.create(trigger=trigger, at=at, test_clock_id=test_clock_id)
    # Another tick may claim the same subscriptions at this moment: the unique index decides, and the loser
    # skips.
    BillRunItem.objects.bulk_create(
        [BillRunItem(run=run, subscription_id=subscription_id) for subscription_id in free],
        batch_size=5_000,
        ignore_conflicts=True,
    )
    if not run.items.exists():
        run.delete()
        return None
    return run


def work_bill_run(*, run_id: UUID, read_now: Callable[[], datetime], actor: Actor) -> int:
    """Claim and do items of a run until none is left to claim; return how many this worker finished.

    `read_now` gives the real time, by which leases run; the items are billed up to the run's own `at`.
    """
    finished = 0
    run = BillRun.objects.get(pk=run_id)
    while items := _claim_items(run_id=run_id, now=read_now()):
        for item in items:
            finished += _work_item(item, at=run.at, read_now=read_now, actor=actor)
    _complete_if_done(run_id=run_id, now=read_now())
    return finished


def find_workable_run_ids(*, now: datetime, test_clock_id: UUID | None = None) -> list[UUID]:
    """Find the runs that have items for a worker to take: new ones, and those that a dead worker left.

    All runs, or those of one test clock.
    """
    of_clock = {} if test_clock_id is None else {"test_clock_id": test_clock_id}
    return list(
        BillRun.objects.filter(status=BillRunStatus.RUNNING, **of_clock)
        .filter(pk__in=BillRunItem.objects.filter(_is_claimable(now)).values("run_id"))
        .order_by("pk")
        .values_list("pk", flat=True)
    )


@transaction.atomic
def release_parked_item(*, item_id: UUID, at: datetime, actor: Actor) -> BillRunItem:
    """Let a parked subscription take part in bill runs again.

    Raises: NotFound; ItemNotParked.
    """
    item = BillRunItem.objects.select_for_update(of=("self",), no_key=True).filter(pk=item_id).first()
    if item is None:
        raise NotFound(f"There is no bill run item {item_id}.")
    if item.status != BillRunItemStatus.PARKED or item.released_at is not None:
        raise ItemNotParked(f"Item {item_id} is not parked.")
    item.released_at = at
    item.save(update_fields=["released_at"])
    audit.record(
        "bill_run_item.released", subject=item, changes={"released_at": (None, at)}, actor=actor, at=at
    )
    return item


@transaction.atomic(durable=True)
def _claim_items(*, run_id: UUID, now: datetime) -> list[BillRunItem]:
    items = list(
        BillRunItem.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
        .filter(_is_claimable(now), run_id=run_id)
        .order_by("pk")[:CHUNK]
    )
    BillRunItem.objects.filter(pk__in=[item.pk for item in items]).update(
        status=BillRunItemStatus.CLAIMED, lease_expires_at=now + LEASE, attempts=F("attempts") + 1
    )
    return items


def _work_item(item: BillRunItem, *, at: datetime, read_now: Callable[[], datetime], actor: Actor) -> int:
    """Bill one subscription; park it if it cannot be billed, so that it holds nobody else up."""
    if item.attempts >= CLAIM_LIMIT:
        _park(item, problem=f"Its worker died or was busy {item.attempts} times.", now=read_now())
        return 1
    try:
        reopen_late_periods(subscription_id=item.subscription_id, at=at, actor=actor)
        invoices = run_subscription(subscription_id=item.subscription_id, at=at, actor=actor)
    except Busy:
        _postpone(item, until=read_now() + BUSY_DELAY)
        return 0
    except DatabaseError:
        raise  # The database is the trouble, not this subscription: the lease brings the item back.
    except Exception as error:  # Whatever it is, it must hold up this one subscription only.
        logger.exception("bill_run.parked", subscription_id=str(item.subscription_id))
        _park(item, problem=f"{type(error).__name__}: {error}", now=read_now())
        return 1
    _finish(item, invoice_count=len(invoices), now=read_now())
    return 1


def _finish(item: BillRunItem, *, invoice_count: int, now: datetime) -> None:
    BillRunItem.objects.filter(pk=item.pk, status=BillRunItemStatus.CLAIMED).update(
        status=BillRunItemStatus.SUCCEEDED,
        lease_expires_at=None,
        invoice_count=F("invoice_count") + invoice_count,
        finished_at=now,
    )


def _park(item: BillRunItem, *, problem: str, now: datetime) -> None:
    BillRunItem.objects.filter(pk=item.pk, status=BillRunItemStatus.CLAIMED).update(
        status=BillRunItemStatus.PARKED, lease_expires_at=None, problem=problem, finished_at=now
    )


def _postpone(item: BillRunItem, *, until: datetime) -> None:
    """Let nobody claim the item until then: busy means later, and does not count as an attempt."""
    BillRunItem.objects.filter(pk=item.pk, status=BillRunItemStatus.CLAIMED).update(
        lease_expires_at=until, attempts=F("attempts") - 1
    )


@transaction.atomic
def _complete_if_done(*, run_id: UUID, now: datetime) -> None:
    unfinished = BillRunItem.objects.filter(
        run_id=run_id, status__in=[BillRunItemStatus.PENDING, BillRunItemStatus.CLAIMED]
    )
    if not unfinished.exists():
        BillRun.objects.filter(pk=run_id, status=BillRunStatus.RUNNING).update(
            status=BillRunStatus.COMPLETED, completed_at=now
        )


def _is_claimable(now: datetime) -> Q:
    return Q(status=BillRunItemStatus.PENDING) | Q(
        status=BillRunItemStatus.CLAIMED, lease_expires_at__lte=now
    )
