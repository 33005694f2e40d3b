"""A price book of an LLM API: one SKU with a price for each model and token type, all worked out by hand.

dollars for a million tokens    input    output
sonnet                          3        15
haiku                           0.80     4
opus                            15       75
any other                       1        1
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories.subscriptions import find_breaches, utc
from tests.scenarios.metering.steps import Json, Story, Subscribed, write_event

PRICES = {
    ("sonnet", "input"): "3000000",
    ("sonnet", "output"): "15000000",
    ("haiku", "input"): "800000",
    ("haiku", "output"): "4000000",
    ("opus", "input"): "15000000",
    ("opus", "output"): "75000000",
}
BOOK: Json = {
    "name": "Tokens",
    "currency": "USD",
    "pricing_model": "Matrix",
    "dimensions": ["model", "token_type"],
    "cells": [{"values": list(values), "unit_amount_nanos": nanos} for values, nanos in PRICES.items()],
    "default_unit_amount_nanos": "1000000",
    "meter_code": "tokens-by-model",
    "meter_event_type": "llm.tokens",
    "meter_property": "tokens",
}


@pytest.fixture
def story(db: None) -> Iterator[Story]:
    """A story that begins with March, so that monthly periods are those of the calendar."""
    yield Story.begin(utc(2026, 3, 1))
    assert find_breaches() == []


def use(story: Story, subscription: Subscribed, day: int, *parts: tuple[str | None, str, int]) -> None:
    """Let time pass until a day of March, and send tokens of these models and types."""
    story.pass_time(utc(2026, 3, day))
    for model, token_type, tokens in parts:
        properties = {"model": model, "token_type": token_type, "tokens": tokens}
        known = {name: value for name, value in properties.items() if value is not None}
        event = write_event(
            subscription, stamped=utc(2026, 3, day), event_type="llm.tokens", properties=known
        )
        assert story.send(event) == "accepted"


def read_line(invoice: Json) -> tuple[str, int, list[tuple[str, str, int]]]:
    """Read the quantity, the amount and the steps of an invoice's only line."""
    (line,) = invoice["line_items"]
    steps = [(step["description"], step["quantity"], int(step["amount_nanos"])) for step in line["steps"]]
    return line["quantity"], int(line["amount_nanos"]), steps


def read_totals(invoice: Json) -> tuple[str, str, int, int]:
    """Read what kind of invoice it is, and what it comes to, with its rounding."""
    return (
        invoice["reason"],
        invoice["status"],
        int(invoice["total_nanos"]),
        int(invoice["rounding_nanos"]),
    )


class TestPriceBook:
    def test_is_billed_to_the_nano_in_the_middle_of_a_month_and_at_its_end(self, story: Story) -> None:
        client = story.client
        plan = {"name": "LLM API", "billing_cadence": "Monthly"}
        plan_id = client.post("/admin/v1/catalog/plans", plan).json()["id"]
        sku = client.post("/admin/v1/catalog/skus", {**BOOK, "plan_id": plan_id}).json()
        # The meter groups by what the price tells apart without being told so.
        assert (sku["group_by"], sku["aggregation"]) == (["model", "token_type"], "Sum")
        subscription = story.subscribe(plan_id=plan_id)

        use(
            story,
            subscription,
            5,
            ("sonnet", "input", 1_000_000),
            ("sonnet", "output", 200_001),
            ("haiku", "input", 3_333),
            ("opus", "output", 7),
            ("llama", "input", 500),
        )

        # The middle of the month: a bill on demand.
        #   sonnet in     1,000,000 x  3,000,000 = 3,000,000,000,000
        #   sonnet out      200,001 x 15,000,000 = 3,000,015,000,000
        #   haiku in          3,333 x    800,000 =     2,666,400,000
        #   opus out              7 x 75,000,000 =       525,000,000
        #   any other           500 x  1,000,000 =       500,000,000
        #                 1,203,841                6,003,706,400,000, so $6.00
        draft = client.post(f"/admin/v1/subscriptions/{subscription.id}/bill").json()
        first = client.post(f"/admin/v1/invoices/{draft['id']}/finalize").json()
        assert read_line(first) == (
            "1203841",
            6_003_706_400_000,
            [
                ("model sonnet, token_type input", "1000000", 3_000_000_000_000),
                ("model sonnet, token_type output", "200001", 3_000_015_000_000),
                ("model haiku, token_type input", "3333", 2_666_400_000),
                ("model opus, token_type output", "7", 525_000_000),
                ("Any other model and token_type", "500", 500_000_000),
            ],
        )
        assert read_totals(first) == ("OnDemand", "Open", 6_000_000_000_000, -3_706_400_000)

        use(
            story,
            subscription,
            20,
            ("sonnet", "input", 500_000),
            ("haiku", "output", 40_000),
            ("gpt-4", "output", 1_000),
            (None, "output", 250),
        )

        # The whole month, less what was billed.
        #   sonnet in     1,500,000 x  3,000,000 = 4,500,000,000,000
        #   sonnet out      200,001 x 15,000,000 = 3,000,015,000,000
        #   haiku in          3,333 x    800,000 =     2,666,400,000
        #   haiku out        40,000 x  4,000,000 =   160,000,000,000
        #   opus out              7 x 75,000,000 =       525,000,000
        #   any other         1,750 x  1,000,000 =     1,750,000,000
        #                 1,745,091                7,664,956,400,000
        #   billed before 1,203,841                6,003,706,400,000
        #                   541,250                1,661,250,000,000
        expected = (
            "541250",
            1_661_250_000_000,
            [
                ("model sonnet, token_type input", "1500000", 4_500_000_000_000),
                ("model sonnet, token_type output", "200001", 3_000_015_000_000),
                ("model haiku, token_type input", "3333", 2_666_400_000),
                ("model haiku, token_type output", "40000", 160_000_000_000),
                ("model opus, token_type output", "7", 525_000_000),
                ("Any other model and token_type", "1750", 1_750_000_000),
                ("Billed before", "1", -6_003_706_400_000),
            ],
        )
        preview = client.get(f"/v1/subscriptions/{subscription.id}/upcoming-invoice").json()
        assert read_line(preview) == expected

        story.pass_time(utc(2026, 4, 2))

        invoices: list[Any] = client.get("/admin/v1/invoices").json()
        last = client.get(f"/v1/invoices/{invoices[0]['id']}").json()
        assert read_line(last) == expected
        # $7.664956 in all are $7.66, of which $6.00 have been billed.
        assert read_totals(last) == ("PeriodEnd", "Open", 1_660_000_000_000, -1_250_000_000)
        assert len(invoices) == 2

        # The quote for the whole month is what was billed for it.
        parts = [("sonnet", "input", "1500000"), ("sonnet", "output", "200001"), ("haiku", "input", "3333")]
        parts += [("haiku", "output", "40000"), ("opus", "output", "7"), ("llama", "input", "500")]
        quantities: list[Json] = [
            {"values": [model, kind], "quantity": units} for model, kind, units in parts
        ]
        quantities += [{"values": ["gpt-4", None], "quantity": "1250"}]
        quote = client.post(f"/admin/v1/catalog/skus/{sku['id']}/quote", {"quantities": quantities}).json()
        assert (quote["quantity"], quote["amount_nanos"]) == ("1745091", "7664956400000")
