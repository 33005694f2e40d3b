"""Reading usage over time: by hour or day of a period, and in windows, which may reach over several periods.

Flows add up over the parts. A level is measured in each part for itself, over all of it, also where the part
has several segments or periods: shares of a period matter for money alone. A level that is weighted by time
goes on from part to part; where the meter does not carry over, it falls back to zero with each period, and
with the subscription's end in any case.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import Q

from billing_project.core.errors import InvalidInput
from billing_project.core.money import EXACT
from billing_project.core.periods import floor_to_hour
from catalog.models import Meter
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.instants import count_microseconds
from metering.aggregation.rules import MeterRule
from metering.aggregation.types import Accumulated, Span, State
from metering.meters import build_rule, group_rules
from metering.models import UsageEvent
from metering.queries.ahead import hold_back_changes
from metering.queries.choices import EVERYTHING, UsageChoice, choose_meters
from metering.queries.events import PeriodName, get_usage_period
from metering.queries.rollups import Grouping, Place, RolledUp, Selection, read_accumulated, read_levels
from metering.queries.usage import (
    MeterSummary,
    MeterUsage,
    is_carried_over,
    list_earlier_segment_ids,
    list_metered,
    list_parts,
    measure_accumulated,
    summarize,
)
from metering.recounting import iterate_counted_events, recount
from metering.windows import Granularity, Window, WindowKind, next_hour, part
from subscriptions.models import Period, Segment, Subscription
from subscriptions.queries import list_segments

MAX_BUCKETS = 800
# So many events of a sliding window's first, partial hour are counted anew; with more, it begins on the hour.
MAX_RECOUNTED_EVENTS = 5_000
_HOUR = timedelta(hours=1)
_EVER = datetime(1, 1, 1, tzinfo=UTC)


class TooManyBuckets(InvalidInput):
    """The period is too long to be shown this finely."""

    code = "too_many_buckets"


@dataclass(frozen=True, slots=True)
class UsageBucket:
    """The usage of a subscription in a stretch of time, half-open."""

    starts_at: datetime
    ends_at: datetime
    meters: tuple[MeterSummary, ...]


class _Piece(NamedTuple):
    """The part of a period that lies in a bucket; the period's start, if it has come in it."""

    number: int
    begins_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timeline:
    """Periods in a row, with their segments, and the adjoining spans that usage is measured over.

    `bounds` are those of the spans as rollups have them: each is the start of an hour.
    """

    subscription: Subscription
    periods: Sequence[Period]
    segments: Sequence[Segment]
    spans: Sequence[Span]
    bounds: Sequence[datetime]
    at: datetime
    recounted: Mapping[RolledUp, Accumulator] = field(default_factory=dict)

    def select(self, rules: Sequence[MeterRule], grouping: Grouping, *, is_by_period: bool) -> Selection:
        """Select what is rolled up in the spans; each period has a bucket of its own for each if asked to."""
        numbers = {period.pk: number for number, period in enumerate(self.periods)}
        first = {
            segment.pk: numbers[segment.period_id] * len(self.spans) if is_by_period else 0
            for segment in self.segments
        }
        return Selection(
            customer_id=self.subscription.customer_id,
            buckets=first,
            rules=rules,
            grouping=grouping,
            bounds=self.bounds,
            recounted=self.recounted,
        )

    def list_pieces(self, span: Span) -> list[_Piece]:
        """List the parts of periods that lie in a span, in order of time."""
        return [
            _Piece(number, period.starts_at if self.has_come(period.starts_at, span) else None)
            for number, period in enumerate(self.periods)
            if period.starts_at < span.ends_at
            and (span.starts_at < period.ends_at or span.starts_at <= period.starts_at)
        ]

    def has_come(self, instant: datetime, span: Span) -> bool:
        """Tell whether an instant lies in a span, and it is time: a span is measured up to now."""
        return span.starts_at <= instant < span.ends_at and instant <= self.at


def read_usage_series(
    *,
    subscription: Subscription,
    period: Period,
    granularity: Granularity,
    at: datetime,
    choice: UsageChoice = EVERYTHING,
) -> tuple[UsageBucket, ...]:
    """Read what a subscription has used in each local hour or day of a period, also where it is nothing.

    Raises: TooManyBuckets; UnknownMeter; UnknownProperty; TooManyGroups.
    """
    span = Span(period.starts_at, period.ends_at)
    if granularity is Granularity.HOUR and span.ends_at - span.starts_at > MAX_BUCKETS * _HOUR:
        raise TooManyBuckets(f"The period has more than {MAX_BUCKETS} hours.", field="granularity")
    spans = part(span, granularity=granularity, timezone=period.timezone)
    timeline = _Timeline(
        subscription=subscription,
        periods=[period],
        segments=list_parts(period),
        spans=spans,
        bounds=_find_bounds(spans, timezone=period.timezone),
        at=at,
    )
    meters = choose_meters(list_metered(timeline.segments), choice)
    return _read_buckets(timeline, meters, choice)


def read_window_usage(
    *, subscription: Subscription, window: Window, at: datetime, choice: UsageChoice = EVERYTHING
) -> tuple[UsageBucket, ...]:
    """Read what a subscription has used in windows; the last one is that of `at`, the customer's time.

    A sliding window is exact at its start: the events of its first, partial hour are counted anew, unless
    they are more than `MAX_RECOUNTED_EVENTS`; then it begins on the hour, and says so. At its end, events
    that are stamped ahead of the clock count already if their hour has begun.

    Raises: UnknownMeter; UnknownProperty; TooManyGroups.
    """
    timezone = subscription.timezone
    spans = window.list_spans(at=at, timezone=timezone)
    periods = _list_periods(subscription, Span(spans[0].starts_at, spans[-1].ends_at), at=at)
    segments = list_segments([period.pk for period in periods])
    meters = choose_meters(list_metered(segments), choice)
    timeline = _Timeline(
        subscription=subscription,
        periods=periods,
        segments=segments,
        spans=spans,
        bounds=_find_bounds(spans, timezone=timezone),
        at=at,
    )
    if window.kind is WindowKind.SLIDING:
        timeline = _make_exact(timeline, group_rules(map(build_rule, meters)))
    return _read_buckets(timeline, meters, choice)


def _list_periods(subscription: Subscription, span: Span, *, at: datetime) -> list[Period]:
    """List the periods that a span reaches over; if there are none, the current one, for its meters."""
    periods = Period.objects.filter(
        Q(ends_at__gt=span.starts_at) | Q(starts_at__gte=span.starts_at),
        subscription_id=subscription.pk,
        starts_at__lt=span.ends_at,
    )
    return list(periods.order_by("number")) or [
        get_usage_period(subscription_id=subscription.pk, which=PeriodName.CURRENT, at=at)
    ]


def _find_bounds(spans: Sequence[Span], *, timezone: str) -> list[datetime]:
    """Find the hours of rollups at which spans begin, and the one with which the last has ended."""
    if not spans:
        return []
    ends_at = floor_to_hour(spans[-1].ends_at, timezone=timezone)
    if ends_at < spans[-1].ends_at:
        ends_at += _HOUR
    return [*(floor_to_hour(span.starts_at, timezone=timezone) for span in spans), ends_at]


def _make_exact(timeline: _Timeline, rules: Mapping[str, Sequence[MeterRule]]) -> _Timeline:
    """Count the events of the partial hour in which the only span begins anew, or begin on the hour."""
    (span,), timezone = timeline.spans, timeline.subscription.timezone
    full_hour = floor_to_hour(span.starts_at, timezone=timezone)
    if full_hour == span.starts_at:
        return timeline
    edge = Span(span.starts_at, next_hour(span.starts_at, timezone=timezone))
    segments = [
        segment
        for segment in timeline.segments
        if segment.starts_at < edge.ends_at and edge.starts_at <= segment.ends_at
    ]
    customer_id = timeline.subscription.customer_id
    events = UsageEvent.objects.filter(
        customer_id=customer_id,
        segment_id__in=[segment.pk for segment in segments],
        billed_at__gte=edge.starts_at,
        billed_at__lt=edge.ends_at,
    )
    if events[: MAX_RECOUNTED_EVENTS + 1].count() > MAX_RECOUNTED_EVENTS:
        return replace(timeline, spans=[Span(full_hour, span.ends_at)])
    counted = recount(
        (
            event
            for segment in segments
            for event in iterate_counted_events(
                customer_id=customer_id,
                segment_id=segment.pk,
                starts_at=edge.starts_at,
                ends_at=edge.ends_at,
            )
        ),
        rules=rules,
        timezones=dict.fromkeys((segment.pk for segment in segments), timezone),
    )
    return replace(
        timeline,
        bounds=[edge.ends_at, timeline.bounds[-1]],
        recounted={
            (key.segment_id, key.meter_id, edge.ends_at, key.group_key): found
            for key, found in counted.items()
        },
    )


def _read_buckets(
    timeline: _Timeline, meters: Sequence[Meter], choice: UsageChoice
) -> tuple[UsageBucket, ...]:
    """Read the usage in each span of a timeline."""
    if not timeline.spans:  # A period that came to nothing.
        return ()

    def measure(rules: Sequence[MeterRule], grouping: Grouping) -> dict[Place, MeterUsage]:
        weighted = [rule for rule in rules if rule.aggregation.state is State.MOMENTS]
        others = [rule for rule in rules if rule.aggregation.state is not State.MOMENTS]
        accumulated: dict[Place, Accumulated] = {}
        if others:
            accumulated |= read_accumulated(timeline.select(others, grouping, is_by_period=False))
        if weighted:
            accumulated |= _read_weighted(timeline, weighted, grouping)
        return measure_accumulated(accumulated, rules=rules, spans=timeline.spans, at=timeline.at)

    summaries = summarize(meters=meters, choice=choice, bucket_count=len(timeline.spans), measure=measure)
    return tuple(
        UsageBucket(span.starts_at, span.ends_at, summary)
        for span, summary in zip(timeline.spans, summaries, strict=True)
    )


def _read_weighted(
    timeline: _Timeline, rules: Sequence[MeterRule], grouping: Grouping
) -> dict[Place, Accumulated]:
    """Read what meters have added up to whose level is weighted by time, and the level before each span."""
    timeline = _hold_back(timeline, rules)
    found = read_accumulated(timeline.select(rules, grouping, is_by_period=True))
    levels = _read_levels(timeline, rules, grouping)
    carrying = {rule.meter_id for rule in rules if is_carried_over(rule)}
    keys = levels.keys() | {(place.meter_id, place.group_key) for place in found}
    pieces = [timeline.list_pieces(span) for span in timeline.spans]
    accumulated: dict[Place, Accumulated] = {}
    for meter_id, group_key in keys:
        level = levels.get((meter_id, group_key), Decimal(0))
        for bucket, span in enumerate(timeline.spans):
            whole = Accumulated(carried=level)
            for piece in pieces[bucket]:
                if piece.begins_at is not None and piece.number and meter_id not in carrying:
                    whole = _fall_to_zero(whole, at=piece.begins_at)
                own = found.get(Place(piece.number * len(pieces) + bucket, meter_id, group_key))
                if own is not None:
                    whole = _add(whole, own)
            ends_at = timeline.subscription.ends_at
            if ends_at is not None and timeline.has_come(ends_at, span):
                whole = _fall_to_zero(whole, at=ends_at)
            level = EXACT.add(whole.carried, whole.total)
            accumulated[Place(bucket, meter_id, group_key)] = whole
    return accumulated


def _hold_back(timeline: _Timeline, rules: Sequence[MeterRule]) -> _Timeline:
    """Let changes that are stored ahead of now, or of the subscription's end, hold for no time until then."""
    ends_at = timeline.subscription.ends_at or datetime.max.replace(tzinfo=UTC)
    recounted: defaultdict[RolledUp, Accumulator] = defaultdict(Accumulator)
    held_back = (
        hold_back_changes(
            Selection(customer_id=timeline.subscription.customer_id, buckets={segment.pk: 0}, rules=rules),
            spans=[Span(segment.starts_at, ends_at)],
            timezone=timeline.subscription.timezone,
            at=timeline.at,
        )
        for segment in timeline.segments
        if segment.ends_at >= min(timeline.at - _HOUR, ends_at)
    )
    for counted in (timeline.recounted, *held_back):
        for key, found in counted.items():
            recounted[key].merge(found)
    return replace(timeline, recounted=recounted)


def _read_levels(
    timeline: _Timeline, rules: Sequence[MeterRule], grouping: Grouping
) -> dict[tuple[UUID, str], Decimal]:
    """Read the levels with which the first span begins.

    They are made of what its period has added up to before, and for meters that carry over all earlier ones.
    What was recounted is not before the span, though the rollup that it is in begins before.
    """
    ends_at = timeline.subscription.ends_at
    if ends_at is not None and ends_at <= timeline.spans[0].starts_at:
        return {}
    first = timeline.periods[0]
    before = Selection(
        customer_id=timeline.subscription.customer_id,
        buckets={segment.pk: 0 for segment in timeline.segments if segment.period_id == first.pk},
        rules=rules,
        grouping=grouping,
        bounds=[_EVER, timeline.bounds[0]],
        recounted=dict(_take_back(timeline.recounted)),
    )
    levels = read_levels(before)
    carrying = [rule for rule in rules if is_carried_over(rule)]
    if carrying:
        earlier = dict.fromkeys(list_earlier_segment_ids(first), 0)
        selection = replace(before, buckets=earlier, rules=carrying, bounds=None, recounted={})
        for key, level in read_levels(selection).items():
            levels[key] = EXACT.add(levels.get(key, Decimal(0)), level)
    return levels


def _take_back(recounted: Mapping[RolledUp, Accumulator]) -> Iterator[tuple[RolledUp, Accumulator]]:
    """Turn what was recounted into what takes it out of the hour before the bound that it was put at."""
    for (segment_id, meter_id, hour_at, group_key), found in recounted.items():
        taken_back = Accumulator(total=EXACT.minus(found.total), event_count=-found.event_count)
        yield (segment_id, meter_id, hour_at - _HOUR, group_key), taken_back


def _fall_to_zero(accumulated: Accumulated, *, at: datetime) -> Accumulated:
    """Take the whole level away at an instant, as an event would."""
    change = EXACT.minus(EXACT.add(accumulated.carried, accumulated.total))
    return replace(
        accumulated,
        total=EXACT.add(accumulated.total, change),
        moment=EXACT.add(accumulated.moment, EXACT.multiply(change, count_microseconds(at))),
    )


def _add(accumulated: Accumulated, other: Accumulated) -> Accumulated:
    """Add what the events of another stretch in the same span have come to."""
    return replace(
        accumulated,
        total=EXACT.add(accumulated.total, other.total),
        event_count=accumulated.event_count + other.event_count,
        late_total=EXACT.add(accumulated.late_total, other.late_total),
        late_count=accumulated.late_count + other.late_count,
        moment=EXACT.add(accumulated.moment, other.moment),
    )
