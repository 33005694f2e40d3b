"""Reading corrections, and choosing the events that one is about."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, F, Func, OuterRef, QuerySet, TextField, Value

from billing_project.core.errors import InvalidInput
from catalog.property_filters import write_scalar
from catalog.queries import read_prices
from metering.models import EventVoid, UsageCorrection, UsageEvent
from metering.models.corrections import leave_out_voided
from subscriptions.models import Segment

_NESTED = ("object", "array")


class InvalidPropertyValue(InvalidInput):
    """Events are chosen by properties that are a text, a number or a truth value."""

    code = "invalid_property_value"


class SelectionTooWide(InvalidInput):
    """Nobody takes back all that a customer has used by leaving a field empty."""

    code = "selection_too_wide"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSelection:
    """Which events of a customer are meant: those that satisfy all that is given, which is something.

    Spans of time are half-open. `properties` are equal as a meter's filters have it: 1, 1.0 and "1" are.
    """

    customer_id: UUID
    event_ids: tuple[str, ...] = ()
    event_type: str = ""
    subscription_id: UUID | None = None
    stamped_from: datetime | None = None
    stamped_before: datetime | None = None
    received_from: datetime | None = None
    received_before: datetime | None = None
    properties: Mapping[str, object] = field(default_factory=dict)


def is_voided(*, customer_id: UUID, event_id: str) -> bool:
    """Tell whether an event has been taken back."""
    return EventVoid.objects.filter(customer_id=customer_id, event_id=event_id).exists()


def has_corrections(customer_id: UUID) -> bool:
    """Tell whether any event of a customer was ever taken back."""
    return UsageCorrection.objects.filter(customer_id=customer_id).exists()


def list_voided_periods(subscription_id: UUID) -> list[int]:
    """List the numbers of the periods of a subscription in which events were taken back, in order."""
    voids = EventVoid.objects.filter(segment_id=OuterRef("pk"))
    segments = Segment.objects.filter(Exists(voids), subscription_id=subscription_id)
    numbers = segments.order_by("period__number").values_list("period__number", flat=True)
    return list(numbers.distinct())


def select_events(selection: EventSelection) -> QuerySet[UsageEvent]:
    """Select the events that are meant, but for those that have been taken back already.

    Raises: SelectionTooWide; InvalidPropertyValue.
    """
    conditions = {
        "event_id__in": selection.event_ids,
        "event_type": selection.event_type,
        "subscription_id": selection.subscription_id,
        "timestamp__gte": selection.stamped_from,
        "timestamp__lt": selection.stamped_before,
        "received_at__gte": selection.received_from,
        "received_at__lt": selection.received_before,
    }
    given = {lookup: value for lookup, value in conditions.items() if value}
    if not given and not selection.properties:
        raise SelectionTooWide("Say which of the customer's events are meant.")
    events = UsageEvent.objects.filter(customer_id=selection.customer_id, **given)
    if selection.subscription_id is not None:  # An index has the events by segment.
        segments = Segment.objects.filter(subscription_id=selection.subscription_id)
        events = events.filter(segment_id__in=segments.values("pk"))
    for number, (name, value) in enumerate(selection.properties.items()):
        events = _select_equal(events, name, value, number=number)
    return leave_out_voided(events)


def read_charged(segments: Iterable[Segment]) -> Mapping[UUID, frozenset[UUID]]:
    """Read which meters the plan of each segment charges for."""
    versions = {segment.pk: segment.plan_version_id for segment in segments}
    meters = {
        version_id: frozenset(price.meter_id for price in prices if price.meter_id is not None)
        for version_id, prices in read_prices(set(versions.values())).items()
    }
    return {segment_id: meters[version_id] for segment_id, version_id in versions.items()}


def list_unknown(*, customer_id: UUID, event_ids: Collection[str]) -> list[str]:
    """List the ids that no event of the customer has, voided or not."""
    known = UsageEvent.objects.filter(customer_id=customer_id, event_id__in=event_ids)
    return sorted(set(event_ids) - set(known.values_list("event_id", flat=True)))


def _select_equal(
    events: QuerySet[UsageEvent], name: str, value: object, *, number: int
) -> QuerySet[UsageEvent]:
    text = write_scalar(value)
    if text is None:
        detail = "A property is compared with a text, a number or a truth value."
        raise InvalidPropertyValue(detail, field=f"properties.{name}")
    path = (F("properties"), Value(name))
    found = Func(*path, function="jsonb_extract_path_text", output_field=TextField())
    kind = Func(Func(*path, function="jsonb_extract_path"), function="jsonb_typeof", output_field=TextField())
    equal, nested = f"property_{number}", f"property_kind_{number}"
    return (
        events.alias(**{equal: found, nested: kind})
        .filter(**{equal: text})
        .exclude(**{f"{nested}__in": _NESTED})
    )
