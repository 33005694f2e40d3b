"""Usage, however it is cut by time and by group, beside what a simple model makes of the same events."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import NamedTuple

import pytest

from billing_project.core.money import Rounding, round_quantity
from catalog.models import Aggregation, BillingCadence, Plan
from catalog.operations import MeterDefinition
from metering.queries import BY_EVERY_GROUP, Grouping, UsageChoice
from metering.queries.windows import UsageBucket, read_usage_series, read_window_usage
from metering.windows import Granularity, Window, WindowKind
from subscriptions.models import Period, Subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON
from tests.factories.metering import ingest, write_event
from tests.factories.subscriptions import subscribe

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
HOURS = 60
NOW = NOON + HOURS * HOUR - timedelta(minutes=17)
PERCENTILE = 75
ODD = 'the "odd" one, with [signs] and ü'


class Sent(NamedTuple):
    """An event, as the model knows it."""

    at: datetime
    size: int
    model: str | None
    region: str | None

    def write(self, subscription: Subscription) -> dict[str, object]:
        given = {"size": self.size, "model": self.model, "region": self.region}
        properties = {name: value for name, value in given.items() if value is not None}
        return write_event(subscription, event_type="call", timestamp=self.at, properties=properties)


def make_grouped_plan() -> Plan:
    """Make a plan with a meter of each aggregation, all of them grouped by model and region."""
    plan = make_plan(billing_cadence=BillingCadence.DAILY)
    for aggregation in Aggregation:
        definition = MeterDefinition.read(
            event_type="call",
            property="" if aggregation == Aggregation.COUNT else "size",
            aggregation=aggregation,
            percentile=Decimal(PERCENTILE) if aggregation == Aggregation.PERCENTILE else None,
            group_by=["model", "region"],
        )
        make_sku(plan, name=aggregation.value, meter=definition, meter_code=aggregation.value)
    return plan


def send_at_random(subscription: Subscription, *, seed: int) -> list[Sent]:
    """Send events in batches, in no order, some of them at the same instant."""
    source = Random(seed)
    sent = [
        Sent(
            NOON
            + HOUR * source.randrange(HOURS)
            + timedelta(seconds=source.choice([0, 1, 1800, 2700, 3599])),
            source.randrange(12),
            source.choice(["small", "large", ODD, None]),
            source.choice(["eu", None]),
        )
        for _ in range(150)
    ]
    sent = [one for one in sent if one.at < NOW]
    for start in range(0, len(sent), 40):
        ingest(*[one.write(subscription) for one in sent[start : start + 40]], at=NOW)
    return sent


def weigh(
    sent: Sequence[Sent], *, starts_at: datetime, ends_at: datetime, resets: Iterable[datetime]
) -> Fraction:
    """Average a level, change by change, that falls to zero at some instants."""
    changes = sorted([(one.at, one.size) for one in sent] + [(reset, None) for reset in resets], key=order)
    area, level, reached = Fraction(0), 0, starts_at
    for at, size in changes:
        if at >= ends_at:
            break
        if at > reached:
            area += level * Fraction((at - reached) // timedelta(microseconds=1))
            reached = at
        level = 0 if size is None else level + size
    if ends_at > reached:
        area += level * Fraction((ends_at - reached) // timedelta(microseconds=1))
    length = Fraction((ends_at - starts_at) // timedelta(microseconds=1))
    return area / length if length > 0 else Fraction(0)


def order(change: tuple[datetime, int | None]) -> tuple[datetime, bool]:
    return change[0], change[1] is not None


def measure(
    aggregation: str,
    sent: Sequence[Sent],
    *,
    starts_at: datetime,
    ends_at: datetime,
    resets: Iterable[datetime],
) -> Decimal:
    """Measure a span as one would with paper and pencil."""
    if aggregation == Aggregation.WEIGHTED_SUM:
        level = weigh(sent, starts_at=starts_at, ends_at=min(ends_at, max(NOW, starts_at)), resets=resets)
        return round_quantity(level, Rounding.HALF_EVEN)
    own = sorted((one for one in sent if starts_at <= one.at < ends_at), key=lambda one: (one.at, one.size))
    sizes = sorted(one.size for one in own)
    if not sizes:
        return Decimal(0)
    found: dict[str, int | Fraction] = {
        Aggregation.SUM: sum(sizes),
        Aggregation.COUNT: len(sizes),
        Aggregation.MAX: sizes[-1],
        Aggregation.MIN: sizes[0],
        Aggregation.AVERAGE: Fraction(sum(sizes), len(sizes)),
        Aggregation.UNIQUE_COUNT: len(set(sizes)),
        Aggregation.LATEST: own[-1].size,
        Aggregation.PERCENTILE: sizes[-(-PERCENTILE * len(sizes) // 100) - 1],
    }
    return round_quantity(Fraction(found[aggregation]), Rounding.HALF_EVEN)


def choose(sent: Sequence[Sent], values: Mapping[str, str | None]) -> list[Sent]:
    return [one for one in sent if all(getattr(one, name) == value for name, value in values.items())]


def read_cuts(subscription: Subscription, choice: UsageChoice) -> list[UsageBucket]:
    """Read usage by day and by hour, and in windows of both kinds."""
    period = Period.objects.get(subscription=subscription, number=1)
    series = [
        read_usage_series(
            subscription=subscription, period=period, granularity=granularity, at=NOW, choice=choice
        )
        for granularity in Granularity
    ]
    windows = [
        read_window_usage(subscription=subscription, window=window, at=NOW, choice=choice)
        for window in (
            Window(kind=WindowKind.TUMBLING, hours=5, count=6),
            Window(kind=WindowKind.TUMBLING, hours=48, count=2),
            Window(kind=WindowKind.SLIDING, hours=1),
            Window(kind=WindowKind.SLIDING, hours=24),
            Window(kind=WindowKind.SLIDING, hours=50),
            Window(kind=WindowKind.SLIDING, hours=80),
        )
    ]
    return [bucket for buckets in (*series, *windows) for bucket in buckets]


class TestUsage:
    @pytest.mark.parametrize(
        "grouping",
        [
            Grouping(),
            BY_EVERY_GROUP,
            Grouping(properties=("region",)),
            Grouping(properties=("region", "model")),
            Grouping(properties=("region",), only={"model": ODD}),
            Grouping(only={"model": "small", "region": None}),
        ],
        ids=["whole", "every group", "merged", "turned round", "merged of one", "one group"],
    )
    def test_is_what_its_events_come_to(self, grouping: Grouping) -> None:
        subscription = subscribe(plan=make_grouped_plan())
        sent = choose(send_at_random(subscription, seed=7), grouping.only)
        resets = list(Period.objects.filter(subscription=subscription).values_list("starts_at", flat=True))
        names = ("model", "region") if grouping.properties is None else grouping.properties
        groups = Counter(tuple(getattr(one, name) for name in names) for one in sent) if names else {}
        compared = 0
        for bucket in read_cuts(subscription, UsageChoice(grouping=grouping)):
            span = {"starts_at": bucket.starts_at, "ends_at": bucket.ends_at}
            for item in bucket.meters:
                code = item.meter.code
                assert item.usage.quantity == measure(code, sent, resets=resets, **span), (code, span)
                found = {tuple(group.values[name] for name in names): group for group in item.groups or ()}
                for group in groups:
                    own = choose(sent, dict(zip(names, group, strict=True)))
                    quantity = found[group].usage.quantity if group in found else 0
                    assert quantity == measure(code, own, resets=resets, **span), (code, span, group)
                    compared += bool(quantity)
                assert found.keys() <= set(groups)
        assert compared > 200 if names else compared == 0
