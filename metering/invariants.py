"""What is true of usage at any moment. These checks stand in for foreign keys, which events do not have."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from billing_project.core import invariants
from billing_project.core.money import EXACT
from catalog.models import Meter
from catalog.queries import read_prices
from metering.aggregation.registry import build_aggregation
from metering.aggregation.types import InvalidValue
from metering.ingest.matching import MeterFacts
from metering.models import UsageEvent, UsageRollup
from subscriptions.models import Segment

EVENTS_PER_READ = 2_000

_STRAY_EVENTS = """
    SELECT event.customer_id, event.event_id
    FROM metering_usageevent event
    LEFT JOIN customers_customer customer ON customer.id = event.customer_id
    LEFT JOIN subscriptions_segment segment ON segment.id = event.segment_id
    LEFT JOIN subscriptions_subscription subscription ON subscription.id = segment.subscription_id
    WHERE customer.id IS NULL OR event.segment_id IS NOT NULL AND (
        subscription.customer_id IS DISTINCT FROM event.customer_id
        OR segment.subscription_id IS DISTINCT FROM event.subscription_id
    )
"""

_STRAY_ROLLUPS = """
    SELECT DISTINCT rollup.customer_id, rollup.segment_id
    FROM metering_usagerollup rollup
    WHERE NOT EXISTS (
        SELECT 1 FROM metering_usageevent event
        WHERE event.customer_id = rollup.customer_id AND event.segment_id = rollup.segment_id
    )
"""


class _Totals(NamedTuple):
    """What a rollup says of a meter in an hour."""

    total: Decimal = Decimal(0)
    event_count: int = 0
    late_total: Decimal = Decimal(0)
    late_count: int = 0

    def add(self, value: Decimal, *, is_late: bool) -> "_Totals":
        """Add one event."""
        return _Totals(
            EXACT.add(self.total, value),
            self.event_count + 1,
            EXACT.add(self.late_total, value) if is_late else self.late_total,
            self.late_count + is_late,
        )


# A segment, a meter and an hour.
_Place = tuple[UUID, UUID, datetime]
_NOTHING = _Totals()


def check_owners() -> Iterator[str]:
    """Find events and rollups that are not those of their customer and segment."""
    for customer_id, event_id in _read(_STRAY_EVENTS):
        yield f"Event {event_id!r} of customer {customer_id} is in a segment that is not theirs."
    for customer_id, segment_id in _read(_STRAY_ROLLUPS):
        yield f"Segment {segment_id} of customer {customer_id} has rollups but no events."


def check_rollups() -> Iterator[str]:
    """Find rollups that are not what their events add up to.

    That holds for the meters that a segment's plan charges for, which are older than any event in it. A meter
    that was made later has counted since then, so its rollups can only be less.
    """
    meters = _read_meters()
    matched = UsageEvent.objects.filter(segment_id__isnull=False).order_by("customer_id")
    columns = ("customer_id", "event_type", "segment_id", "billed_at", "is_late", "properties")
    rows = matched.values_list(*columns, named=True).iterator(chunk_size=EVENTS_PER_READ)
    for customer_id, events in groupby(rows, key=attrgetter("customer_id")):
        expected = _add_up(events, meters)
        found = _read_rollups(customer_id)
        charged = _read_charged({segment_id for segment_id, _, _ in expected})
        for place in sorted(expected.keys() | found.keys()):
            segment_id, meter_id, hour_at = place
            kept, due = found.get(place, _NOTHING), expected.get(place, _NOTHING)
            is_charged = meter_id in charged.get(segment_id, ())
            if kept != due if is_charged else kept.event_count > due.event_count:
                yield (
                    f"Customer {customer_id}, segment {segment_id}, meter {meter_id}, {hour_at:%F %H}h: "
                    f"there are {due.event_count} events of {due.total}, rolled up as {kept.event_count} of "
                    f"{kept.total}."
                )


def register() -> None:
    """Have `check_invariants` run the checks of this app."""
    invariants.register("events and rollups are in a segment of their customer", check_owners)
    invariants.register("rollups equal what their events add up to", check_rollups)


def _read_meters() -> Mapping[str, Sequence[MeterFacts]]:
    """Read all meters, by the type of event that they count."""
    by_type: defaultdict[str, list[MeterFacts]] = defaultdict(list)
    for meter in Meter.objects.order_by("pk"):
        rule = build_aggregation(aggregation=meter.aggregation, property_name=meter.property)
        by_type[meter.event_type].append(MeterFacts(meter.pk, rule))
    return by_type


def _add_up(
    events: Iterable[UsageEvent], meters: Mapping[str, Sequence[MeterFacts]]
) -> dict[_Place, _Totals]:
    totals: defaultdict[_Place, _Totals] = defaultdict(_Totals)
    for event in events:
        assert event.segment_id is not None, "Only matched events are read."
        assert event.billed_at is not None, "A matched event has its time."
        hour_at = event.billed_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        for meter in meters.get(event.event_type, ()):
            try:
                value = meter.aggregation.contribute(event.properties)
            except InvalidValue:
                continue  # The meter is younger than the event.
            if value is not None:
                place = (event.segment_id, meter.id, hour_at)
                totals[place] = totals[place].add(value, is_late=event.is_late)
    return totals


def _read_rollups(customer_id: UUID) -> dict[_Place, _Totals]:
    rows = (
        UsageRollup.objects.filter(customer_id=customer_id)
        .values_list("segment_id", "meter_id", "hour_at")
        .annotate(Sum("total"), Sum("event_count"), Sum("late_total"), Sum("late_count"))
    )
    return {
        (segment_id, meter_id, hour_at): _Totals(*totals) for segment_id, meter_id, hour_at, *totals in rows
    }


def _read_charged(segment_ids: Iterable[UUID]) -> Mapping[UUID, frozenset[UUID]]:
    """Read which meters the plan of each segment charges for."""
    versions = dict(Segment.objects.filter(pk__in=segment_ids).values_list("pk", "plan_version_id"))
    meters = {
        version_id: frozenset(price.meter_id for price in prices if price.meter_id is not None)
        for version_id, prices in read_prices(set(versions.values())).items()
    }
    return {segment_id: meters[version_id] for segment_id, version_id in versions.items()}


def _read(sql: str) -> Iterator[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        yield from cursor
