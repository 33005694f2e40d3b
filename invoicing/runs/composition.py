"""What an invoice for a period consists of: reads segments, prices, usage and what was billed before.

The arithmetic is in `invoicing.rating`; here its inputs are gathered, with a constant number of queries.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from billing_project.core.errors import Busy
from billing_project.core.periods import local_date
from catalog.models import BillingTiming, Meter, Price, TrialUsage
from catalog.pricing.types import Stage, Usage
from catalog.queries import read_prices
from invoicing.invoices.queries import BilledSoFar, is_period_billed, read_billed
from invoicing.models import InvoiceReason
from invoicing.rating.items import RatingItem, RatingKind
from invoicing.runs.segment_prices import (
    build_segment_model,
    find_breakdown,
    list_current_prices,
    read_groups,
)
from metering.queries import NO_USAGE, MeterUsage, list_unfilled_meters, read_segment_usage
from metering.queries.corrections import has_corrections, list_voided_periods
from metering.queries.segment_groups import SegmentGroups
from subscriptions.models import Period, Segment, SubscriptionItem
from subscriptions.proration import share_of_days
from subscriptions.queries import list_items, list_segments

NOTHING_BILLED = BilledSoFar(charge_nanos=0, quantity=Decimal(0))
_MOMENT = timedelta(microseconds=1)


class MeterFilling(Busy):
    """A meter has not counted all the events yet whose level is carried over."""

    code = "meter_filling"


@dataclass(frozen=True, slots=True)
class Composition:
    """What one invoice is rated from: what the period itself owes, and fees in advance of another."""

    arrears: tuple[RatingItem, ...]
    advance: tuple[RatingItem, ...]


@dataclass(frozen=True, slots=True)
class _Corrected:
    """A settled period whose usage may have changed: by its own events, or where a level carries over."""

    period: Period
    segments: Sequence[Segment]
    has_voids: bool

    def is_concerned(self, price: Price) -> bool:
        """Tell whether the usage that a price is on may have changed."""
        return price.meter is not None and (self.has_voids or price.meter.carries_over)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was read for a set of segments of one subscription."""

    prices: Mapping[UUID, tuple[Price, ...]]
    items: Mapping[UUID, SubscriptionItem]
    usage: Mapping[tuple[UUID, UUID], MeterUsage]
    groups: SegmentGroups
    billed: Mapping[str, BilledSoFar]


def compose_period(
    *, customer_id: UUID, period: Period, advance_period: Period | None, stage: Stage, at: datetime
) -> Composition:
    """Gather what an invoice for `period` is rated from, with the advance fees of `advance_period` if given.

    The advance period is the next one on a period-end invoice, and the first one itself on a period-start
    invoice. The period's own advance fees are looked at once more in its final stage: what changes have made
    of them is charged or credited then. `at` is the customer's time.

    Raises: MeterFilling.
    """
    wanted = [period] if advance_period is None else [period, advance_period]
    segments = _segments_by_period(wanted)
    facts = _read_facts(customer_id=customer_id, period=period, segments=segments, at=at)
    arrears = [
        item
        for segment in segments[period.pk]
        if stage is Stage.FINAL or segment.starts_at <= max(at, period.starts_at)
        for item in _rate_arrears(period=period, segment=segment, facts=facts)
    ]
    if stage is Stage.FINAL and not period.is_trial and not _is_billed_by_earlier(period):
        arrears += _rate_changes(period=period, segments=segments[period.pk], facts=facts)
    advance = (
        _rate_advance(period=advance_period, segments=segments[advance_period.pk], facts=facts)
        if advance_period is not None and not advance_period.is_trial
        else []
    )
    return Composition(arrears=tuple(arrears), advance=tuple(advance))


def compose_corrections(*, customer_id: UUID, period: Period, at: datetime) -> tuple[RatingItem, ...]:
    """Gather the usage of settled periods that was corrected, if the invoice of `period` is to set it right.

    That is the subscription's next one: that of its first period that is not settled. A period which is
    closed and not settled yet takes its own corrections up by itself. Where nothing has been corrected since
    it was billed, an item comes to what was billed of it.
    """
    if not has_corrections(customer_id) or _has_earlier_invoice(period):
        return ()
    items: list[RatingItem] = []
    for corrected in _list_corrected(period):
        facts = _read_facts(
            customer_id=customer_id,
            period=corrected.period,
            segments={corrected.period.pk: corrected.segments},
            at=max(at, corrected.period.ends_at),
        )
        items += [
            _describe_correction(
                _usage_item(period=corrected.period, segment=segment, price=price, facts=facts),
                period=corrected.period,
            )
            for segment in corrected.segments
            for price in list_current_prices(facts.prices[segment.plan_version_id], segment=segment)
            if corrected.is_concerned(price)
        ]
    return tuple(items)


def compose_fees(*, customer_id: UUID, period: Period, at: datetime) -> tuple[RatingItem, ...]:
    """Gather all fees of a period, as if none had been billed: what it costs before any usage."""
    segments = _segments_by_period([period])
    facts = replace(
        _read_facts(customer_id=customer_id, period=period, segments=segments, at=at), usage={}, billed={}
    )
    arrears = [
        item
        for segment in segments[period.pk]
        for item in _rate_arrears(period=period, segment=segment, facts=facts)
        if item.kind is RatingKind.FEE
    ]
    advance = (
        [] if period.is_trial else _rate_advance(period=period, segments=segments[period.pk], facts=facts)
    )
    return (*arrears, *advance)


def _is_billed_by_earlier(period: Period) -> bool:
    """Tell whether the invoice with the period's fees in advance, the one before, is still to come."""
    if period.number == 0:
        return False
    before = Period.objects.get(subscription_id=period.subscription_id, number=period.number - 1)
    return before.settled_at is None and not is_period_billed(
        period_id=before.pk, reason=InvoiceReason.PERIOD_END
    )


def _has_earlier_invoice(period: Period) -> bool:
    """Tell whether an earlier period has yet to be settled, so that its invoice comes first."""
    earlier = Period.objects.filter(subscription_id=period.subscription_id, number__lt=period.number)
    return earlier.filter(settled_at__isnull=True).exists()


def _list_corrected(period: Period) -> list[_Corrected]:
    """List the other periods that are settled and may be billed wrongly by now.

    A level that is carried over from a period in which something was corrected is wrong in all later ones.
    """
    numbers = list_voided_periods(period.subscription_id)
    if not numbers:
        return []
    settled = Period.objects.filter(
        subscription_id=period.subscription_id, settled_at__isnull=False, number__gte=min(numbers)
    ).exclude(pk=period.pk)
    periods = list(settled.order_by("number"))
    segments = _segments_by_period(periods)
    found = [_Corrected(each, segments[each.pk], each.number in numbers) for each in periods]
    prices = read_prices({segment.plan_version_id for own in segments.values() for segment in own})
    carries_over = any(price.meter and price.meter.carries_over for own in prices.values() for price in own)
    return [corrected for corrected in found if corrected.has_voids or carries_over]


def _describe_correction(item: RatingItem, *, period: Period) -> RatingItem:
    is_whole = (item.period_start, item.period_end) == (period.starts_at, period.ends_at)
    dates = f", {_write_dates(period.starts_at, period.ends_at, period=period)}" if is_whole else ""
    return replace(item, description=f"Correction of {item.description}{dates}")


def _name(price: Price, *, period: Period, segment: Segment) -> str:
    """Name what is charged for; where the period is parted, with the dates of the part."""
    if (segment.starts_at, segment.ends_at) == (period.starts_at, period.ends_at):
        return price.sku.name
    return f"{price.sku.name}, {_write_dates(segment.starts_at, segment.ends_at, period=period)}"


def _write_dates(starts_at: datetime, ends_at: datetime, *, period: Period) -> str:
    first = local_date(starts_at, timezone=period.timezone)
    last = local_date(max(starts_at, ends_at - _MOMENT), timezone=period.timezone)
    return f"{first} to {last}"


def _segments_by_period(periods: Sequence[Period]) -> Mapping[UUID, Sequence[Segment]]:
    by_period: dict[UUID, list[Segment]] = {period.pk: [] for period in periods}
    for segment in list_segments([period.pk for period in periods]):
        by_period[segment.period_id].append(segment)
    return by_period


def _read_facts(
    *, customer_id: UUID, period: Period, segments: Mapping[UUID, Sequence[Segment]], at: datetime
) -> _Facts:
    """Read what is needed of these segments, by period; only those of `period` are charged for usage."""
    listed = [segment for part in segments.values() for segment in part]
    prices = read_prices({segment.plan_version_id for segment in listed})
    meters = {price.meter.pk: price.meter for own in prices.values() for price in own if price.meter}
    _refuse_unfilled(meters.values(), period=period)
    items = {item.sku_id: item for item in list_items(period.subscription_id)}
    return _Facts(
        prices=prices,
        items=items,
        usage=read_segment_usage(
            customer_id=customer_id,
            period=period,
            segments=segments[period.pk],
            meters=meters.values(),
            at=at,
        ),
        groups=read_groups(customer_id=customer_id, segments=segments[period.pk], prices=prices, items=items),
        billed=read_billed(segment_ids=[segment.pk for segment in listed]),
    )


def _refuse_unfilled(meters: Iterable[Meter], *, period: Period) -> None:
    """Refuse to bill by levels that are carried over from periods in which not all is counted yet.

    Nothing else has to wait: what a segment is charged for began to count before there was the segment.

    Raises: MeterFilling.
    """
    carried = [meter.pk for meter in meters if meter.carries_over and period.number > 0]
    unfilled = list_unfilled_meters(carried)
    if unfilled:
        codes = ", ".join(meter.code for meter in unfilled)
        raise MeterFilling(f"Events that came before a meter are still being counted: {codes}.")


def _rate_arrears(*, period: Period, segment: Segment, facts: _Facts) -> Iterable[RatingItem]:
    for price in list_current_prices(facts.prices[segment.plan_version_id], segment=segment):
        if price.is_metered:
            item = _usage_item(period=period, segment=segment, price=price, facts=facts)
            if item.quantity or item.is_billed or not _is_remnant(segment, period=period):
                yield item
        elif price.billing_timing == BillingTiming.ARREARS:
            item = _fee_item(
                kind=RatingKind.FEE,
                period=period,
                segment=segment,
                price=price,
                facts=facts,
                is_free=period.is_trial,
            )
            if item.is_billed or _is_charged(segment, period=period):
                yield item


def _rate_advance(*, period: Period, segments: Sequence[Segment], facts: _Facts) -> Iterable[RatingItem]:
    for segment in segments:
        for price in list_current_prices(facts.prices[segment.plan_version_id], segment=segment):
            if not price.is_metered and price.billing_timing == BillingTiming.ADVANCE:
                item = _fee_item(
                    kind=RatingKind.ADVANCE_FEE,
                    period=period,
                    segment=segment,
                    price=price,
                    facts=facts,
                    is_free=False,
                )
                if item.is_billed or _is_charged(segment, period=period):
                    yield item


def _rate_changes(*, period: Period, segments: Sequence[Segment], facts: _Facts) -> Iterable[RatingItem]:
    """Rate the fees in advance of a period anew; what has not changed comes to what was billed of it."""
    for item in _rate_advance(period=period, segments=segments, facts=facts):
        if item.is_billed:
            dates = _write_dates(item.period_start, item.period_end, period=period)
            name = facts.items[item.sku_id].sku.name
            yield replace(item, description=f"Adjustment of {name}, {dates}")
        elif item.share:
            yield item


def _is_charged(segment: Segment, *, period: Period) -> bool:
    """Tell whether fees are due for a segment: not while paused, and not for one that came to nothing."""
    return not segment.is_paused and not _is_remnant(segment, period=period)


def _is_remnant(segment: Segment, *, period: Period) -> bool:
    """Tell whether a change took all its length from a segment, and left it to a period that has some."""
    return segment.starts_at == segment.ends_at and period.starts_at < period.ends_at


def _usage_item(*, period: Period, segment: Segment, price: Price, facts: _Facts) -> RatingItem:
    assert price.meter is not None
    usage = facts.usage.get((segment.pk, price.meter.pk), NO_USAGE)
    item = facts.items[price.sku_id]
    model = build_segment_model(price, item=item, segment=segment)
    breakdown = find_breakdown(price, model=model)
    # What is told apart adds up by itself: events may have come in since the whole was read.
    used = (
        Usage.of(usage.quantity)
        if breakdown is None
        else facts.groups.get((segment.pk, breakdown), Usage.of(0))
    )
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
        description=_name(price, period=period, segment=segment),
        unit=price.meter.unit,
        model=model,
        # Bounds shrink with the part of the period that the segment is: two segments must not give free units
        # twice.
        share=share_of_days(
            starts_at=segment.starts_at,
            ends_at=segment.ends_at,
            period_starts_at=period.starts_at,
            period_ends_at=period.ends_at,
            timezone=period.timezone,
        ),
        quantity=used.quantity,
        groups=used.groups,
        late_quantity=usage.late_quantity,
        is_free=period.is_trial and segment.plan_version.trial_usage == TrialUsage.FREE,
        billed_nanos=billed.charge_nanos,
        billed_quantity=billed.quantity,
        billed_late_quantity=billed.late_quantity,
        forgiven_nanos=billed.forgiven_nanos,
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
        description=_name(price, period=period, segment=segment),
        unit="",
        model=build_segment_model(price, item=item, segment=segment),
        share=Fraction(0) if segment.is_paused else _share_of_nominal(period=period, segment=segment),
        quantity=Decimal(segment.quantities.get(str(item.pk), "1")),
        late_quantity=Decimal(0),
        is_free=is_free,
        billed_nanos=billed.charge_nanos,
        billed_quantity=billed.quantity,
        forgiven_nanos=billed.forgiven_nanos,
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
