"""Bills of a month at any instants add up to what the whole month costs. Each aggregation there is.

The month is April, in one to three segments. What it comes to is reckoned with the list of events itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_project.core.money import Rounding, round_quantity
from catalog.pricing.registry import build_model
from catalog.pricing.types import Pricing, Stage
from invoicing.rating.items import RatingItem, RatingKind
from invoicing.rating.lines import rate_items
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.registry import AGGREGATIONS, build_aggregation
from metering.aggregation.rules import NO_GROUP, MeterRule
from metering.aggregation.types import Definition, Span, State
from metering.aggregation.weighted_sum import hold_back
from metering.queries import NO_USAGE
from metering.queries.rollups import Place
from metering.queries.usage import measure_buckets
from subscriptions.models import Period
from subscriptions.proration import share_of_days
from tests.factories.subscriptions import utc

MONTH = Span(utc(2026, 4, 1), utc(2026, 5, 1))
SECONDS = int((MONTH.ends_at - MONTH.starts_at).total_seconds())
PERIOD = Period(
    starts_at=MONTH.starts_at,
    ends_at=MONTH.ends_at,
    nominal_starts_at=MONTH.starts_at,
    nominal_ends_at=MONTH.ends_at,
    timezone="UTC",
)
METER = UUID(int=1)
PERCENTILE = Decimal(75)
DEFINITION = Definition(property_name="size", percentile=PERCENTILE, carries_over=True)
WEIGHTED = "WeightedSum"

AMOUNTS = st.integers(0, 10**15)
SIZES = st.integers(0, 50) | st.decimals(0, 50, places=14)
INSTANTS = st.integers(0, SECONDS)


@dataclass(frozen=True)
class Sent:
    """An event: how much it is, and when it is stamped and arrives, in seconds after the month's start."""

    size: int | Decimal
    stamped: int
    arrived: int

    @property
    def decided(self) -> int:
        """Say when it is put into the segment there is: early or late, it stays where it was put."""
        return min(self.stamped, self.arrived)


@dataclass
class Ledger:
    """What was billed so far of each segment."""

    nanos: dict[str, int] = field(default_factory=dict)
    quantities: dict[str, Decimal] = field(default_factory=dict)


@st.composite
def events(draw: st.DrawFn, *, is_signed: bool) -> Sent:
    """Draw an event: in time, up to an hour early, or late; a change of a level may be a fall."""
    stamped = draw(st.integers(0, SECONDS - 1))
    delay = draw(st.just(0) | st.integers(-3600, 10**6))
    sign = draw(st.sampled_from([1, -1])) if is_signed else 1
    return Sent(sign * draw(SIZES), stamped, min(max(stamped + delay, 0), SECONDS))


@st.composite
def prices(draw: st.DrawFn) -> Pricing:
    """Draw a price by the unit, or in tiers."""
    if draw(st.booleans()):
        return build_model("PerUnit", {"unit_amount_nanos": str(draw(AMOUNTS))})
    bounds = sorted(draw(st.sets(st.integers(1, 100), max_size=3)))
    tiers = [
        {
            "up_to": None if bound is None else str(bound),
            "unit_amount_nanos": str(draw(AMOUNTS)),
            "flat_amount_nanos": str(draw(AMOUNTS)),
        }
        for bound in [*bounds, None]
    ]
    return build_model("Graduated", {"tiers": tiers})


def instant(seconds: int) -> datetime:
    return MONTH.starts_at + timedelta(seconds=seconds)


def lay_out(cuts: Sequence[int], *, at: int) -> list[tuple[int, int]]:
    """List the segments there are at a time: those that are cut off later go on to the month's end."""
    bounds = [0, *(cut for cut in cuts if cut <= at), SECONDS]
    return list(pairwise(bounds))


def find_share(segment: tuple[int, int]) -> Fraction:
    starts_at, ends_at = map(instant, segment)
    return share_of_days(
        starts_at=starts_at,
        ends_at=ends_at,
        period_starts_at=MONTH.starts_at,
        period_ends_at=MONTH.ends_at,
        timezone="UTC",
    )


def measure(
    name: str, sent: Sequence[Sent], segments: Sequence[tuple[int, int]], *, carried: int, at: int
) -> list[Decimal]:
    """Measure what each segment comes to with what has arrived, as bills do."""
    aggregation = build_aggregation(name, DEFINITION)
    spans = [Span(instant(starts), instant(ends)) for starts, ends in segments]
    accumulators = [Accumulator() for _ in spans]
    for event in sent:
        if event.arrived > at:
            continue
        number = sum(event.decided >= ends for _, ends in segments)
        billed_at = instant(event.stamped)
        contribution = aggregation.contribute({"size": event.size}, timestamp=billed_at)
        assert contribution is not None
        accumulators[number].add(contribution, state=aggregation.state, billed_at=billed_at, is_late=False)
        if aggregation.state is State.MOMENTS:
            for later, moment in hold_back(
                contribution.value, billed_at=billed_at, number=number, spans=spans, at=instant(at)
            ):
                accumulators[later].merge(Accumulator(moment=moment))
    usage = measure_buckets(
        {
            Place(number, METER): found.read(aggregation)
            for number, found in enumerate(accumulators)
            if found != Accumulator()
        },
        {(METER, NO_GROUP): Decimal(carried)} if name == WEIGHTED else {},
        period=PERIOD,
        rules=[MeterRule(METER, "upload", aggregation)],
        spans=spans,
        at=instant(at),
    )
    return [usage.get(Place(number, METER), NO_USAGE).quantity for number in range(len(spans))]


def reckon(name: str, sent: Sequence[Sent], segment: tuple[int, int], *, carried: int, at: int) -> Decimal:
    """Reckon what a segment comes to: its exact quantity, rounded once."""
    starts, ends = segment
    arrived = [event for event in sent if event.arrived <= at]
    if name == WEIGHTED:
        until = min(max(at, starts), ends)
        area = Fraction(carried * (until - starts)) + sum(
            Fraction(event.size) * max(until - max(event.stamped, starts), 0) for event in arrived
        )
        return round_quantity(
            max(area, Fraction(0)) / (ends - starts) * find_share(segment), Rounding.HALF_EVEN
        )
    own = [event for event in arrived if starts <= event.decided < ends]
    quantity = RECKONED[name](own) if own else Fraction(0)
    share = Fraction(1) if name in {"Sum", "Count"} else find_share(segment)
    exact = quantity * share
    # What was counted, and counts whole, keeps all the places that it has: here, fourteen at most.
    if share == 1 and name != "Average":
        return Decimal(int(exact * 10**14)).scaleb(-14)
    return round_quantity(exact, Rounding.HALF_EVEN)


def find_latest(own: Sequence[Sent]) -> Fraction:
    return Fraction(max((event.stamped, event.size) for event in own)[1])


def find_percentile(own: Sequence[Sent]) -> Fraction:
    return Fraction(sorted(event.size for event in own)[ceil(PERCENTILE * len(own) / 100) - 1])


RECKONED: Mapping[str, Callable[[Sequence[Sent]], Fraction]] = {
    "Sum": lambda own: sum((Fraction(event.size) for event in own), Fraction(0)),
    "Count": lambda own: Fraction(len(own)),
    "Max": lambda own: Fraction(max(event.size for event in own)),
    "Min": lambda own: Fraction(min(event.size for event in own)),
    "Average": lambda own: sum((Fraction(event.size) for event in own), Fraction(0)) / len(own),
    "UniqueCount": lambda own: Fraction(len({event.size for event in own})),
    "Latest": find_latest,
    "Percentile": find_percentile,
}


def bill(
    ledger: Ledger,
    model: Pricing,
    segments: Sequence[tuple[int, int]],
    quantities: Sequence[Decimal],
    stage: Stage,
) -> None:
    """Bill what each segment has come to, less what was billed of it."""
    items = [
        RatingItem(
            key=str(number),
            kind=RatingKind.USAGE,
            item_id=UUID(int=2),
            sku_id=UUID(int=3),
            meter_id=METER,
            segment_id=UUID(int=10 + number),
            subscription_id=UUID(int=4),
            description="Uploads",
            unit="",
            model=model,
            share=find_share(segment),
            quantity=quantity,
            late_quantity=Decimal(0),
            is_free=False,
            billed_nanos=ledger.nanos.get(str(number), 0),
            billed_quantity=ledger.quantities.get(str(number), Decimal(0)),
            tax_behavior="Exclusive",
            tax_category="",
            period_start=instant(segment[0]),
            period_end=instant(segment[1]),
        )
        for number, (segment, quantity) in enumerate(zip(segments, quantities, strict=True))
    ]
    for line in rate_items(items, stage=stage):
        ledger.nanos[line.key] = ledger.nanos.get(line.key, 0) + line.charge_nanos
        ledger.quantities[line.key] = ledger.quantities.get(line.key, Decimal(0)) + line.quantity


@pytest.mark.parametrize("name", AGGREGATIONS)
class TestBills:
    @given(
        data=st.data(),
        cuts=st.sets(st.integers(1, SECONDS - 1), max_size=2).map(sorted),
        instants=st.lists(INSTANTS, max_size=4).map(sorted),
        carried=st.integers(-50, 100),
        model=prices(),
    )
    def test_add_up_to_the_charge_for_the_whole(
        self,
        name: str,
        data: st.DataObject,
        cuts: list[int],
        instants: list[int],
        carried: int,
        model: Pricing,
    ) -> None:
        sent = data.draw(st.lists(events(is_signed=name == WEIGHTED), max_size=12))
        ledger = Ledger()

        for number, at in enumerate([*instants, SECONDS]):
            segments = lay_out(cuts, at=at)
            quantities = measure(name, sent, segments, carried=carried, at=at)
            assert quantities == [reckon(name, sent, segment, carried=carried, at=at) for segment in segments]
            stage = Stage.IN_PROGRESS if number < len(instants) else Stage.FINAL
            bill(ledger, model, segments, quantities, stage)

        segments = lay_out(cuts, at=SECONDS)
        whole = [reckon(name, sent, segment, carried=carried, at=SECONDS) for segment in segments]
        at_once = Ledger()
        bill(at_once, model, segments, whole, Stage.FINAL)
        assert ledger == at_once


class TestWeightedSum:
    @given(
        sent=st.lists(events(is_signed=True), max_size=8),
        instants=st.lists(INSTANTS, min_size=2, max_size=6).map(sorted),
    )
    def test_never_falls_as_long_as_the_level_is_above_zero(
        self, sent: list[Sent], instants: list[int]
    ) -> None:
        """So bills ask for more and more, also where the level falls, but for changes that come late."""
        sent = [replace(event, arrived=min(event.stamped, event.arrived)) for event in sent]
        carried = 8 * 50
        quantities = [measure(WEIGHTED, sent, [(0, SECONDS)], carried=carried, at=at)[0] for at in instants]

        assert quantities == sorted(quantities)
