"""Values that events carry, good and bad, on a meter that sums them up. A million tokens cost $2.00."""

import json
from datetime import timedelta

import pytest

from tests.factories.subscriptions import utc
from tests.scenarios.metering.steps import (
    DOLLAR,
    EVENT_TYPE,
    MILLION,
    TOKENS,
    Bill,
    Line,
    Report,
    Stored,
    Story,
    Usage,
    write_event,
)

START = utc(2026, 1, 15, 10)
FEBRUARY = utc(2026, 2, 15)
HOUR = timedelta(hours=1)
IMAGES = f"{EVENT_TYPE}.images"
LARGEST = 10**30 - 1
BAD_VALUES = [
    -1,
    "-0.5",
    LARGEST + 1,
    "1e30",
    1e300,
    1e-31,
    "0." + 30 * "0" + "1",
    True,
    False,
    "many",
    "",
    " 5",
    "+5",
    "1,000",
    "0x10",
    "١٢",
    "NaN",
    "Infinity",
    "-Infinity",
    [5],
    {"tokens": 5},
]


class TestNoValue:
    def test_adds_nothing_and_leaves_the_other_meters_to_count(self, story: Story) -> None:
        subscription = story.subscribe(plan_id=story.add_plan("tokens", "images"))
        missing = write_event(subscription, stamped=START, properties={"images": 3})
        null = write_event(subscription, stamped=START, properties={"images": 2 * MILLION, "tokens": None})
        nothing = write_event(subscription, stamped=START, properties={})

        assert story.send_batch(missing, null, nothing) == Report(200, 3, 0, [])

        assert story.look_up(nothing) == Stored(subscription.id, START, START, is_late=False)
        assert story.read_usage(subscription) == {TOKENS: Usage("0"), IMAGES: Usage("2000003")}
        story.pass_time(FEBRUARY + HOUR)
        # 2,000,003 x $0.000002 is $4.000006.
        assert story.list_bills(subscription) == [
            Bill(
                "INV-000001",
                "PeriodEnd",
                4 * DOLLAR,
                [Line("tokens", "0", 0), Line("images", "2000003", 4 * DOLLAR + 6 * MILLION)],
            )
        ]


class TestGoodValue:
    @pytest.mark.parametrize(
        ("values", "sum_", "amount_nanos"),
        [
            (["250000", 250_000], "500000", 1 * DOLLAR),
            (["5e5", 0, "0", "-0"], "500000", 1 * DOLLAR),
            # 0.1 + 0.2 in floats is 0.30000000000000004.
            ([0.1, "0.2", 500_000], "500000.3", 1 * DOLLAR + 600_000),
            # A line is rounded to the 10^-12 of a dollar.
            (["0.000000000000000000000000000001", 500_000], "500000.000000000000000000000000000001", DOLLAR),
        ],
        ids=["strings", "exponents and zeros", "fractions", "the smallest"],
    )
    def test_counts_exactly(self, story: Story, values: list[object], sum_: str, amount_nanos: int) -> None:
        subscription = story.subscribe()

        report = story.send_batch(
            *[write_event(subscription, stamped=START, tokens=value) for value in values]
        )

        assert report == Report(200, len(values), 0, [])
        assert story.read_tokens(subscription) == Usage(sum_)
        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 1 * DOLLAR, [Line("tokens", sum_, amount_nanos)])
        ]

    def test_may_have_thirty_digits(self, story: Story) -> None:
        subscription = story.subscribe()
        events = [write_event(subscription, stamped=START, tokens=value) for value in (LARGEST, str(LARGEST))]

        assert story.send_batch(*events) == Report(200, 2, 0, [])

        # Twice 10^30 - 1, of which each is two millions of nanos; the invoice is rounded to the cent.
        assert story.read_tokens(subscription) == Usage("1999999999999999999999999999998")
        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [
            Bill(
                "INV-000001",
                "PeriodEnd",
                4 * 10**36,
                [Line("tokens", "1999999999999999999999999999998", 4 * 10**36 - 4 * MILLION)],
            )
        ]


class TestBadValue:
    def test_is_refused_and_sinks_no_other_event(self, story: Story) -> None:
        subscription = story.subscribe()
        bad = [write_event(subscription, stamped=START, tokens=value) for value in BAD_VALUES]
        good = write_event(subscription, stamped=START, tokens=5)

        assert story.send(bad[0]) == "422 invalid_value"
        assert story.send_batch(*bad, good) == Report(
            207, 1, 0, [(index, event["id"], "invalid_value") for index, event in enumerate(bad)]
        )

        assert [story.find_event(event) for event in bad] == [None] * len(bad)
        assert story.read_tokens(subscription) == Usage("5")

    def test_on_one_meter_keeps_the_event_from_all(self, story: Story) -> None:
        subscription = story.subscribe(plan_id=story.add_plan("tokens", "images"))
        event = write_event(subscription, stamped=START, properties={"images": 3, "tokens": -1})

        assert story.send(event) == "422 invalid_value"

        assert story.find_event(event) is None
        assert story.read_usage(subscription) == {TOKENS: Usage("0"), IMAGES: Usage("0")}

    def test_that_is_not_even_json_is_a_bad_request(self, story: Story) -> None:
        subscription = story.subscribe()
        good = write_event(subscription, stamped=START)

        for number in (float("nan"), float("inf"), float("-inf")):
            bad = write_event(subscription, stamped=START, tokens=number)
            assert story.send_text(json.dumps({"events": [good, bad]})) == (400, "parse_error")

        assert story.find_event(good) is None
        assert story.read_tokens(subscription) == Usage("0")


class TestBatch:
    def test_reports_on_every_event_by_its_index(self, story: Story) -> None:
        plan_id = story.add_plan()
        subscription, ended, closed, two = (story.subscribe(plan_id=plan_id) for _ in range(4))
        story.subscribe(two.customer_id, plan_id=plan_id)
        story.cancel(ended, "Now")
        story.set_status(closed.customer_id, "Closed")
        unsubscribed = story.add_customer()
        good = write_event(subscription, stamped=START, id="good")
        without_time = {name: value for name, value in good.items() if name != "timestamp"}

        report = story.send_batch(
            write_event(subscription, stamped=START, id="0", tokens=-1),
            write_event("01944b1f-0000-7000-8000-000000000001", stamped=START, id="1"),
            write_event(closed, stamped=START, id="2"),
            good,
            write_event(ended, stamped=START, id="4", customer_id=subscription.customer_id),
            write_event(ended, stamped=START, id="5"),
            write_event(subscription, stamped=START + 2 * HOUR, id="6"),
            write_event(two.customer_id, stamped=START, id="7"),
            good,
            {**good, "properties": {}},
            {**without_time, "id": "10"},
            "eleven",
            write_event(subscription, stamped=START, id=300 * "x"),
            write_event(subscription, stamped=START, id="13", properties={"note": 20_000 * "x"}),
            write_event(unsubscribed, stamped=START, id="unmatched"),
        )

        assert report == Report(
            status=207,
            accepted=2,
            duplicates=1,
            refusals=[
                (0, "0", "invalid_value"),
                (1, "1", "unknown_customer"),
                (2, "2", "customer_closed"),
                (4, "4", "unknown_subscription"),
                (5, "5", "subscription_ended"),
                (6, "6", "timestamp_in_future"),
                (7, "7", "ambiguous_subscription"),
                (9, "good", "conflict"),
                (10, "10", "malformed"),
                (11, None, "malformed"),
                (12, 255 * "x", "too_long"),
                (13, "13", "too_long"),
            ],
        )
        assert story.read_tokens(subscription) == Usage("1000000")
        story.pass_time(FEBRUARY + HOUR)
        assert story.list_bills(subscription) == [
            Bill("INV-000001", "PeriodEnd", 2 * DOLLAR, [Line("tokens", "1000000", 2 * DOLLAR)])
        ]

    def test_is_refused_as_a_whole_only_where_no_event_is_good(self, story: Story) -> None:
        subscription = story.subscribe()
        events = [write_event(subscription, stamped=START, id=name, tokens=-1) for name in ("a", "b")]

        assert story.send_batch(*events) == Report(
            422, 0, 0, [(0, "a", "invalid_value"), (1, "b", "invalid_value")]
        )

        assert story.read_tokens(subscription) == Usage("0")
