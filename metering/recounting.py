"""Counting stored events anew: what rollups should say. Rebuilding, checking and verifying go by this."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q

from billing_project.core.periods import floor_to_hour
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.rules import MeterRule
from metering.ingest.matching import count_stored_event
from metering.meters import group_rules
from metering.models import UsageEvent, UsageRollup, UsageValue
from metering.models.corrections import leave_out_voided
from subscriptions.models import Segment

EVENTS_PER_READ = 2_000
# Ingest for the subscription waits while a stretch is counted: a fraction of a second for so many events.
EVENTS_PER_STRETCH = 20_000
JOINED_STRETCHES_LIMIT = 100
_HOUR = timedelta(hours=1)
_NOTHING = (Accumulator(), Accumulator(moment=Decimal(0)))
_AROUND = 3 * _HOUR


class CountedEvent(NamedTuple):
    """What counting needs to know of a stored event."""

    segment_id: UUID
    event_type: str
    timestamp: datetime
    billed_at: datetime
    is_late: bool
    properties: Mapping[str, object]


class Stretch(NamedTuple):
    """A half-open stretch of time that begins and ends on full hours; without a bound it has no end there."""

    starts_at: datetime | None
    ends_at: datetime | None


ALWAYS = Stretch(None, None)


class RollupKey(NamedTuple):
    """What a rollup is about, all its stripes together."""

    segment_id: UUID
    meter_id: UUID
    hour_at: datetime
    group_key: str


class Comparison(NamedTuple):
    """What events add up to, and where rollups say something else."""

    due: Mapping[RollupKey, Accumulator]
    wrong: Sequence[RollupKey]


def iterate_counted_events(
    *,
    customer_id: UUID,
    segment_id: UUID | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    event_types: Collection[str] | None = None,
) -> Iterator[CountedEvent]:
    """Read the events of a customer that count, or some of them, a few at a time; voided ones do not."""
    events = leave_out_voided(UsageEvent.objects.filter(customer_id=customer_id, segment_id__isnull=False))
    if segment_id is not None:
        events = events.filter(segment_id=segment_id)
    if starts_at is not None:
        events = events.filter(billed_at__gte=starts_at)
    if ends_at is not None:
        events = events.filter(billed_at__lt=ends_at)
    if event_types is not None:
        events = events.filter(event_type__in=event_types)
    rows = events.values_list(*CountedEvent._fields).iterator(chunk_size=EVENTS_PER_READ)
    yield from map(CountedEvent._make, rows)


def recount(
    events: Iterable[CountedEvent],
    *,
    rules: Mapping[str, Sequence[MeterRule]],
    timezones: Mapping[UUID, str],
) -> dict[RollupKey, Accumulator]:
    """Add events up by segment, meter, hour and group. `timezones` are those of the segments' periods."""
    accumulators: defaultdict[RollupKey, Accumulator] = defaultdict(Accumulator)
    for event in events:
        counted = count_stored_event(
            event.properties, timestamp=event.timestamp, rules=rules.get(event.event_type, ())
        )
        if not counted:
            continue
        hour_at = floor_to_hour(event.billed_at, timezone=timezones[event.segment_id])
        for item in counted:
            key = RollupKey(event.segment_id, item.rule.meter_id, hour_at, item.group_key)
            accumulators[key].add(
                item.contribution,
                state=item.rule.aggregation.state,
                billed_at=event.billed_at,
                is_late=event.is_late,
            )
    return dict(accumulators)


def read_timezones(segment_ids: Collection[UUID]) -> dict[UUID, str]:
    """Read the time zone in which each segment's period is reckoned."""
    segments = Segment.objects.filter(pk__in=segment_ids)
    return dict(segments.values_list("pk", "period__timezone"))


def match_rollups(
    *,
    customer_id: UUID,
    segment_id: UUID | None = None,
    stretch: Stretch = ALWAYS,
    meter_ids: Collection[UUID] | None = None,
) -> Q:
    """Write the condition that a customer's rollups, or some of them, satisfy."""
    conditions = Q(customer_id=customer_id)
    if segment_id is not None:
        conditions &= Q(segment_id=segment_id)
    if stretch.starts_at is not None:
        conditions &= Q(hour_at__gte=stretch.starts_at)
    if stretch.ends_at is not None:
        conditions &= Q(hour_at__lt=stretch.ends_at)
    if meter_ids is not None:
        conditions &= Q(meter_id__in=meter_ids)
    return conditions


def read_rolled_up(
    *,
    customer_id: UUID,
    segment_id: UUID | None = None,
    stretch: Stretch = ALWAYS,
    meter_ids: Collection[UUID] | None = None,
) -> dict[RollupKey, Accumulator]:
    """Read what a customer's rollups say, or some of them, the stripes of each put together.

    Those that say nothing are left out: voided events leave such.
    """
    accumulators: defaultdict[RollupKey, Accumulator] = defaultdict(Accumulator)
    conditions = match_rollups(
        customer_id=customer_id, segment_id=segment_id, stretch=stretch, meter_ids=meter_ids
    )
    for rollup in UsageRollup.objects.filter(conditions).iterator():
        key = RollupKey(rollup.segment_id, rollup.meter_id, rollup.hour_at, rollup.group_key)
        leader = None
        if rollup.lead_rank is not None and rollup.lead_value is not None:
            leader = (rollup.lead_rank, rollup.lead_value)
        accumulators[key].merge(
            Accumulator(
                total=rollup.total,
                event_count=rollup.event_count,
                late_total=rollup.late_total,
                late_count=rollup.late_count,
                moment=rollup.moment,
                leader=leader,
            )
        )
    for kept in UsageValue.objects.filter(conditions, event_count__gt=0).iterator():
        key = RollupKey(kept.segment_id, kept.meter_id, kept.hour_at, kept.group_key)
        accumulators[key].members[kept.value] += kept.event_count
    return {key: found for key, found in accumulators.items() if found not in _NOTHING}


def compare(segment: Segment, *, stretch: Stretch, rules: Sequence[MeterRule]) -> Comparison:
    """Compare what a stretch of a segment has been rolled up to with what its events add up to.

    Nobody may be putting events into it meanwhile, unless it is read as it was at one moment.
    """
    rules_by_type = group_rules(rules)
    events = iterate_counted_events(
        customer_id=segment.subscription.customer_id,
        segment_id=segment.pk,
        starts_at=stretch.starts_at,
        ends_at=stretch.ends_at,
        event_types=rules_by_type.keys(),
    )
    due = recount(events, rules=rules_by_type, timezones={segment.pk: segment.period.timezone})
    kept = read_rolled_up(
        customer_id=segment.subscription.customer_id,
        segment_id=segment.pk,
        stretch=stretch,
        meter_ids=[rule.meter_id for rule in rules],
    )
    wrong = [key for key in sorted(due.keys() | kept.keys()) if due.get(key) != kept.get(key)]
    return Comparison(due, wrong)


def find_stretch(segment: Segment, *, starts_at: datetime | None) -> Stretch:
    """Find the stretch of a segment that begins there: it ends with the hour in which it has enough events.

    Where there are no more, it goes on for ever, so that rollups without an event are in one, too.
    """
    events = UsageEvent.objects.filter(
        customer_id=segment.subscription.customer_id, segment_id=segment.pk, billed_at__isnull=False
    )
    if starts_at is not None:
        events = events.filter(billed_at__gte=starts_at)
    instants = events.order_by("billed_at").values_list("billed_at", flat=True)
    last_at = next(iter(instants[EVENTS_PER_STRETCH - 1 : EVENTS_PER_STRETCH]), None)
    return Stretch(
        starts_at, None if last_at is None else _find_next_hour(last_at, timezone=segment.period.timezone)
    )


def iterate_stretches(segment: Segment) -> Iterator[Stretch]:
    """Go through the stretches of a segment, which cover all time together."""
    stretch = find_stretch(segment, starts_at=None)
    yield stretch
    while stretch.ends_at is not None:
        stretch = find_stretch(segment, starts_at=stretch.ends_at)
        yield stretch


def _find_next_hour(instant: datetime, *, timezone: str) -> datetime:
    """Find an instant, later than this, that no local hour goes across.

    Where the clock is put forward or back by half an hour, some hours begin while another is under way.
    """
    begun_at = floor_to_hour(instant + _HOUR, timezone=timezone)
    while floor_to_hour(begun_at, timezone=timezone) != begun_at:
        begun_at = floor_to_hour(begun_at + _HOUR, timezone=timezone)
    return begun_at


def join_hours(hours: Iterable[datetime], *, timezone: str) -> list[Stretch]:
    """Put hours that touch together into stretches; if there were too many, all into one."""
    bounds: list[list[datetime]] = []
    for hour_at in sorted(set(hours)):
        starts_at, ends_at = _bound(hour_at, timezone=timezone)
        if bounds and starts_at <= bounds[-1][1]:
            bounds[-1][1] = max(ends_at, bounds[-1][1])
        else:
            bounds.append([starts_at, ends_at])
    if len(bounds) > JOINED_STRETCHES_LIMIT:
        return [Stretch(bounds[0][0], bounds[-1][1])]
    return [Stretch(starts_at, ends_at) for starts_at, ends_at in bounds]


def _bound(hour_at: datetime, *, timezone: str) -> tuple[datetime, datetime]:
    """Find a stretch of whole hours around one: where the clock was changed, they may overlap."""
    ends_at = hour_at + _HOUR
    if all(floor_to_hour(bound, timezone=timezone) == bound for bound in (hour_at, ends_at)):
        return hour_at, ends_at
    return (
        floor_to_hour(hour_at - _AROUND, timezone=timezone),
        floor_to_hour(hour_at + _AROUND, timezone=timezone),
    )
