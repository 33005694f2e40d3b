"""What is true of usage at any moment. These checks stand in for foreign keys, which events do not have."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from billing_project.core import invariants
from catalog.models import Meter
from metering.aggregation.accumulator import Accumulator
from metering.archiving.queries import read_removed_sums
from metering.archiving.sums import SegmentMeter, add_sums, find_differences, sum_up
from metering.meters import build_rule, group_rules
from metering.models import ArchivedSegment, UsageEvent, UsageRollup
from metering.queries.corrections import read_charged
from metering.recounting import (
    RollupKey,
    iterate_counted_events,
    read_rolled_up,
    read_timezones,
    recount,
)
from subscriptions.models import Segment

ChargedMeters = Mapping[UUID, Collection[UUID]]

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
    ) AND NOT EXISTS (
        SELECT 1 FROM metering_archivedsegment archived WHERE archived.segment_id = rollup.segment_id
    )
"""

# Each value that is kept is also in the totals of the same key.
_STRAY_VALUES = """
    SELECT DISTINCT kept.customer_id, kept.segment_id, kept.meter_id
    FROM metering_usagevalue kept
    WHERE NOT EXISTS (
        SELECT 1 FROM metering_usagerollup rollup
        WHERE rollup.customer_id = kept.customer_id AND rollup.segment_id = kept.segment_id
        AND rollup.meter_id = kept.meter_id AND rollup.hour_at = kept.hour_at
        AND rollup.group_key = kept.group_key
    )
"""

_DOUBLE_EVENTS = """
    SELECT event.customer_id, event.event_id
    FROM metering_archivedevent archived
    JOIN metering_usageevent event
        ON event.customer_id = archived.customer_id AND event.event_id = archived.event_id
"""

_MISCOUNTED_ARCHIVES = """
    SELECT
        archive.number, archive.removed_count, coalesce(kept.event_count, 0), coalesce(noted.event_count, 0)
    FROM metering_eventarchive archive
    LEFT JOIN (
        SELECT archive_number, count(*) AS event_count FROM metering_archivedevent GROUP BY archive_number
    ) kept ON kept.archive_number = archive.number
    LEFT JOIN (
        SELECT archive_id, sum(event_count) AS event_count FROM metering_archivedsegment GROUP BY archive_id
    ) noted ON noted.archive_id = archive.id
    WHERE archive.removed_count <> coalesce(kept.event_count, 0)
    OR archive.removed_count <> coalesce(noted.event_count, 0)
"""

# An event whose data has been archived is known by its key alone, and is not looked for.
_STRAY_VOIDS = """
    SELECT void.customer_id, void.event_id
    FROM metering_eventvoid void
    JOIN metering_usagecorrection correction ON correction.id = void.correction_id
    LEFT JOIN metering_usageevent event
        ON event.customer_id = void.customer_id AND event.event_id = void.event_id
    WHERE correction.customer_id <> void.customer_id OR event.uid IS NOT NULL AND (
        event.uid <> void.event_uid OR event.segment_id IS DISTINCT FROM void.segment_id
    )
"""

_MISCOUNTED_CORRECTIONS = """
    SELECT correction.id, correction.event_count, count(void.id)
    FROM metering_usagecorrection correction
    LEFT JOIN metering_eventvoid void ON void.correction_id = correction.id
    GROUP BY correction.id
    HAVING correction.event_count <> count(void.id)
"""


def check_owners() -> Iterator[str]:
    """Find events and rollups that are not those of their customer and segment."""
    for customer_id, event_id in _read(_STRAY_EVENTS):
        yield f"Event {event_id!r} of customer {customer_id} is in a segment that is not theirs."
    for customer_id, segment_id in _read(_STRAY_ROLLUPS):
        yield f"Segment {segment_id} of customer {customer_id} has rollups but no events."
    for customer_id, segment_id, meter_id in _read(_STRAY_VALUES):
        yield f"Segment {segment_id} of customer {customer_id} has values of meter {meter_id} but no rollups."


def check_rollups() -> Iterator[str]:
    """Find rollups that are not what their events add up to.

    That holds for the meters that a segment's plan charges for, which are older than any event in it. A meter
    that was made later has counted since then, so its rollups can only be less. Of events that have been
    archived, only the sums are known: where there are such, the sums of a segment are compared.
    """
    rules = group_rules(build_rule(meter) for meter in Meter.objects.all())
    for customer_id in _list_customers():
        segment_ids = _list_segments(customer_id)
        timezones = read_timezones(segment_ids)
        events = iterate_counted_events(customer_id=customer_id)
        expected = recount(
            (event for event in events if event.segment_id in timezones),  # Others are strays: see above.
            rules=rules,
            timezones=timezones,
        )
        found = read_rolled_up(customer_id=customer_id)
        removed = read_removed_sums(segment_ids)
        archived_ids = {key.segment_id for key in removed}
        charged = read_charged(Segment.objects.filter(pk__in=segment_ids))

        def is_charged(key: RollupKey | SegmentMeter, charged: ChargedMeters = charged) -> bool:
            return key.meter_id in charged.get(key.segment_id, ())

        for key, kept, due in find_differences(found, expected, is_charged=is_charged):
            if key.segment_id not in archived_ids:
                yield (
                    f"Customer {customer_id}, segment {key.segment_id}, meter {key.meter_id}, "
                    f"{key.hour_at:%F %H:%M}, group {key.group_key!r}: there are {due.event_count} events of "
                    f"{due.total}, rolled up as {kept.event_count} of {kept.total}."
                )
        for total, kept, due in find_differences(
            sum_up(_choose(found, archived_ids)),
            add_sums(sum_up(_choose(expected, archived_ids)), removed),
            is_charged=is_charged,
        ):
            yield (
                f"Customer {customer_id}, segment {total.segment_id}, meter {total.meter_id}: there are "
                f"{due.event_count} events of {due.total} with those in archives, rolled up as "
                f"{kept.event_count} of {kept.total}."
            )


def check_corrections() -> Iterator[str]:
    """Find corrections that are not about the events that they say."""
    for customer_id, event_id in _read(_STRAY_VOIDS):
        yield f"The void of event {event_id!r} of customer {customer_id} does not agree with the event."
    for correction_id, stated, found in _read(_MISCOUNTED_CORRECTIONS):
        yield f"Correction {correction_id} is about {stated} events, and has taken back {found}."


def check_archives() -> Iterator[str]:
    """Find archived events whose ids are not kept, or that are still there."""
    for customer_id, event_id in _read(_DOUBLE_EVENTS):
        yield f"Event {event_id!r} of customer {customer_id} is archived, and still there."
    for number, removed, kept, noted in _read(_MISCOUNTED_ARCHIVES):
        yield f"Archive {number} has removed {removed} events; {kept} ids are kept, {noted} are noted."


def register() -> None:
    """Have `check_invariants` run the checks of this app."""
    invariants.register("events and rollups are in a segment of their customer", check_owners)
    invariants.register("rollups equal what their events add up to", check_rollups)
    invariants.register("archived events are gone, and their ids kept", check_archives)
    invariants.register("corrections are about events of their customer", check_corrections)


def _list_customers() -> list[UUID]:
    """List the customers who have usage: by events, by archived ones, or by rollups alone."""
    owners = [
        UsageEvent.objects.filter(segment_id__isnull=False),
        ArchivedSegment.objects.all(),
        UsageRollup.objects.all(),
    ]
    return sorted(_list_distinct(owners, "customer_id"))


def _list_segments(customer_id: UUID) -> set[UUID]:
    """List the segments in which a customer has events, archived ones too, or rollups."""
    owned = [
        UsageEvent.objects.filter(customer_id=customer_id, segment_id__isnull=False),
        ArchivedSegment.objects.filter(customer_id=customer_id),
        UsageRollup.objects.filter(customer_id=customer_id),
    ]
    return _list_distinct(owned, "segment_id")


def _list_distinct(querysets: Sequence[QuerySet[Any]], name: str) -> set[UUID]:
    """List the values of a column in several tables."""
    first, *others = (queryset.values_list(name) for queryset in querysets)
    return {value for (value,) in first.union(*others)}


def _choose(
    accumulators: Mapping[RollupKey, Accumulator], segment_ids: Collection[UUID]
) -> dict[RollupKey, Accumulator]:
    return {key: found for key, found in accumulators.items() if key.segment_id in segment_ids}


def _read(sql: str) -> Iterator[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        yield from cursor
