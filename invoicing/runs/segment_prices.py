"""What a segment is charged by: its prices, their models, and the usage that these tell apart."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from catalog.models import Price
from catalog.pricing.registry import build_model
from catalog.pricing.types import Pricing
from metering.queries.segment_groups import Breakdown, SegmentGroups, read_segment_groups
from subscriptions.models import Segment, SubscriptionItem


def list_current_prices(prices: Iterable[Price], *, segment: Segment) -> list[Price]:
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


def build_segment_model(price: Price, *, item: SubscriptionItem, segment: Segment) -> Pricing:
    """Build the pricing model of a SKU: the subscription's own, if it has one there, or the plan's."""
    override = segment.overrides.get(str(item.pk))
    if override is None:
        return build_model(price.pricing_model, price.params)
    return build_model(override["pricing_model"], override["params"])


def find_breakdown(price: Price, *, model: Pricing) -> Breakdown | None:
    """Say how the usage that a SKU is charged for is told apart, if it is."""
    if price.meter is None or not model.grouping:
        return None
    return Breakdown(meter=price.meter, dimensions=tuple(model.grouping))


def read_groups(
    *,
    customer_id: UUID,
    segments: Sequence[Segment],
    prices: Mapping[UUID, Iterable[Price]],
    items: Mapping[UUID, SubscriptionItem],
) -> SegmentGroups:
    """Read the usage of segments by what their prices tell apart; `prices` are those of each plan version."""
    breakdowns = {
        breakdown
        for segment in segments
        for price in list_current_prices(prices[segment.plan_version_id], segment=segment)
        if (
            breakdown := find_breakdown(
                price, model=build_segment_model(price, item=items[price.sku_id], segment=segment)
            )
        )
    }
    segment_ids = [segment.pk for segment in segments]
    return read_segment_groups(customer_id=customer_id, segment_ids=segment_ids, breakdowns=list(breakdowns))
