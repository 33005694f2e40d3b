"""Verifying usage: the numbers of a period, computed once more from the stored events and explained by them.

What is written here takes as long as there are events. Read it within `reading_snapshot`, or hold the
subscription's slot: an event that comes in between two reads would look like a mistake.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import chain
from uuid import UUID

from django.db.models import Exists, OuterRef

from billing_project.core.money import EXACT
from catalog.models import Meter
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.rules import NO_GROUP, MeterRule
from metering.aggregation.types import Accumulated, Contribution, Span
from metering.meters import build_rule, group_rules
from metering.models import EventVoid, UsageEvent
from metering.queries import NO_USAGE, GroupUsage, MeterUsage
from metering.queries.ahead import hold_back_changes
from metering.queries.archives import check_not_archived
from metering.queries.contributions import explain_contribution, name_groups, read_event_groups
from metering.queries.corrections import read_charged
from metering.queries.rollups import Place, Selection
from metering.queries.usage import (
    is_carried_over,
    list_earlier_segment_ids,
    list_metered,
    measure_buckets,
    read_bucket_usage,
)
from metering.recounting import (
    ALWAYS,
    RollupKey,
    compare,
    iterate_counted_events,
    read_timezones,
    recount,
)
from subscriptions.models import Period, Segment, Subscription
from subscriptions.queries import list_segments

Levels = dict[tuple[UUID, str], Decimal]

EVENTS_PER_READ = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedUsage:
    """What a segment is billed for on a meter: as rolled up, and as counted anew from the events.

    `groups` are those of the meter, counted anew. `wrong` are the rollups that are not what their events add
    up to, even if the sum of all is right.
    """

    segment: Segment
    meter: Meter
    rule: MeterRule
    rolled_up: MeterUsage
    recounted: MeterUsage
    groups: tuple[GroupUsage, ...]
    wrong: tuple[RollupKey, ...]

    @property
    def is_right(self) -> bool:
        """Whether the rollups say what the events do."""
        return self.rolled_up == self.recounted and not self.wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedEvent:
    """What an event adds to a meter, or why it adds nothing. Without a meter, it adds nothing to any."""

    event: UsageEvent
    meter: Meter | None = None
    groups: Mapping[str, str | None] | None = None
    contribution: Contribution | None = None
    reason: str = ""


def verify_usage(*, subscription: Subscription, period: Period, at: datetime) -> tuple[VerifiedUsage, ...]:
    """Compute what each segment of a period is billed for on each meter, from rollups and from events.

    `at` is the customer's time, up to which a level that goes on is measured.

    Raises: UsageArchived if events that it takes are not in the database any more.
    """
    segments = list_segments([period.pk])
    check_not_archived([segment.pk for segment in segments])
    charged = read_charged(segments)
    meters = {meter.pk: meter for meter in list_metered(segments)}
    rules = {meter.pk: build_rule(meter) for meter in meters.values()}
    compared = {
        segment.pk: compare(
            segment,
            stretch=ALWAYS,
            rules=[rule for meter_id, rule in rules.items() if meter_id in charged[segment.pk]],
        )
        for segment in segments
    }
    selection = Selection(
        customer_id=subscription.customer_id,
        buckets={segment.pk: number for number, segment in enumerate(segments)},
        rules=list(rules.values()),
    )
    spans = [Span(segment.starts_at, segment.ends_at) for segment in segments]
    due: dict[RollupKey, Accumulator] = dict(
        chain.from_iterable(one.due.items() for one in compared.values())
    )
    recounted = _measure(due, selection=selection, period=period, spans=spans, at=at)
    rolled_up = read_bucket_usage(period=period, selection=selection, spans=spans, at=at)
    return tuple(
        VerifiedUsage(
            segment=segment,
            meter=meter,
            rule=rules[meter.pk],
            rolled_up=rolled_up.get(Place(number, meter.pk), NO_USAGE),
            recounted=recounted.get(Place(number, meter.pk), NO_USAGE),
            groups=_list_groups(recounted, number=number, rule=rules[meter.pk]),
            wrong=tuple(key for key in compared[segment.pk].wrong if key.meter_id == meter.pk),
        )
        for number, segment in enumerate(segments)
        for meter in meters.values()
        if meter.pk in charged[segment.pk]
    )


def explain_events(*, subscription: Subscription, period: Period) -> Iterator[ExplainedEvent]:
    """Go through the events that a period is billed for, and those of its time that came too late for it.

    An event is there once for each meter of the plan that looks at its type.
    """
    segments = list_segments([period.pk])
    charged = read_charged(segments)
    meters = {meter.pk: meter for meter in list_metered(segments)}
    for segment in segments:
        rules = group_rules(build_rule(meters[meter_id]) for meter_id in sorted(charged[segment.pk]))
        for event, is_void in _iterate_events(subscription, segment):
            if is_void:
                yield ExplainedEvent(event=event, reason="It was taken back.")
            else:
                yield from _explain(event, rules.get(event.event_type, ()), meters)
    yield from _explain_late(subscription, period)


def _measure(
    due: Mapping[RollupKey, Accumulator],
    *,
    selection: Selection,
    period: Period,
    spans: Sequence[Span],
    at: datetime,
) -> dict[Place, MeterUsage]:
    """Measure what events add up to, in each segment as a whole and by group."""
    aggregations = {rule.meter_id: rule.aggregation for rule in selection.rules}
    parts: defaultdict[Place, Accumulator] = defaultdict(Accumulator)
    held_back = hold_back_changes(selection, spans=spans, timezone=period.timezone, at=at)
    for (segment_id, meter_id, _, own_key), found in chain(due.items(), held_back.items()):
        for group_key in {NO_GROUP, own_key}:
            parts[Place(selection.buckets[segment_id], meter_id, group_key)].merge(found)
    accumulated: dict[Place, Accumulated] = {
        place: found.read(aggregations[place.meter_id]) for place, found in parts.items()
    }
    levels = _recount_levels(period, selection)
    return measure_buckets(accumulated, levels, period=period, rules=selection.rules, spans=spans, at=at)


def _recount_levels(period: Period, selection: Selection) -> Levels:
    """Count anew at what levels earlier periods have left the meters that carry them over.

    Raises: UsageArchived.
    """
    carrying = group_rules(rule for rule in selection.rules if is_carried_over(rule))
    levels: defaultdict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
    if not carrying:
        return {}
    segment_ids = list_earlier_segment_ids(period)
    check_not_archived(segment_ids)
    timezones = read_timezones(segment_ids)
    for segment_id in segment_ids:
        events = iterate_counted_events(
            customer_id=selection.customer_id, segment_id=segment_id, event_types=carrying.keys()
        )
        for key, found in recount(events, rules=carrying, timezones=timezones).items():
            for group_key in {NO_GROUP, key.group_key}:
                place = key.meter_id, group_key
                levels[place] = EXACT.add(levels[place], found.total)
    return dict(levels)


def _list_groups(
    usage: Mapping[Place, MeterUsage], *, number: int, rule: MeterRule
) -> tuple[GroupUsage, ...]:
    places = sorted(place for place in usage if place[:2] == (number, rule.meter_id) and place.group_key)
    return tuple(GroupUsage(name_groups(place.group_key, rule), usage[place]) for place in places)


def _iterate_events(subscription: Subscription, segment: Segment) -> Iterator[tuple[UsageEvent, bool]]:
    """Read the events of a segment in the order in which they count, each with whether it was taken back."""
    voids = EventVoid.objects.filter(customer_id=OuterRef("customer_id"), event_id=OuterRef("event_id"))
    events = UsageEvent.objects.filter(customer_id=subscription.customer_id, segment_id=segment.pk)
    ordered = events.annotate(is_void=Exists(voids)).order_by("billed_at", "event_id")
    for event in ordered.iterator(chunk_size=EVENTS_PER_READ):
        yield event, event.is_void


def _explain(
    event: UsageEvent, rules: Sequence[MeterRule], meters: Mapping[UUID, Meter]
) -> Iterator[ExplainedEvent]:
    if not rules:
        yield ExplainedEvent(event=event, reason="The plan charges for no events of this type.")
    for rule in rules:
        meter, found = meters[rule.meter_id], explain_contribution(event, rule)
        if isinstance(found, str):
            yield ExplainedEvent(event=event, meter=meter, reason=found)
        else:
            groups = read_event_groups(event, rule)
            yield ExplainedEvent(event=event, meter=meter, groups=groups, contribution=found)


def _explain_late(subscription: Subscription, period: Period) -> Iterator[ExplainedEvent]:
    """Go through the events of the period's time that came when it was closed: they open a later segment."""
    later = Segment.objects.filter(subscription=subscription, period__number__gt=period.number)
    for segment in later.select_related("period").order_by("starts_at").iterator(EVENTS_PER_READ):
        events = UsageEvent.objects.filter(
            customer_id=subscription.customer_id,
            segment_id=segment.pk,
            billed_at=segment.starts_at,
            timestamp__lt=period.ends_at,
        )
        if period.number:
            events = events.filter(timestamp__gte=period.starts_at)
        reason = f"It came when this period was closed: it is billed in period {segment.period.number}."
        for event in events.order_by("event_id").iterator(chunk_size=EVENTS_PER_READ):
            yield ExplainedEvent(event=event, reason=reason)
