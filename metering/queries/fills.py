"""Reading fills: what is left to count for a meter, and which meters have not counted everything yet."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from billing_project.core.errors import NotFound
from billing_project.core.models import DeliveryStatus, OutboxDelivery
from catalog.models import Meter
from metering.models import FillStatus, MeterFill, UsageEvent
from metering.queries.archives import select_unarchived
from subscriptions.models import Segment

# Under this key the outbox hands new and restored meters over, to be filled.
FILL_HANDLER = "metering.fill_meter"

UNFINISHED = ~Q(status=FillStatus.COMPLETED)


def get_fill(fill_id: UUID) -> MeterFill:
    """Return a fill.

    Raises: NotFound.
    """
    fill = MeterFill.objects.select_related("meter").filter(pk=fill_id).first()
    if fill is None:
        raise NotFound(f"There is no meter fill {fill_id}.")
    return fill


def list_unfinished_fills(*, limit: int) -> list[MeterFill]:
    """List fills that have something left to do, in the order in which they were asked for."""
    return list(MeterFill.objects.filter(UNFINISHED).order_by("pk")[:limit])


def list_unfilled_meters(meter_ids: Collection[UUID]) -> list[Meter]:
    """List those of some meters that may have events to count which came before them.

    Either a fill of theirs is not done, or, for a level that carries over, it is still to be asked for.
    """
    if not meter_ids:
        return []
    fills = MeterFill.objects.filter(UNFINISHED, meter_id=OuterRef("pk"))
    requests = OutboxDelivery.objects.filter(
        handler=FILL_HANDLER,
        subject_id=OuterRef("pk"),
        status__in=[DeliveryStatus.PENDING, DeliveryStatus.PARKED],
    )
    meters = Meter.objects.filter(Exists(fills) | Q(carries_over=True) & Exists(requests), pk__in=meter_ids)
    return list(meters.order_by("code"))


def select_used_segments() -> QuerySet[Segment]:
    """Select the segments that have events and are not archived, in the order of their ids."""
    events = UsageEvent.objects.filter(
        customer_id=OuterRef("subscription__customer_id"), segment_id=OuterRef("pk")
    )
    segments = Segment.objects.select_related("period", "subscription").filter(Exists(events))
    return select_unarchived(segments).order_by("pk")


def find_next_segment(fill: MeterFill) -> Segment | None:
    """Find the segment that a fill has to go on with; None if all are done."""
    segments = select_used_segments()
    if fill.cursor is not None:
        segments = segments.filter(pk__gt=fill.cursor)
    return segments.first()


def count_matched_events(*, limit: int) -> int:
    """Count the events that are in a segment, as far as a limit."""
    return UsageEvent.objects.filter(segment_id__isnull=False).values("customer_id")[:limit].count()
