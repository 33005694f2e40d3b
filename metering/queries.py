"""Reading usage: what a segment comes to, and the events behind it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from django.db.models import F, QuerySet, Sum

from billing_project.core.errors import NotFound
from billing_project.core.money import EXACT
from catalog.models import Meter
from catalog.queries import read_prices
from metering.models import UsageEvent, UsageRollup
from subscriptions.models import Period, Segment, Subscription
from subscriptions.queries import list_segments


class PeriodName(StrEnum):
    """A period that can be asked for without its id."""

    CURRENT = "current"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class MeterUsage:
    """What the events of a segment come to on a meter; `late_quantity` is the part that missed its period."""

    quantity: Decimal
    late_quantity: Decimal
    event_count: int


@dataclass(frozen=True, slots=True)
class EventDetails:
    """An event, and the period that it is billed in; None as long as it is unmatched."""

    event: UsageEvent
    period: Period | None


@dataclass(frozen=True, slots=True)
class MeterSummary:
    """The usage of a meter in a period."""

    meter: Meter
    usage: MeterUsage


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """The usage of a subscription in a period: every meter of the plan, in its order, whether used or not."""

    period: Period
    meters: tuple[MeterSummary, ...]


NO_USAGE = MeterUsage(quantity=Decimal(0), late_quantity=Decimal(0), event_count=0)


def read_segment_usage(
    *, customer_id: UUID, segment_ids: Collection[UUID]
) -> dict[tuple[UUID, UUID], MeterUsage]:
    """Read the usage of segments from their rollups, by segment and meter; what has none is left out."""
    rows = (
        UsageRollup.objects.filter(customer_id=customer_id, segment_id__in=segment_ids)
        .values_list("segment_id", "meter_id")
        .annotate(Sum("total"), Sum("late_total"), Sum("event_count"))
    )
    return {
        (segment_id, meter_id): MeterUsage(quantity, late_quantity, event_count)
        for segment_id, meter_id, quantity, late_quantity, event_count in rows
    }


def read_usage_summary(*, subscription: Subscription, period: Period) -> UsageSummary:
    """Read what a subscription has used in a period, over all its segments."""
    segments = list_segments([period.pk])
    usage = read_segment_usage(
        customer_id=subscription.customer_id, segment_ids=[segment.pk for segment in segments]
    )
    return UsageSummary(
        period=period,
        meters=tuple(
            MeterSummary(meter, _add([usage.get((segment.pk, meter.pk), NO_USAGE) for segment in segments]))
            for meter in _list_meters(segments)
        ),
    )


def get_usage_period(*, subscription_id: UUID, which: PeriodName | UUID, at: datetime) -> Period:
    """Return a period of a subscription: by its id, the current one, or the one before it.

    The current one is the last stored one that has begun; of a subscription that has not begun, the first.

    Raises: NotFound.
    """
    periods = Period.objects.filter(subscription_id=subscription_id)
    if isinstance(which, UUID):
        period = periods.filter(pk=which).first()
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

    Raises: NotFound.
    """
    event = UsageEvent.objects.filter(customer_id=customer_id, event_id=event_id).first()
    if event is None:
        raise NotFound(f"Customer {customer_id} has no event {event_id!r}.")
    return event


def read_event_details(events: Sequence[UsageEvent]) -> list[EventDetails]:
    """Read the periods that events are billed in, in one query."""
    segment_ids = {event.segment_id for event in events if event.segment_id is not None}
    segments = Segment.objects.select_related("period").filter(pk__in=segment_ids)
    periods = {segment.pk: segment.period for segment in segments}
    return [
        EventDetails(event, None if event.segment_id is None else periods[event.segment_id])
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
    """List a customer's events that belong to no segment yet, in the order of their key."""
    events: QuerySet[UsageEvent] = UsageEvent.objects.filter(
        customer_id=customer_id,
        segment_id__isnull=True,
        event_type__in=event_types,
        timestamp__gte=stamped_from,
    )
    if stamped_before is not None:
        events = events.filter(timestamp__lt=stamped_before)
    return list(events.order_by("event_id")[:limit])


def _list_meters(segments: Sequence[Segment]) -> list[Meter]:
    """List the meters that the plan versions of segments charge for, each once, in the order of the plan."""
    prices = read_prices({segment.plan_version_id for segment in segments})
    meters: dict[UUID, Meter] = {}
    for segment in segments:
        for price in prices[segment.plan_version_id]:
            if price.meter is not None:
                meters.setdefault(price.meter.pk, price.meter)
    return list(meters.values())


def _add(parts: Collection[MeterUsage]) -> MeterUsage:
    quantity, late_quantity = Decimal(0), Decimal(0)
    for part in parts:
        quantity = EXACT.add(quantity, part.quantity)
        late_quantity = EXACT.add(late_quantity, part.late_quantity)
    return MeterUsage(quantity, late_quantity, sum(part.event_count for part in parts))
