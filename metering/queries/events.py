"""Reading events, and finding the period that is asked about."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import F, QuerySet

from billing_project.core.errors import NotFound
from metering.models import EventVoid, UsageEvent
from metering.models.corrections import leave_out_voided
from metering.queries.archives import describe_archived_event
from subscriptions.models import Period, Segment


class PeriodName(StrEnum):
    """A period that can be asked for without its id."""

    CURRENT = "current"
    PREVIOUS = "previous"


class EventArchived(NotFound):
    """The event is in an archive only: its data is in a file, and of the event its id is kept."""

    code = "event_archived"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDetails:
    """An event, the segment that it counts in, with its period, and its void, with its correction.

    As long as it is unmatched, there is no segment, and as long as it counts, no void.
    """

    event: UsageEvent
    segment: Segment | None
    void: EventVoid | None

    @property
    def period(self) -> Period | None:
        """The period that it is billed in."""
        return None if self.segment is None else self.segment.period

    @property
    def is_void(self) -> bool:
        """Whether it was taken back, and so counts no more."""
        return self.void is not None


def get_usage_period(*, subscription_id: UUID, which: PeriodName | UUID | int, at: datetime) -> Period:
    """Return a period of a subscription: by its id or number, the current one, or the one before it.

    The current one is the last stored one that has begun; of a subscription that has not begun, the first.

    Raises: NotFound.
    """
    periods = Period.objects.filter(subscription_id=subscription_id)
    if isinstance(which, UUID):
        period = periods.filter(pk=which).first()
    elif isinstance(which, int):
        period = periods.filter(number=which).first()
    else:
        begun = periods.filter(starts_at__lte=at, ends_at__gt=F("starts_at")).order_by("-number")
        period = begun.first() or periods.filter(number=0).first()
        if period is not None and which is PeriodName.PREVIOUS:
            period = periods.filter(number=period.number - 1).first()
    if period is None:
        raise NotFound(f"Subscription {subscription_id} has no such period: {which}.")
    return period


def get_event(*, customer_id: UUID, event_id: str) -> UsageEvent:
    """Return an event by the id that its sender gave it.

    Raises: NotFound; EventArchived.
    """
    event = UsageEvent.objects.filter(customer_id=customer_id, event_id=event_id).first()
    if event is not None:
        return event
    archived = describe_archived_event(customer_id=customer_id, event_id=event_id)
    if archived is not None:
        raise EventArchived(archived)
    raise NotFound(f"Customer {customer_id} has no event {event_id!r}.")


def read_event_details(events: Sequence[UsageEvent]) -> list[EventDetails]:
    """Read the segments that events count in, and the voids of those that do not, in two queries."""
    segment_ids = {event.segment_id for event in events if event.segment_id is not None}
    segments = {
        segment.pk: segment
        for segment in Segment.objects.select_related("period", "plan_version__plan", "subscription").filter(
            pk__in=segment_ids
        )
    }
    voids = {
        (void.customer_id, void.event_id): void
        for void in EventVoid.objects.select_related("correction").filter(
            customer_id__in={event.customer_id for event in events},
            event_id__in={event.event_id for event in events},
        )
    }
    return [
        EventDetails(
            event=event,
            segment=None if event.segment_id is None else segments[event.segment_id],
            void=voids.get((event.customer_id, event.event_id)),
        )
        for event in events
    ]


def list_unmatched_events(
    *,
    customer_id: UUID,
    event_types: Collection[str],
    stamped_from: datetime,
    stamped_before: datetime | None,
    limit: int,
) -> list[UsageEvent]:
    """List a customer's events that belong to no segment yet, but for voided ones, in the order of keys."""
    events: QuerySet[UsageEvent] = UsageEvent.objects.filter(
        customer_id=customer_id,
        segment_id__isnull=True,
        event_type__in=event_types,
        timestamp__gte=stamped_from,
    )
    if stamped_before is not None:
        events = events.filter(timestamp__lt=stamped_before)
    return list(leave_out_voided(events).order_by("event_id")[:limit])
