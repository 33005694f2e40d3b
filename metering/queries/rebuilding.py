"""Reading what can be rebuilt: segments with usage, and rollups that belong to nothing."""

from collections import Counter
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db.models import Count, Exists, Model, OuterRef, QuerySet

from catalog.models import CatalogStatus, Meter
from metering.aggregation.rules import MeterRule
from metering.meters import build_rule
from metering.models import UsageEvent, UsageRollup, UsageValue
from metering.queries.archives import select_unarchived
from subscriptions.models import Segment

RowT = TypeVar("RowT", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildScope:
    """What is to be rebuilt: all usage, or that of a customer, a subscription or a segment."""

    customer_id: UUID | None = None
    subscription_id: UUID | None = None
    segment_id: UUID | None = None


EVERYTHING = RebuildScope()


def select_rebuildable(scope: RebuildScope) -> QuerySet[Segment]:
    """Select the segments that have events or rollups and are not archived, in the order of their ids."""
    is_own = {"customer_id": OuterRef("subscription__customer_id"), "segment_id": OuterRef("pk")}
    has_usage = Exists(UsageEvent.objects.filter(**is_own)) | Exists(UsageRollup.objects.filter(**is_own))
    segments = Segment.objects.filter(has_usage | Exists(UsageValue.objects.filter(**is_own)))
    if scope.customer_id is not None:
        segments = segments.filter(subscription__customer_id=scope.customer_id)
    if scope.subscription_id is not None:
        segments = segments.filter(subscription_id=scope.subscription_id)
    if scope.segment_id is not None:
        segments = segments.filter(pk=scope.segment_id)
    return select_unarchived(segments).select_related("period", "subscription").order_by("pk")


def select_strays(model: type[RowT], scope: RebuildScope) -> QuerySet[RowT]:
    """Select rollups of a segment or a meter that there is not, or that is not their customer's."""
    segments = Segment.objects.filter(
        pk=OuterRef("segment_id"), subscription__customer_id=OuterRef("customer_id")
    )
    meters = Meter.objects.filter(pk=OuterRef("meter_id"))
    rows = model._default_manager.filter(~Exists(segments) | ~Exists(meters))
    if scope.customer_id is not None:
        rows = rows.filter(customer_id=scope.customer_id)
    if scope.subscription_id is not None:
        own = Segment.objects.filter(subscription_id=scope.subscription_id)
        rows = rows.filter(segment_id__in=own.values("pk"))
    if scope.segment_id is not None:
        rows = rows.filter(segment_id=scope.segment_id)
    return rows


def count_strays(scope: RebuildScope) -> Counter[UUID]:
    """Count the rollups that belong to nothing, by customer."""
    counts: Counter[UUID] = Counter()
    for model in (UsageRollup, UsageValue):
        rows = select_strays(model, scope).values_list("customer_id").annotate(row_count=Count("meter_id"))
        counts.update(dict(rows.order_by("customer_id")))
    return counts


def list_active_rules(*, code: str | None = None) -> list[MeterRule]:
    """List the rules of the meters that count now, or of the one of that code, if it does.

    What archived meters say is left as it was: they have stopped counting at some moment.
    """
    meters = Meter.objects.filter(status=CatalogStatus.ACTIVE)
    if code is not None:
        meters = meters.filter(code=code)
    return [build_rule(meter) for meter in meters.order_by("code")]
