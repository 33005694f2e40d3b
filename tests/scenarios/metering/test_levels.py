"""Months billed by each aggregation. A unit of each is a dollar; April has 30 days, May 31."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from catalog.models import Aggregation
from tests.factories.subscriptions import find_breaches, utc
from tests.scenarios.metering.steps import (
    DOLLAR,
    Bill,
    Json,
    Line,
    Story,
    Subscribed,
    Usage,
    read_id,
    write_event,
)

APRIL, MAY, JUNE, JULY = (utc(2026, month, 1) for month in (4, 5, 6, 7))
GRACE = timedelta(hours=1)


@pytest.fixture
def story(db: None) -> Iterator[Story]:
    """A story that begins with April: monthly periods are months."""
    yield Story.begin(APRIL)
    assert find_breaches() == []


def april(day: int) -> datetime:
    return utc(2026, 4, day)


def subscribe(story: Story, names: Sequence[str], **definition: object) -> Subscribed:
    """Subscribe a customer to a plan with a SKU for each of these aggregations, of the size of uploads."""
    client = story.client
    plan = {"name": "Levels", "billing_cadence": "Monthly"}
    plan_id = read_id(client.post("/admin/v1/catalog/plans", plan))
    for name in names:
        sku: Json = {
            "plan_id": plan_id,
            "name": name,
            "currency": "USD",
            "pricing_model": "PerUnit",
            "unit_amount_nanos": str(DOLLAR),
            "meter_code": name,
            "meter_event_type": "upload",
            "aggregation": name,
            **definition,
        }
        if name != "Count":
            sku["meter_property"] = "size"
        if name == "Percentile":
            sku["percentile"] = "95"
        read_id(client.post("/admin/v1/catalog/skus", sku))
    return story.subscribe(plan_id=plan_id)


def send(story: Story, subscription: Subscribed, size: object, *, stamped: datetime) -> None:
    """Send an upload of this size, stamped with an instant that is now or has been."""
    properties = {"size": size}
    event = write_event(subscription, stamped=stamped, event_type="upload", properties=properties)
    assert story.send(event) == "accepted"


def upload(story: Story, subscription: Subscribed, size: object, *, at: datetime) -> None:
    """Let time pass until `at`, and send an upload of that instant."""
    story.pass_time(at)
    send(story, subscription, size, stamped=at)


def read_values(story: Story, subscription: Subscribed) -> dict[str, str]:
    return {name: usage.value for name, usage in story.read_usage(subscription).items()}


class TestMonth:
    def test_is_billed_by_every_aggregation(self, story: Story) -> None:
        subscription = subscribe(story, Aggregation.values)

        upload(story, subscription, 10, at=april(5))
        upload(story, subscription, 20, at=april(8))
        upload(story, subscription, 40, at=april(20))
        upload(story, subscription, 11, at=april(25))
        story.pass_time(MAY + GRACE)

        assert story.list_bills(subscription) == [
            Bill(
                "INV-000001",
                "PeriodEnd",
                251_12 * DOLLAR // 100,  # The lines come to 251.116666666667.
                [
                    Line("Sum", "81", 81 * DOLLAR),
                    Line("Count", "4", 4 * DOLLAR),
                    Line("Max", "40", 40 * DOLLAR),
                    Line("Min", "10", 10 * DOLLAR),
                    Line("Average", "20.25", 20_250_000_000_000),
                    Line("UniqueCount", "4", 4 * DOLLAR),
                    Line("Latest", "11", 11 * DOLLAR),
                    # 10 for 26 days, 20 for 23, 40 for 11, and 11 for 6: 260 + 460 + 440 + 66 = 1226 / 30.
                    Line("WeightedSum", "40.866666666667", 40_866_666_666_667),
                    Line("Percentile", "40", 40 * DOLLAR),  # Place 0.95 x 4 = 3.8, so the last of four.
                ],
            )
        ]

    def test_shows_what_it_has_come_to_so_far(self, story: Story) -> None:
        subscription = subscribe(story, Aggregation.values)

        upload(story, subscription, 12, at=april(6))
        upload(story, subscription, 6, at=april(8))
        story.pass_time(april(11))

        assert read_values(story, subscription) == {
            "Sum": "18",
            "Count": "2",
            "Max": "12",
            "Min": "6",
            "Average": "9",
            "UniqueCount": "2",
            "Latest": "6",
            "WeightedSum": "7.8",  # 12 for 5 days and 6 for 3, of ten so far: 78 / 10.
            "Percentile": "12",
        }

    def test_takes_what_comes_late_for_its_own(self, story: Story) -> None:
        subscription = subscribe(story, Aggregation.values)
        upload(story, subscription, 20, at=april(16))
        story.pass_time(MAY + GRACE)

        send(story, subscription, 100, stamped=april(10))
        upload(story, subscription, 10, at=utc(2026, 5, 11))
        story.pass_time(JUNE + GRACE)

        april_bill, may_bill = story.list_bills(subscription)
        # 20 by sum, max, min, average, latest and percentile, 1 by count and by values, 20 for half a month.
        assert april_bill.total_nanos == (6 * 20 + 1 + 1 + 10) * DOLLAR
        assert may_bill.lines == [
            Line("Sum", "110", 110 * DOLLAR, "100"),
            Line("Count", "2", 2 * DOLLAR, "1"),
            Line("Max", "100", 100 * DOLLAR),
            Line("Min", "10", 10 * DOLLAR),
            Line("Average", "55", 55 * DOLLAR),
            Line("UniqueCount", "2", 2 * DOLLAR),
            Line("Latest", "10", 10 * DOLLAR),
            # 100 from the first on, and 10 for 21 of 31 days: 100 + 210 / 31.
            Line("WeightedSum", "106.774193548387", 106_774_193_548_387),
            Line("Percentile", "100", 100 * DOLLAR),
        ]


class TestOnDemand:
    LEVELS = ("Max", "Average", "WeightedSum")

    def bill_now(self, story: Story, subscription: Subscribed) -> None:
        story.finalize(story.bill(subscription))

    def test_bills_what_a_level_has_risen_by(self, story: Story) -> None:
        subscription = subscribe(story, self.LEVELS)

        upload(story, subscription, 12, at=april(6))
        story.pass_time(april(11))
        self.bill_now(story, subscription)
        upload(story, subscription, 30, at=april(16))
        story.pass_time(MAY + GRACE)

        assert story.list_bills(subscription) == [
            Bill(
                "INV-000001",
                "OnDemand",
                30 * DOLLAR,
                [
                    Line("Max", "12", 12 * DOLLAR),
                    Line("Average", "12", 12 * DOLLAR),
                    Line("WeightedSum", "6", 6 * DOLLAR),  # 12 for 5 days, of ten so far
                ],
            ),
            Bill(
                "INV-000002",
                "PeriodEnd",
                46 * DOLLAR,
                [
                    Line("Max", "18", 18 * DOLLAR),  # 30 in all
                    Line("Average", "9", 9 * DOLLAR),  # 21 in all
                    # 25 in all: 12 for 25 of thirty days, and 30 for half of the month.
                    Line("WeightedSum", "19", 19 * DOLLAR),
                ],
            ),
        ]

    def test_gives_back_what_a_level_has_fallen_by(self, story: Story) -> None:
        subscription = subscribe(story, self.LEVELS)

        send(story, subscription, 12, stamped=APRIL)
        story.pass_time(april(11))
        self.bill_now(story, subscription)
        upload(story, subscription, 8, at=april(16))
        story.pass_time(MAY + GRACE)

        _, last = story.list_bills(subscription)
        assert last == Bill(
            "INV-000002",
            "PeriodEnd",
            2 * DOLLAR,
            [
                Line("Average", "-2", -2 * DOLLAR),  # 10 in all
                Line("WeightedSum", "4", 4 * DOLLAR),  # 16 in all: 12, and 8 for half of the month.
            ],
        )

    def test_asks_for_nothing_more_where_levels_stay(self, story: Story) -> None:
        subscription = subscribe(story, self.LEVELS)

        send(story, subscription, 12, stamped=APRIL)
        story.pass_time(april(11))
        self.bill_now(story, subscription)
        story.pass_time(MAY + GRACE)

        assert [bill.total_nanos for bill in story.list_bills(subscription)] == [36 * DOLLAR]


class TestCarryingOver:
    def test_bills_a_level_month_after_month_without_events(self, story: Story) -> None:
        subscription = subscribe(story, ["WeightedSum"], carries_over=True)

        upload(story, subscription, 10, at=april(16))
        story.pass_time(JUNE + GRACE)
        send(story, subscription, -4, stamped=utc(2026, 5, 20))  # Late: from 1 June on.
        upload(story, subscription, "-6", at=utc(2026, 6, 16))
        story.pass_time(utc(2026, 8, 1) + GRACE)

        assert [(bill.lines, bill.total_nanos) for bill in story.list_bills(subscription)] == [
            ([Line("WeightedSum", "5", 5 * DOLLAR)], 5 * DOLLAR),
            ([Line("WeightedSum", "10", 10 * DOLLAR)], 10 * DOLLAR),
            ([Line("WeightedSum", "3", 3 * DOLLAR)], 3 * DOLLAR),  # 6 for half of June; none in July.
        ]
        assert story.read_usage(subscription, "previous") == {"WeightedSum": Usage("0")}

    def test_begins_anew_each_month_without_it(self, story: Story) -> None:
        subscription = subscribe(story, ["WeightedSum"])

        upload(story, subscription, 10, at=april(16))
        story.pass_time(JULY + GRACE)

        assert [bill.total_nanos for bill in story.list_bills(subscription)] == [5 * DOLLAR]
