"""Reading usage: what a segment, a period or a part of one comes to.

Rollups are read, never events, but for the few that are ahead of their instant where a level is weighted by
time. A quantity stays exact until it has its share of the period; then it is rounded, if it was computed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from django.db.models import DateTimeField, Value
from django.db.models.functions import Coalesce

from billing_project.core.errors import NotFound
from billing_project.core.money import EXACT, Rounding, round_quantity
from catalog.models import Meter
from metering.aggregation.rules import MeterRule, read_group
from metering.aggregation.types import Accumulated, Measured, Span, State
from metering.aggregation.weighted_sum import WeightedSum
from metering.meters import build_rule
from metering.queries.ahead import hold_back_changes
from metering.queries.choices import EVERYTHING, UsageChoice, choose_meters
from metering.queries.rollups import (
    Grouping,
    Place,
    Selection,
    list_shown_properties,
    read_accumulated,
    read_levels,
)
from subscriptions.models import Period, Segment, Subscription
from subscriptions.proration import share_of_days


@dataclass(frozen=True, slots=True)
class MeterUsage:
    """What events come to on a meter; `late_quantity` is the part that missed its period.

    A level has no late part: it cannot be said what it would have been. One that is weighted by time is its
    area so far over all of the time, also that to come: it grows, as what is billed does.
    """

    quantity: Decimal
    late_quantity: Decimal
    event_count: int


@dataclass(frozen=True, slots=True)
class GroupUsage:
    """The usage of one group of a meter; a value is None for events that lack the property."""

    values: Mapping[str, str | None]
    usage: MeterUsage


@dataclass(frozen=True, slots=True)
class MeterSummary:
    """The usage of a meter, and, if it was asked for and it has them, that of each of its groups."""

    meter: Meter
    usage: MeterUsage
    groups: tuple[GroupUsage, ...] | None = None


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """The usage of a subscription in a period: every meter of the plan, in its order, whether used or not."""

    period: Period
    meters: tuple[MeterSummary, ...]


# Written out, as usage is read so often: the ORM takes longer to write it than the database to answer.
_METERED = """
    SELECT meter.*
    FROM catalog_price AS price JOIN catalog_meter AS meter ON meter.id = price.meter_id
    WHERE price.plan_version_id = ANY(%(version_ids)s)
    ORDER BY array_position(%(version_ids)s, price.plan_version_id), price.position, price.id
"""

NO_USAGE = MeterUsage(quantity=Decimal(0), late_quantity=Decimal(0), event_count=0)

# What part of what was measured counts, by meter and bucket. Where nothing is said, all of it does.
Shares = Mapping[tuple[UUID, int], Fraction]
WHOLE = Fraction(1)


def get_subscription_now(*, subscription_id: UUID, real_now: datetime) -> tuple[Subscription, datetime]:
    """Read a subscription, and what time it is for its customer, in one query.

    Raises: NotFound.
    """
    now_at = Coalesce("customer__test_clock__now_at", Value(real_now, output_field=DateTimeField()))
    for subscription in Subscription.objects.filter(pk=subscription_id).annotate(now_at=now_at):
        return subscription, subscription.now_at
    raise NotFound(f"There is no subscription {subscription_id}.")


def read_segment_usage(
    *,
    customer_id: UUID,
    period: Period,
    segments: Sequence[Segment],
    meters: Iterable[Meter],
    at: datetime,
) -> dict[tuple[UUID, UUID], MeterUsage]:
    """Read the usage that each segment of a period is billed for, by segment and meter; nothing is left out.

    A level counts for the segment's share of the period's days, so that two segments do not charge for it
    twice; one that is weighted by time, for its share of the nominal period. That one comes to its area up to
    `at`, the customer's time, over the whole of the segment: time that has not passed adds nothing.
    """
    buckets, spans = _lay_out(segments)
    rules = [build_rule(meter) for meter in meters]
    selection = Selection(customer_id=customer_id, buckets=buckets, rules=rules)
    measured = read_bucket_usage(period=period, selection=selection, spans=spans, at=at)
    return {(segments[place.bucket].pk, place.meter_id): usage for place, usage in measured.items()}


def read_usage_summary(
    *, subscription: Subscription, period: Period, at: datetime, choice: UsageChoice = EVERYTHING
) -> UsageSummary:
    """Read what a subscription has used in a period so far, over all its segments.

    That is what its segments are billed for, added up; but a level that is not weighted by time is that of
    the whole period.

    Raises: UnknownMeter; UnknownProperty; TooManyGroups.
    """
    segments = list_parts(period)
    meters = choose_meters(list_metered(segments), choice)
    parted = _lay_out(segments)
    whole = dict.fromkeys(parted[0], 0), [Span(period.starts_at, period.ends_at)]

    def measure(rules: Sequence[MeterRule], grouping: Grouping) -> dict[Place, MeterUsage]:
        weighted, others = _part_weighted(rules)
        usage: dict[Place, MeterUsage] = {}
        for own, (buckets, spans) in ((others, whole), (weighted, parted)):
            if own:
                selection = Selection(
                    customer_id=subscription.customer_id, buckets=buckets, rules=own, grouping=grouping
                )
                found = read_bucket_usage(period=period, selection=selection, spans=spans, at=at)
                usage |= _add_up(found)
        return usage

    (summarized,) = summarize(meters=meters, choice=choice, bucket_count=1, measure=measure)
    return UsageSummary(period=period, meters=summarized)


def list_parts(period: Period) -> list[Segment]:
    """List the segments of a period, in order, with no more than says what they charge for, and when."""
    wanted = period.segments.only("period_id", "plan_version_id", "starts_at", "ends_at")
    return list(wanted.order_by("position"))


def list_metered(segments: Sequence[Segment]) -> list[Meter]:
    """List the meters that the plan versions of segments charge for, each once, in the order of the plan."""
    version_ids = list(dict.fromkeys(segment.plan_version_id for segment in segments))
    meters: dict[UUID, Meter] = {}
    for meter in Meter.objects.raw(_METERED, {"version_ids": version_ids}):
        meters.setdefault(meter.pk, meter)
    return list(meters.values())


def measure_accumulated(
    accumulated: Mapping[Place, Accumulated],
    *,
    rules: Sequence[MeterRule],
    spans: Sequence[Span],
    at: datetime,
    shares: Shares | None = None,
) -> dict[Place, MeterUsage]:
    """Measure what events have added up to in each bucket; `spans` are the buckets' times, up to `at`.

    That is where quantities are rounded, once, after each has its share.
    """
    aggregations = {rule.meter_id: rule.aggregation for rule in rules}
    usage: dict[Place, MeterUsage] = {}
    for place, found in accumulated.items():
        aggregation = aggregations[place.meter_id]
        measured = aggregation.measure(found, span=spans[place.bucket].until(at))
        share = WHOLE if shares is None else shares[place.meter_id, place.bucket]
        usage[place] = MeterUsage(
            quantity=_round(measured, share),
            late_quantity=found.late_total if aggregation.is_flow else Decimal(0),
            event_count=found.event_count,
        )
    return usage


def is_carried_over(rule: MeterRule) -> bool:
    """Tell whether a meter's level goes on from one period to the next."""
    return isinstance(rule.aggregation, WeightedSum) and rule.aggregation.carries_over


def measure_buckets(
    accumulated: Mapping[Place, Accumulated],
    levels: Mapping[tuple[UUID, str], Decimal],
    *,
    period: Period,
    rules: Sequence[MeterRule],
    spans: Sequence[Span],
    at: datetime,
) -> dict[Place, MeterUsage]:
    """Measure what events have added up to in each bucket of a period, as it is billed.

    `levels` are those at the period's start, by meter and group; `spans` are the buckets' times, in order.
    """
    weighted, _ = _part_weighted(rules)
    carried = _carry(accumulated, levels, rules=weighted, bucket_count=len(spans))
    return measure_accumulated(
        {**accumulated, **carried},
        rules=rules,
        spans=spans,
        at=at,
        shares={
            (rule.meter_id, bucket): _find_share(rule, span=span, period=period, at=at)
            for rule in rules
            for bucket, span in enumerate(spans)
        },
    )


def list_earlier_segment_ids(period: Period) -> list[UUID]:
    """List the segments of the subscription's earlier periods: what they leave behind may carry over."""
    earlier = Segment.objects.filter(subscription_id=period.subscription_id, period__number__lt=period.number)
    return list(earlier.values_list("pk", flat=True))


def read_bucket_usage(
    *, period: Period, selection: Selection, spans: Sequence[Span], at: datetime
) -> dict[Place, MeterUsage]:
    """Read what is billed for each bucket of a selection within a period; `spans` are the buckets' times.

    Of levels that are weighted by time, each segment has a bucket of its own, in order.
    """
    held_back = hold_back_changes(selection, spans=spans, timezone=period.timezone, at=at)
    return measure_buckets(
        read_accumulated(replace(selection, recounted=held_back)),
        _read_carried(period=period, selection=selection),
        period=period,
        rules=selection.rules,
        spans=spans,
        at=at,
    )


def _lay_out(segments: Sequence[Segment]) -> tuple[dict[UUID, int], list[Span]]:
    """Give each segment a bucket of its own: number them, and list their times."""
    buckets = {segment.pk: number for number, segment in enumerate(segments)}
    return buckets, [Span(segment.starts_at, segment.ends_at) for segment in segments]


def _part_weighted(rules: Sequence[MeterRule]) -> tuple[list[MeterRule], list[MeterRule]]:
    """Part the rules of levels that are weighted by time from all others."""
    weighted = [rule for rule in rules if rule.aggregation.state is State.MOMENTS]
    return weighted, [rule for rule in rules if rule.aggregation.state is not State.MOMENTS]


def _add_up(parts: Mapping[Place, MeterUsage]) -> dict[Place, MeterUsage]:
    """Add up what was measured in several buckets into one."""
    whole: dict[Place, MeterUsage] = {}
    for place, part in parts.items():
        found = whole.get(place._replace(bucket=0), NO_USAGE)
        whole[place._replace(bucket=0)] = MeterUsage(
            quantity=EXACT.add(found.quantity, part.quantity),
            late_quantity=EXACT.add(found.late_quantity, part.late_quantity),
            event_count=found.event_count + part.event_count,
        )
    return whole


def _read_carried(*, period: Period, selection: Selection) -> dict[tuple[UUID, str], Decimal]:
    """Read the levels at the start of a period, of the meters that carry them over."""
    carrying = [rule for rule in selection.rules if is_carried_over(rule)]
    if not carrying:
        return {}
    return read_levels(
        Selection(
            customer_id=selection.customer_id,
            buckets=dict.fromkeys(list_earlier_segment_ids(period), 0),
            rules=carrying,
            grouping=selection.grouping,
        )
    )


def _carry(
    accumulated: Mapping[Place, Accumulated],
    levels: Mapping[tuple[UUID, str], Decimal],
    *,
    rules: Sequence[MeterRule],
    bucket_count: int,
) -> dict[Place, Accumulated]:
    """Let each level go on from one bucket to the next, also through those without an event."""
    meter_ids = {rule.meter_id for rule in rules}
    reached = dict(levels)
    for place in accumulated:
        if place.meter_id in meter_ids:
            reached.setdefault((place.meter_id, place.group_key), Decimal(0))
    carried: dict[Place, Accumulated] = {}
    for (meter_id, group_key), start in reached.items():
        level = start
        for bucket in range(bucket_count):
            place = Place(bucket, meter_id, group_key)
            found = accumulated.get(place, Accumulated())
            carried[place] = replace(found, carried=level)
            level = EXACT.add(level, found.total)
    return carried


def _find_share(rule: MeterRule, *, span: Span, period: Period, at: datetime) -> Fraction:
    """Find the share of a period for which a level counts in a span of it; a flow is what it is.

    One that is weighted by time counts for the time that has passed: what it has been on average until `at`,
    for that part of the span.
    """
    if rule.aggregation.is_flow:
        return WHOLE
    is_weighted = rule.aggregation.state is State.MOMENTS
    share = share_of_days(
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        period_starts_at=period.nominal_starts_at if is_weighted else period.starts_at,
        period_ends_at=period.nominal_ends_at if is_weighted else period.ends_at,
        timezone=period.timezone,
    )
    return share * span.elapsed(at) if is_weighted else share


def _round(measured: Measured, share: Fraction) -> Decimal:
    """Take the share of what was measured; what was counted and counts whole stays as exact as it is."""
    if share == WHOLE and isinstance(measured, Decimal):
        return measured
    return round_quantity(Fraction(measured) * share, Rounding.HALF_EVEN)


def summarize(
    *,
    meters: Sequence[Meter],
    choice: UsageChoice,
    bucket_count: int,
    measure: Callable[[Sequence[MeterRule], Grouping], Mapping[Place, MeterUsage]],
) -> list[tuple[MeterSummary, ...]]:
    """Measure meters as a whole and, if it was asked for, by group; list them for each bucket."""
    rules = {meter.pk: build_rule(meter) for meter in meters}
    whole = measure(list(rules.values()), replace(choice.grouping, properties=()))
    names = {
        meter_id: shown
        for meter_id, rule in rules.items()
        if (shown := list_shown_properties(rule, choice.grouping))
    }
    grouped = measure([rules[meter_id] for meter_id in names], choice.grouping) if names else {}
    groups: defaultdict[tuple[int, UUID], list[GroupUsage]] = defaultdict(list)
    for place in sorted(grouped, key=lambda place: place.group_key):
        values = dict(zip(names[place.meter_id], read_group(place.group_key), strict=True))
        groups[place.bucket, place.meter_id].append(GroupUsage(values, grouped[place]))
    return [
        tuple(
            MeterSummary(
                meter,
                whole.get(Place(bucket, meter.pk), NO_USAGE),
                tuple(groups[bucket, meter.pk]) if meter.pk in names else None,
            )
            for meter in meters
        )
        for bucket in range(bucket_count)
    ]
