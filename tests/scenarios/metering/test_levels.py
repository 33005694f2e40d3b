"""Months billed by each aggregation. A unit of each is a dollar; April has 30 days, May 31."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

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
NO_QUANTITY: Any = None


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


def read_values(story: Story, subscription: Subscribed, period: str = "current") -> dict[str, str]:
    return {name: usage.value for name, usage in story.read_usage(subscription, period).items()}


def add_up(story: Story, subscription: Subscribed) -> int:
    """Add up all that was billed for usage."""
    lines = [line for bill in story.list_bills(subscription) for line in bill.lines]
    return sum(line.amount_nanos for line in lines if line.name != "Balance")


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
            "WeightedSum": "2.6",  # 12 for 5 days and 6 for 3, of thirty in all: 78 / 30.
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
                26 * DOLLAR,
                [
                    Line("Max", "12", 12 * DOLLAR),
                    Line("Average", "12", 12 * DOLLAR),
                    Line("WeightedSum", "2", 2 * DOLLAR),  # 12 for 5 days, of thirty in all
                ],
            ),
            Bill(
                "INV-000002",
                "PeriodEnd",
                50 * DOLLAR,
                [
                    Line("Max", "18", 18 * DOLLAR),  # 30 in all
                    Line("Average", "9", 9 * DOLLAR),  # 21 in all
                    # 25 in all: 12 for 25 of thirty days, and 30 for half of the month.
                    Line("WeightedSum", "23", 23 * DOLLAR),
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
            10 * DOLLAR,
            [
                Line("Average", "-2", -2 * DOLLAR),  # 10 in all
                # 16 in all, 12 and 8 for half of the month; 12 for 10 of thirty days were billed.
                Line("WeightedSum", "12", 12 * DOLLAR),
            ],
        )

    def test_asks_only_for_the_time_that_has_passed_where_levels_stay(self, story: Story) -> None:
        subscription = subscribe(story, self.LEVELS)

        send(story, subscription, 12, stamped=APRIL)
        story.pass_time(april(11))
        assert read_values(story, subscription)["WeightedSum"] == "4"  # 12 for 10 of thirty days.
        self.bill_now(story, subscription)
        story.pass_time(april(21))
        assert read_values(story, subscription)["WeightedSum"] == "8"
        self.bill_now(story, subscription)
        story.pass_time(MAY + GRACE)

        rest = [Line("WeightedSum", "4", 4 * DOLLAR)]
        first, *others = story.list_bills(subscription)
        assert first.total_nanos == (12 + 12 + 4) * DOLLAR
        assert others == [
            Bill("INV-000002", "OnDemand", 4 * DOLLAR, rest),
            Bill("INV-000003", "PeriodEnd", 4 * DOLLAR, rest),
        ]
        assert read_values(story, subscription, "previous")["WeightedSum"] == "12"

    @pytest.mark.parametrize(
        ("change", "rest", "rest_nanos"),
        [
            # 12 for the other half of the month, and the change for 359 of its 720 hours: 6 + 29.9166...
            (60, "35.916666666667", 35_916_666_666_667),
            (-12, "0.016666666667", 16_666_666_667),  # 6 - 5.98333...
        ],
    )
    def test_knows_nothing_of_a_change_whose_instant_has_not_come(
        self, story: Story, change: int, rest: str, rest_nanos: int
    ) -> None:
        subscription = subscribe(story, ["WeightedSum"])
        send(story, subscription, 12, stamped=APRIL)
        story.pass_time(april(16))

        send(story, subscription, change, stamped=april(16) + GRACE)

        assert read_values(story, subscription) == {"WeightedSum": "6"}
        self.bill_now(story, subscription)
        story.pass_time(MAY + GRACE)
        first, last = story.list_bills(subscription)
        assert first.lines == [Line("WeightedSum", "6", 6 * DOLLAR)]
        assert last.lines == [Line("WeightedSum", rest, rest_nanos)]

    def test_counts_a_level_that_falls_against_what_is_asked_for_besides(self, story: Story) -> None:
        # A third of a dollar, less a third of a nano.
        subscription = subscribe(story, ["Latest", "Sum"], unit_amount_nanos="333333333333")

        upload(story, subscription, 30, at=april(6))
        self.bill_now(story, subscription)
        upload(story, subscription, 90, at=april(16))
        upload(story, subscription, 7, at=april(17))
        story.pass_time(MAY + GRACE)

        assert story.list_bills(subscription) == [
            Bill(
                "INV-000001",
                "OnDemand",
                20 * DOLLAR,  # The lines come to 19.99999999998, so 0.00000000002 too much is asked for.
                [
                    Line("Latest", "30", 9_999_999_999_990),
                    Line("Sum", "30", 9_999_999_999_990),
                ],
            ),
            Bill(
                "INV-000002",
                "PeriodEnd",
                24_67 * DOLLAR // 100,  # 24.666666666642
                [
                    Line("Latest", "-23", -7_666_666_666_659),  # 7 in all
                    Line("Sum", "97", 32_333_333_333_301),  # 127 in all
                ],
            ),
        ]
        # 7 and 127 units: 44.666666666622.
        assert add_up(story, subscription) == 134 * 333_333_333_333

    def test_asks_for_nothing_where_a_level_falls_and_counts_it_all_the_same(self, story: Story) -> None:
        subscription = subscribe(story, ["Latest"], unit_amount_nanos="333333333333")

        upload(story, subscription, 30, at=april(6))
        self.bill_now(story, subscription)
        upload(story, subscription, 7, at=april(11))
        self.bill_now(story, subscription)
        upload(story, subscription, 20, at=april(16))
        story.pass_time(MAY + GRACE)

        assert story.list_bills(subscription) == [
            Bill("INV-000001", "OnDemand", 10 * DOLLAR, [Line("Latest", "30", 9_999_999_999_990)]),
            Bill(
                "INV-000002",
                "OnDemand",
                0,
                [
                    Line("Latest", "-23", -7_666_666_666_659),
                    Line("Balance", NO_QUANTITY, 7_666_666_666_659),  # What a credit note gives back.
                ],
            ),
            Bill("INV-000003", "PeriodEnd", 4_33 * DOLLAR // 100, [Line("Latest", "13", 4_333_333_333_329)]),
        ]
        assert add_up(story, subscription) == 20 * 333_333_333_333


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
