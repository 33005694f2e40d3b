"""What an invoice for a period consists of: reads segments, prices, usage and what was billed before.

The arithmetic is in `invoicing.rating`; here its inputs are gathered, with a constant number of queries.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from catalog.models import BillingTiming, Price, TrialUsage
from catalog.pricing.registry import build_model
from catalog.queries import read_prices
from invoicing.invoices.queries import BilledSoFar, read_billed
from invoicing.rating.items import RatingItem, RatingKind
from metering.queries import NO_USAGE, MeterUsage, read_segment_usage
from subscriptions.models import Period, Segment, SubscriptionItem
from subscriptions.proration import share_of_days
from subscriptions.queries import list_items, list_segments

NOTHING_BILLED = BilledSoFar(charge_nanos=0, quantity=Decimal(0))


@dataclass(frozen=True, slots=True)
class Composition:
    """What one invoice is rated from: what the period itself owes, and fees in advance of another."""

    arrears: tuple[RatingItem, ...]
    advance: tuple[RatingItem, ...]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was read for a set of segments of one subscription."""

    prices: Mapping[UUID, tuple[Price, ...]]
    items: Mapping[UUID, SubscriptionItem]
    usage: Mapping[tuple[UUID, UUID], MeterUsage]
    billed: Mapping[str, BilledSoFar]


def compose_period(*, customer_id: UUID, period: Period, advance_period: Period | None) -> Composition:
    """Gather what an invoice for `period` is rated from, with the advance fees of `advance_period` if given.

    The advance period is the next one on a period-end invoice, and the first one itself on a period-start
    invoice.
    """
    wanted = [period] if advance_period is None else [period, advance_period]
    segments = _segments_by_period(wanted)
    facts = _read_facts(
        customer_id=customer_id,
        subscription_id=period.subscription_id,
        segments=[segment for part in segments.values() for segment in part],
    )
    arrears = [
        item
        for segment in segments[period.pk]
        for item in _rate_arrears(period=period, segment=segment, facts=facts)
    ]
    advance = (
        _rate_advance(period=advance_period, segments=segments[advance_period.pk], facts=facts)
        if advance_period is not None and not advance_period.is_trial
        else []
    )
    return Composition(arrears=tuple(arrears), advance=tuple(advance))


def _segments_by_period(periods: Sequence[Period]) -> Mapping[UUID, Sequence[Segment]]:
    by_period: dict[UUID, list[Segment]] = {period.pk: [] for period in periods}
    for segment in list_segments([period.pk for period in periods]):
        by_period[segment.period_id].append(segment)
    return by_period


def _read_facts(*, customer_id: UUID, subscription_id: UUID, segments: Sequence[Segment]) -> _Facts:
    segment_ids = [segment.pk for segment in segments]
    return _Facts(
        prices=read_prices({segment.plan_version_id for segment in segments}),
        items={item.sku_id: item for item in list_items(subscription_id)},
        usage=read_segment_usage(customer_id=customer_id, segment_ids=segment_ids),
        billed=read_billed(segment_ids=segment_ids),
    )


def _rate_arrears(*, period: Period, segment: Segment, facts: _Facts) -> Iterable[RatingItem]:
    for price in _current_prices(facts.prices[segment.plan_version_id], segment=segment):
        if price.is_metered:
            yield _usage_item(period=period, segment=segment, price=price, facts=facts)
        elif price.billing_timing == BillingTiming.ARREARS:
            yield _fee_item(
                kind=RatingKind.FEE,
                period=period,
                segment=segment,
                price=price,
                facts=facts,
                is_free=period.is_trial,
            )


def _rate_advance(*, period: Period, segments: Sequence[Segment], facts: _Facts) -> Iterable[RatingItem]:
    for segment in segments:
        for price in _current_prices(facts.prices[segment.plan_version_id], segment=segment):
            if not price.is_metered and price.billing_timing == BillingTiming.ADVANCE:
                yield _fee_item(
                    kind=RatingKind.ADVANCE_FEE,
                    period=period,
                    segment=segment,
                    price=price,
                    facts=facts,
                    is_free=False,
                )


def _current_prices(prices: Iterable[Price], *, segment: Segment) -> Iterable[Price]:
    """Pick each SKU's price in force at the segment's start; a SKU's first one has no start of its own."""
    in_force: dict[UUID, Price] = {}
    by_sku: defaultdict[UUID, list[Price]] = defaultdict(list)
    for price in prices:
        by_sku[price.sku_id].append(price)
    for sku_id, candidates in by_sku.items():
        started = [
            price for price in candidates if price.starts_at is None or price.starts_at <= segment.starts_at
        ]
        if started:
            in_force[sku_id] = max(started, key=lambda price: (price.starts_at is not None, price.starts_at))
    return sorted(in_force.values(), key=lambda price: (price.position, price.pk))


def _usage_item(*, period: Period, segment: Segment, price: Price, facts: _Facts) -> RatingItem:
    assert price.meter is not None
    usage = facts.usage.get((segment.pk, price.meter.pk), NO_USAGE)
    item = facts.items[price.sku_id]
    key = f"{item.pk}:{segment.pk}"
    billed = facts.billed.get(key, NOTHING_BILLED)
    return RatingItem(
        key=key,
        kind=RatingKind.USAGE,
        item_id=item.pk,
        sku_id=price.sku_id,
        meter_id=price.meter.pk,
        segment_id=segment.pk,
        subscription_id=segment.subscription_id,
        description=price.sku.name,
        unit=price.meter.unit,
        model=build_model(price.pricing_model, price.params),
        # Bounds shrink with the part of the period that the segment is: two segments must not give free units
        # twice.
        share=share_of_days(
            starts_at=segment.starts_at,
            ends_at=segment.ends_at,
            period_starts_at=period.starts_at,
            period_ends_at=period.ends_at,
            timezone=period.timezone,
        ),
        quantity=usage.quantity,
        late_quantity=usage.late_quantity,
        is_free=period.is_trial and segment.plan_version.trial_usage == TrialUsage.FREE,
        billed_nanos=billed.charge_nanos,
        billed_quantity=billed.quantity,
        billed_late_quantity=billed.late_quantity,
        tax_behavior=price.tax_behavior,
        tax_category=price.tax_category,
        period_start=segment.starts_at,
        period_end=segment.ends_at,
    )


def _fee_item(
    *, kind: RatingKind, period: Period, segment: Segment, price: Price, facts: _Facts, is_free: bool
) -> RatingItem:
    item = facts.items[price.sku_id]
    key = f"{item.pk}:{segment.pk}" + (":advance" if kind is RatingKind.ADVANCE_FEE else "")
    billed = facts.billed.get(key, NOTHING_BILLED)
    return RatingItem(
        key=key,
        kind=kind,
        item_id=item.pk,
        sku_id=price.sku_id,
        meter_id=None,
        segment_id=segment.pk,
        subscription_id=segment.subscription_id,
        description=price.sku.name,
        unit="",
        model=build_model(price.pricing_model, price.params),
        share=_share_of_nominal(period=period, segment=segment),
        quantity=Decimal(segment.quantities.get(str(item.pk), "1")),
        late_quantity=Decimal(0),
        is_free=is_free,
        billed_nanos=billed.charge_nanos,
        billed_quantity=billed.quantity,
        tax_behavior=price.tax_behavior,
        tax_category=price.tax_category,
        period_start=segment.starts_at,
        period_end=segment.ends_at,
    )


def _share_of_nominal(*, period: Period, segment: Segment) -> Fraction:
    """Fees are prorated by the full period that a stub is part of."""
    return share_of_days(
        starts_at=segment.starts_at,
        ends_at=segment.ends_at,
        period_starts_at=period.nominal_starts_at,
        period_ends_at=period.nominal_ends_at,
        timezone=period.timezone,
    )
