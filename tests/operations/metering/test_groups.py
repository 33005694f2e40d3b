"""What a meter counts of the events of its type: which pass its filters, in which groups, and in which hour."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from catalog.models import Aggregation
from metering.models import UsageRollup
from metering.queries import MeterUsage, read_usage_summary
from metering.queries.choices import UsageChoice
from metering.queries.rollups import BY_EVERY_GROUP
from subscriptions.models import Subscription
from tests.factories.core import NOON
from tests.factories.customers import make_customer
from tests.factories.metering import (
    count_report,
    define_meter,
    get_stored,
    ingest,
    list_codes,
    make_plan_of,
    read_totals,
    write_upload,
)
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
Groups = list[tuple[Mapping[str, str | None], Decimal]]


def subscribe_to(aggregation: Aggregation, **definition: Any) -> Subscription:
    return subscribe(plan=make_plan_of({"meter": define_meter(aggregation, **definition)}))


def send(subscription: Subscription, *uploads: Mapping[str, object]) -> None:
    """Send uploads with these properties in one batch."""
    report = ingest(*[write_upload(subscription, timestamp=NOON, **upload) for upload in uploads])
    assert count_report(report) == (len(uploads), 0, 0)


def read_groups(subscription: Subscription) -> tuple[MeterUsage, Groups]:
    """Read the usage of the one meter, whole and by group."""
    (item,) = read_usage_summary(
        subscription=subscription,
        period=subscription.periods.get(),
        at=NOON,
        choice=UsageChoice(grouping=BY_EVERY_GROUP),
    ).meters
    assert item.groups is not None
    return item.usage, [(group.values, group.usage.quantity) for group in item.groups]


def spell(length: int, *, first: int = 0x4E00) -> str:
    """Write a text of so many different characters, which cannot be compressed."""
    return "".join(chr(first + 37 * number % 20_000) for number in range(length))


class TestGroups:
    def test_are_those_of_all_the_properties_together(self) -> None:
        subscription = subscribe_to(Aggregation.SUM, group_by=["region", "model"])

        send(
            subscription,
            {"size": 1, "region": "eu", "model": "a"},
            {"size": 2, "region": "us", "model": "a"},
            {"size": 4, "region": "eu", "model": "b"},
            {"size": 8, "region": "eu", "model": "a"},
            {"size": 16, "region": "us"},
            {"size": 32, "region": None, "model": ["a"]},
        )

        usage, groups = read_groups(subscription)
        assert usage == MeterUsage(Decimal(63), Decimal(0), 6)
        assert groups == [
            ({"region": "eu", "model": "a"}, Decimal(9)),
            ({"region": "eu", "model": "b"}, Decimal(4)),
            ({"region": "us", "model": "a"}, Decimal(2)),
            ({"region": "us", "model": None}, Decimal(16)),
            ({"region": None, "model": None}, Decimal(32)),
        ]
        assert find_breaches() == []

    def test_are_equal_where_their_texts_are(self) -> None:
        subscription = subscribe_to(Aggregation.COUNT, group_by=["size"])

        send(subscription, {"size": 1}, {"size": "1"}, {"size": 1.0}, {"size": True}, {"size": "true"})

        assert read_groups(subscription)[1] == [({"size": "1"}, Decimal(3)), ({"size": "true"}, Decimal(2))]

    def test_may_be_any_number(self) -> None:
        subscription = subscribe_to(Aggregation.SUM, group_by=["user"])

        send(subscription, *[{"size": number, "user": f"user-{number:04}"} for number in range(2_000)])

        usage, groups = read_groups(subscription)
        assert usage.quantity == 1999 * 2000 // 2
        assert groups == [({"user": f"user-{number:04}"}, Decimal(number)) for number in range(2_000)]

    @pytest.mark.parametrize(
        ("aggregation", "whole", "eu", "us"),
        [
            (Aggregation.SUM, "60", "40", "20"),
            (Aggregation.COUNT, "4", "3", "1"),
            (Aggregation.MAX, "20", "20", "20"),
            (Aggregation.MIN, "5", "5", "20"),
            (Aggregation.AVERAGE, "15", "13.333333333333", "20"),
            (Aggregation.UNIQUE_COUNT, "3", "3", "1"),
            (Aggregation.LATEST, "20", "20", "20"),  # Of one instant, the greatest.
            (Aggregation.PERCENTILE, "20", "20", "20"),
        ],
    )
    def test_have_a_level_each(self, aggregation: Aggregation, whole: str, eu: str, us: str) -> None:
        subscription = subscribe_to(aggregation, group_by=["region"])

        send(
            subscription,
            *[{"size": size, "region": "eu"} for size in (5, 15, 20)],
            {"size": 20, "region": "us"},
        )

        usage, groups = read_groups(subscription)
        assert usage.quantity == Decimal(whole)
        assert groups == [({"region": "eu"}, Decimal(eu)), ({"region": "us"}, Decimal(us))]

    @pytest.mark.parametrize("aggregation", [Aggregation.SUM, Aggregation.UNIQUE_COUNT])
    def test_are_as_long_as_the_database_can_keep(self, aggregation: Aggregation) -> None:
        names = [f"name-{number}" for number in range(10)]
        subscription = subscribe_to(aggregation, group_by=names, property="text")
        value = 7 if aggregation == Aggregation.SUM else spell(255, first=0x20000)
        # 489 characters of three bytes, two of one byte, and 31 bytes of punctuation: 1,500 in all.
        text = spell(489)
        longest = {name: text[54 * number : 54 * number + 54] for number, name in enumerate(names)}
        longest[names[9]] += "xx"

        fits = write_upload(subscription, timestamp=NOON, text=value, **longest)
        longest[names[9]] += "x"
        exceeds = write_upload(subscription, timestamp=NOON, text=value, **longest)
        report = ingest(exceeds, fits)

        assert list_codes(report) == [(0, "invalid_value")]
        assert count_report(report) == (1, 0, 1)
        assert read_totals(subscription) == {"meter": 7 if aggregation == Aggregation.SUM else 1}


class TestFilters:
    def test_all_have_to_hold(self) -> None:
        filters = [
            {"property": "tier", "operator": "Equals", "value": "paid"},
            {"property": "size", "operator": "GreaterThan", "value": 10},
            {"property": "test", "operator": "Missing"},
        ]
        subscription = subscribe_to(Aggregation.SUM, filters=filters)

        send(
            subscription,
            {"size": 11, "tier": "paid"},
            {"size": 12, "tier": "free"},
            {"size": 10, "tier": "paid"},
            {"size": 14, "tier": "paid", "test": True},
            {"size": 15},
        )

        assert read_totals(subscription) == {"meter": Decimal(11)}
        assert find_breaches() == []

    def test_part_events_among_meters(self) -> None:
        paid = {"property": "tier", "operator": "Equals", "value": "paid"}
        other = {"property": "tier", "operator": "NotEquals", "value": "paid"}
        meters = {
            "paid": define_meter(Aggregation.SUM, filters=[paid]),
            "other": define_meter(Aggregation.SUM, filters=[other]),
            "all": define_meter(Aggregation.COUNT),
        }
        subscription = subscribe(plan=make_plan_of(meters))

        send(subscription, {"size": 1, "tier": "paid"}, {"size": 2, "tier": "free"}, {"size": 4})

        assert read_totals(subscription) == {"paid": 1, "other": 6, "all": 3}

    def test_keep_a_value_that_no_meter_counts_from_being_refused(self) -> None:
        filters = [{"property": "tier", "operator": "Equals", "value": "paid"}]
        subscription = subscribe_to(Aggregation.SUM, filters=filters)
        free = write_upload(subscription, timestamp=NOON, size="many", tier="free")

        report = ingest(free, {**free, "id": "paid", "properties": {"size": "many", "tier": "paid"}})

        assert list_codes(report) == [(1, "invalid_value")]
        assert get_stored(free).is_matched
        assert read_totals(subscription) == {}


class TestHours:
    @pytest.mark.parametrize(
        ("timezone", "hours"),
        [
            ("UTC", [(0, 3), (60, 2)]),
            ("America/New_York", [(0, 3), (60, 2)]),
            # 5:30 ahead of UTC: hours begin at half past.
            ("Asia/Kolkata", [(-30, 2), (30, 3)]),
            # 5:45 ahead: at a quarter past.
            ("Asia/Kathmandu", [(-45, 1), (15, 3), (75, 1)]),
        ],
    )
    def test_are_those_that_the_customers_clocks_show(
        self, timezone: str, hours: list[tuple[int, int]]
    ) -> None:
        plan = make_plan_of(
            {name: define_meter(Aggregation(name)) for name in (Aggregation.SUM, Aggregation.PERCENTILE)}
        )
        subscription = subscribe(
            plan=plan, customer=make_customer(timezone=timezone), start_at=NOON - HOUR, at=NOON
        )

        ingest(
            *[
                write_upload(subscription, timestamp=NOON + minutes * MINUTE, size=1)
                for minutes in (14, 15, 45, 60, 80)
            ],
            at=NOON + 2 * HOUR,
        )

        for name in ("Sum", "Percentile"):
            meter_id = subscription.plan_version.prices.get(meter__code=name).meter_id
            rollups = UsageRollup.objects.filter(meter_id=meter_id)
            assert sorted(rollups.values_list("hour_at", "event_count")) == [
                (NOON + minutes * MINUTE, event_count) for minutes, event_count in hours
            ]
        assert find_breaches() == []
