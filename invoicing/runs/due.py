"""What is due, and when: stored periods and marks of late usage decide; parked subscriptions wait."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Min, Q, QuerySet

from billing_project.core.seller import get_seller
from invoicing.models import BillRunItem, BillRunItemStatus
from metering.models import LateUsage
from subscriptions.models import Period


def find_due_subscription_ids(*, at: datetime, test_clock_id: UUID | None, limit: int) -> list[UUID]:
    """Find the subscriptions that a bill run at `at` has work on, the longest overdue first.

    Those of one test clock, or, without one, those of all customers that live in real time.
    """
    periods = _due_periods(test_clock_id).filter(due_at__lte=at).order_by("due_at", "pk")
    marks = _marks(test_clock_id).filter(noted_at__lte=at - read_grace()).order_by("noted_at", "pk")
    subscription_ids: Iterable[UUID] = [
        *periods.values_list("subscription_id", flat=True)[:limit],
        *marks.values_list("subscription_id", flat=True)[:limit],
    ]
    return list(dict.fromkeys(subscription_ids))[:limit]


def find_next_due_at(*, test_clock_id: UUID) -> datetime | None:
    """Find the next instant at which a customer of the clock has something due, if there is one."""
    period_due_at = _due_periods(test_clock_id).aggregate(at=Min("due_at"))["at"]
    noted_at = _marks(test_clock_id).aggregate(at=Min("noted_at"))["at"]
    instants = [
        *([period_due_at] if period_due_at is not None else []),
        *([noted_at + read_grace()] if noted_at is not None else []),
    ]
    return min(instants, default=None)


def read_grace() -> timedelta:
    """Read how long after its end a period stays open, and late usage waits for more of it."""
    return timedelta(seconds=get_seller().grace_seconds)


def is_unfinished() -> Q:
    """Match the bill run items that keep their subscription out of another run."""
    return Q(status__in=[BillRunItemStatus.PENDING, BillRunItemStatus.CLAIMED]) | _is_parked()


def _is_parked() -> Q:
    return Q(status=BillRunItemStatus.PARKED, released_at__isnull=True)


def _due_periods(test_clock_id: UUID | None) -> QuerySet[Period]:
    return Period.objects.filter(
        due_at__isnull=False, subscription__customer__test_clock_id=test_clock_id
    ).exclude(subscription_id__in=_parked_subscriptions())


def _marks(test_clock_id: UUID | None) -> QuerySet[LateUsage]:
    from_customers = Period.objects.filter(subscription__customer__test_clock_id=test_clock_id)
    return LateUsage.objects.filter(period_id__in=from_customers.values("pk")).exclude(
        subscription_id__in=_parked_subscriptions()
    )


def _parked_subscriptions() -> QuerySet[BillRunItem, UUID]:
    return BillRunItem.objects.filter(_is_parked()).values_list("subscription_id", flat=True)
