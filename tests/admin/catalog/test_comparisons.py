"""In what a version of a plan differs from the one before, and prices of all models, in words."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client

from catalog.models import Plan, PlanVersion, PricingModel, Sku
from catalog.operations import MeterDefinition, update_plan, update_sku
from tests.factories.catalog import make_plan, make_sku, publish
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db

BY_MODEL = MeterDefinition.read(event_type="llm.tokens", property="tokens", group_by=["model"])
MATRIX: dict[str, Any] = {
    "dimensions": ["model"],
    "cells": [{"values": ["a"], "unit_amount_nanos": "3000000"}],
    "default_unit_amount_nanos": "5000000",
}
TIERS = [{"up_to": "1000", "unit_amount_nanos": "20000000000"}, {"unit_amount_nanos": "5000000000"}]


def read_text(answer: Any) -> str:
    """Read the text of a page."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())))


def read_version(staff: Client, plan: Plan, *, number: int) -> str:
    """Read the page of a version."""
    version = PlanVersion.objects.get(plan=plan, number=number)
    return read_text(staff.get(f"/admin/catalog/planversion/{version.pk}/change/"))


def change(sku: Sku, **changes: Any) -> None:
    """Change a SKU."""
    update_sku(sku_id=sku.pk, changes=changes, at=NOON, actor=TESTER)  # type: ignore[arg-type]


class TestVersions:
    def test_tell_what_has_changed(self, staff: Client) -> None:
        plan = make_plan()
        book = make_sku(
            plan,
            name="Book",
            meter=BY_MODEL,
            meter_code="t",
            pricing_model=PricingModel.MATRIX,
            params=MATRIX,
        )
        calls = make_sku(
            plan, name="Calls", meter=None, pricing_model=PricingModel.VOLUME, params={"tiers": TIERS}
        )
        gone = make_sku(plan, name="Gone", meter=None)
        publish(plan)
        update_plan(plan_id=plan.pk, changes={"trial_days": 14}, at=NOON, actor=TESTER)
        cells = [
            {"values": ["a"], "unit_amount_nanos": "4000000"},
            {"values": ["b"], "unit_amount_nanos": "1"},
        ]
        change(book, params={"cells": cells, "discount_bps": "250"}, tax_category="saas")
        change(calls, params={"tiers": [{**TIERS[0], "up_to": "2000"}, TIERS[1]]})
        change(gone, status="Archived")
        make_sku(plan, name="New", meter=None)

        text = read_version(staff, plan, number=2)

        assert "Changes since version 1" in text
        for line in (
            "The plan trial days 0 14 ",
            "Gone taken away Unit amount $0.000002 ",
            "New added – Unit amount $0.000002 ",
            "Book tax category – saas ",
            'Book Price of ["a"] $0.000003 $0.000004 ',
            'Book Price of ["b"] – $0.000000000001 ',
            "Book discount – 2.5% ",
            "Calls Tier 1, up to 1,000 2,000 ",
        ):
            assert line in text

    def test_of_which_there_is_one_have_nothing_to_tell(self, staff: Client) -> None:
        plan = make_plan()
        make_sku(plan)

        assert "Changes since" not in read_version(staff, plan, number=1)


class TestPrices:
    @pytest.mark.parametrize(
        ("pricing_model", "params", "words"),
        [
            ("Volume", {"tiers": TIERS}, "Up to 1,000, unit amount $0.02 Unit amount $0.005 "),
            (
                "Package",
                {"package_size": "1000", "package_amount_nanos": "7000000000000", "partial_packages": "Free"},
                "Package size 1,000 Package amount $7.00 Partial packages Free ",
            ),
            (
                "Committed",
                {
                    "commit_amount_nanos": "1000000000000000",
                    "unit_amount_nanos": "500000000000",
                    "overage_unit_amount_nanos": "400000000000",
                },
                "Commit amount $1,000.00 Unit amount $0.50 Overage unit amount $0.40 ",
            ),
            (
                "Percentage",
                {"rate_bps": "290", "fixed_nanos": "10000000000000", "discount_bps": "1000"},
                "Rate 2.9% Fixed $10.00 Discount 10% ",
            ),
            ("Matrix", MATRIX, "1 cell by model Default unit amount $0.000005 "),
        ],
    )
    def test_of_every_model_are_written_in_words(
        self, staff: Client, pricing_model: str, params: dict[str, Any], words: str
    ) -> None:
        plan = make_plan()
        model = PricingModel(pricing_model)
        make_sku(plan, meter=BY_MODEL, meter_code="t", pricing_model=model, params=params)

        assert words in read_version(staff, plan, number=1)
