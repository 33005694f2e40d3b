"""From quantities so far to the lines that an invoice adds."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest

from catalog.pricing.registry import build_model
from catalog.pricing.types import Pricing, Stage
from invoicing.models import LineKind
from invoicing.rating.items import RatingItem, RatingKind
from invoicing.rating.lines import RatedLine, rate_items

DOLLAR = 10**12
PER_TOKEN = build_model("PerUnit", {"unit_amount_nanos": "2000000"})
SEATS = build_model("PerUnit", {"unit_amount_nanos": str(10 * DOLLAR)})
FEE = build_model("Flat", {"unit_amount_nanos": str(31 * DOLLAR)})
TIERS = build_model(
    "Graduated",
    {
        "tiers": [
            {"up_to": "100", "unit_amount_nanos": str(2 * DOLLAR)},
            {"up_to": None, "unit_amount_nanos": str(1 * DOLLAR)},
        ]
    },
)
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


def make_item(
    kind: RatingKind = RatingKind.USAGE, *, model: Pricing = PER_TOKEN, quantity: str = "0"
) -> RatingItem:
    """Make an item of which nothing was billed, in a segment that is its whole period."""
    return RatingItem(
        key="item:segment",
        kind=kind,
        item_id=UUID(int=1),
        sku_id=UUID(int=2),
        meter_id=UUID(int=3) if kind is RatingKind.USAGE else None,
        segment_id=UUID(int=4),
        subscription_id=UUID(int=5),
        description="Input Tokens",
        unit="token",
        model=model,
        share=Fraction(1),
        quantity=Decimal(quantity),
        late_quantity=Decimal(0),
        is_free=False,
        billed_nanos=0,
        billed_quantity=Decimal(0),
        tax_behavior="Exclusive",
        tax_category="saas",
        period_start=START,
        period_end=END,
    )


def rate(item: RatingItem, stage: Stage = Stage.FINAL) -> RatedLine:
    """Rate one item that has a line."""
    (line,) = rate_items([item], stage=stage)
    return line


class TestUsage:
    def test_has_a_line_with_every_column(self) -> None:
        item = replace(make_item(quantity="4977500"), late_quantity=Decimal(500))

        assert rate(item, Stage.IN_PROGRESS) == RatedLine(
            key="item:segment",
            kind=RatingKind.USAGE,
            item_id=UUID(int=1),
            sku_id=UUID(int=2),
            meter_id=UUID(int=3),
            segment_id=UUID(int=4),
            subscription_id=UUID(int=5),
            description="Input Tokens",
            quantity=Decimal(4977500),
            unit="token",
            unit_amount_nanos=2000000,
            charge_nanos=9955000000000,
            tax_behavior="Exclusive",
            tax_category="saas",
            period_start=START,
            period_end=END,
            rated_quantity=Decimal(4977500),
            late_quantity=Decimal(500),
            billed_nanos=0,
            steps=(
                {
                    "key": "units",
                    "description": "Units",
                    "quantity": "4977500",
                    "unit_amount_nanos": "2000000",
                    "amount_nanos": "9955000000000",
                },
            ),
        )

    def test_of_nothing_shows_its_meter_until_something_was_billed(self) -> None:
        item = make_item(quantity="0")

        assert rate(item).charge_nanos == 0
        billed = replace(item, quantity=Decimal(5), billed_quantity=Decimal(5), billed_nanos=5 * 2000000)
        assert rate_items([billed], stage=Stage.FINAL) == ()

    def test_adds_to_what_was_billed(self) -> None:
        item = replace(
            make_item(model=TIERS, quantity="150"),
            billed_quantity=Decimal(90),
            billed_nanos=180 * DOLLAR,
            late_quantity=Decimal(7),
            billed_late_quantity=Decimal(5),
        )

        line = rate(item)

        # 250 dollars for 150 units, less 180 for the first 90: the tiers go on where they were.
        assert (line.quantity, line.charge_nanos) == (Decimal(60), 70 * DOLLAR)
        assert (line.rated_quantity, line.billed_nanos) == (Decimal(150), 180 * DOLLAR)
        assert line.late_quantity == Decimal(2)
        assert line.unit_amount_nanos is None
        assert [(step["key"], step["amount_nanos"]) for step in line.steps] == [
            ("tier-1", str(200 * DOLLAR)),
            ("tier-2", str(50 * DOLLAR)),
            ("billed-before", str(-180 * DOLLAR)),
        ]

    def test_is_priced_by_its_groups_where_the_price_tells_them_apart(self) -> None:
        model = build_model(
            "Matrix",
            {
                "dimensions": ["model"],
                "cells": [{"values": ["gpt-4"], "unit_amount_nanos": str(3 * DOLLAR)}],
                "default_unit_amount_nanos": str(DOLLAR),
            },
        )
        groups = {("gpt-4",): Decimal(2), (None,): Decimal(5)}

        line = rate(replace(make_item(model=model, quantity="7"), groups=groups))

        assert (line.quantity, line.charge_nanos) == (Decimal(7), 11 * DOLLAR)  # 2 at 3, 5 at 1.
        assert line.unit_amount_nanos is None
        assert [(step["key"], step["quantity"]) for step in line.steps] == [
            ('["gpt-4"]', "2"),
            ("default", "5"),
        ]

    def test_that_falls_as_it_grows_gives_back(self) -> None:
        # 10 at $2 were billed; all 11 cost $1 each.
        tiers = [{"up_to": "10", "unit_amount_nanos": str(2 * DOLLAR)}, {"unit_amount_nanos": str(DOLLAR)}]
        item = replace(
            make_item(model=build_model("Volume", {"tiers": tiers}), quantity="11"),
            billed_quantity=Decimal(10),
            billed_nanos=20 * DOLLAR,
        )

        assert rate(item, Stage.IN_PROGRESS).charge_nanos == -9 * DOLLAR

    def test_shrinks_its_tiers_with_the_segment(self) -> None:
        item = replace(make_item(model=TIERS, quantity="60"), share=Fraction(1, 2))

        assert rate(item).charge_nanos == 110 * DOLLAR  # 50 at 2, 10 at 1.

    def test_that_was_billed_too_high_gives_back(self) -> None:
        item = replace(
            make_item(model=TIERS, quantity="10"), billed_quantity=Decimal(30), billed_nanos=60 * DOLLAR
        )

        line = rate(item)

        assert (line.quantity, line.charge_nanos) == (Decimal(-20), -40 * DOLLAR)

    def test_is_free_where_the_trial_is(self) -> None:
        line = rate(replace(make_item(quantity="4977500"), is_free=True))

        assert (line.quantity, line.charge_nanos) == (Decimal(4977500), 0)
        assert [step["key"] for step in line.steps] == ["free"]
        assert line.unit_amount_nanos == 0

    def test_has_a_minimum_only_once_it_is_final(self) -> None:
        model = build_model("PerUnit", {"unit_amount_nanos": "2000000", "minimum_nanos": str(5 * DOLLAR)})

        assert rate(make_item(model=model), Stage.IN_PROGRESS).charge_nanos == 0
        assert rate(make_item(model=model), Stage.FINAL).charge_nanos == 5 * DOLLAR


class TestFees:
    @pytest.mark.parametrize("model", [FEE, SEATS])
    def test_in_arrears_are_not_due_in_progress(self, model: Pricing) -> None:
        item = make_item(RatingKind.FEE, model=model, quantity="5")

        assert rate_items([item], stage=Stage.IN_PROGRESS) == ()
        assert len(rate_items([item], stage=Stage.FINAL)) == 1

    def test_of_seats_are_the_seats_times_the_price(self) -> None:
        line = rate(make_item(RatingKind.FEE, model=SEATS, quantity="5"))

        assert (line.quantity, line.charge_nanos, line.unit_amount_nanos) == (
            Decimal(5),
            50 * DOLLAR,
            10 * DOLLAR,
        )

    @pytest.mark.parametrize(
        ("model", "quantity", "share", "charge_nanos"),
        [
            (FEE, "1", Fraction(10, 31), 10 * DOLLAR),
            (SEATS, "5", Fraction(15, 30), 25 * DOLLAR),
            (TIERS, "150", Fraction(1, 2), 125 * DOLLAR),
            (SEATS, "1", Fraction(1, 3), 3333333333333),
            (SEATS, "1", Fraction(0), 0),
        ],
    )
    def test_are_prorated_as_a_whole(
        self, model: Pricing, quantity: str, share: Fraction, charge_nanos: int
    ) -> None:
        line = rate(replace(make_item(RatingKind.FEE, model=model, quantity=quantity), share=share))

        assert line.charge_nanos == charge_nanos
        assert line.steps[-1]["description"] == f"Prorated to {share}"
        assert line.unit_amount_nanos is None

    def test_are_free_during_a_trial(self) -> None:
        line = rate(replace(make_item(RatingKind.FEE, model=FEE, quantity="1"), is_free=True))

        assert (line.charge_nanos, line.steps[0]["key"]) == (0, "free")

    @pytest.mark.parametrize("stage", list(Stage))
    def test_in_advance_are_due_at_any_stage(self, stage: Stage) -> None:
        line = rate(make_item(RatingKind.ADVANCE_FEE, model=FEE, quantity="1"), stage)

        assert (line.kind, line.charge_nanos) == (RatingKind.ADVANCE_FEE, 31 * DOLLAR)

    def test_in_advance_are_billed_once_and_then_the_difference(self) -> None:
        billed = replace(
            make_item(RatingKind.ADVANCE_FEE, model=SEATS, quantity="5"),
            billed_quantity=Decimal(5),
            billed_nanos=50 * DOLLAR,
        )

        assert rate_items([billed], stage=Stage.FINAL) == ()
        line = rate(replace(billed, quantity=Decimal(7)))
        assert (line.kind, line.quantity, line.charge_nanos) == (RatingKind.FEE, Decimal(2), 20 * DOLLAR)


class TestRateItems:
    def test_keeps_the_order(self) -> None:
        items = [replace(make_item(), key=f"item:{number}") for number in range(3)]

        assert [line.key for line in rate_items(items, stage=Stage.FINAL)] == ["item:0", "item:1", "item:2"]

    def test_names_kinds_as_the_lines_do(self) -> None:
        assert {str(kind) for kind in RatingKind} <= set(LineKind.values)


class TestForgiven:
    @pytest.mark.parametrize(
        ("quantity", "forgiven", "charge"),
        [
            ("80", 0, -20),  # $20 of what was asked for.
            ("80", 100, 0),  # Nobody has asked for any of it.
            ("80", 50, -20),
            ("20", 50, -50),  # Only half was asked for.
            ("130", 50, 30),  # What comes on top is asked for.
            ("80", 120, 0),
        ],
    )
    def test_amounts_are_not_given_back(self, quantity: str, forgiven: int, charge: int) -> None:
        item = replace(
            make_item(model=build_model("PerUnit", {"unit_amount_nanos": str(DOLLAR)}), quantity=quantity),
            billed_nanos=100 * DOLLAR,
            billed_quantity=Decimal(100),
            forgiven_nanos=forgiven * DOLLAR,
        )

        line = rate(item)

        assert line.charge_nanos == charge * DOLLAR
        assert sum(int(step["amount_nanos"]) for step in line.steps) == charge * DOLLAR
        assert line.quantity == Decimal(quantity) - 100
