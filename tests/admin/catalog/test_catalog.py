"""The catalogue on the staff pages: names and states are edited, prices are shown in words."""

import re
from typing import Any

import pytest
from django.test import Client

from billing_project.core.models import AuditEntry
from catalog.models import Meter, Plan, PlanVersion, PricingModel, Product, Sku
from tests.admin.core.conftest import MakeStaff
from tests.admin.rows import TIERS
from tests.factories.catalog import get_price, make_plan, make_product, make_sku, publish

pytestmark = pytest.mark.django_db

CATALOG = "/admin/catalog/"
NEW_PLAN = {
    "name": "Team",
    "description": "",
    "product": "",
    "billing_cadence": "Annual",
    "anchor": "Calendar",
    "trial_days": "14",
    "trial_usage": "Free",
}
NEW_METER = {
    "event_type": "llm.completion",
    "property": "input_tokens",
    "aggregation": "Sum",
    "code": "",
    "display_name": "Input tokens",
    "unit": "token",
}
NEW_BOOK = {
    "name": "Tokens",
    "currency": "usd",
    "meter_event_type": "llm.tokens",
    "meter_property": "tokens",
    "meter_code": "tokens-by-model",
    "first_dimension": "model",
    "first_values": "gpt-4\r\n\r\n claude \r\ngpt-4\r\n",
    "second_dimension": "token_type",
    "second_values": "input\r\noutput",
    "default_amount": "2.50",
}
HALF_A_FILTER = {"filters-0-property": "model", "filters-0-operator": "Equals"}
FILTERED_METER = {
    "event_type": "llm.completion",
    "property": "latency_ms",
    "aggregation": "Percentile",
    "percentile": "95",
    "filters-0-property": "model",
    "filters-0-operator": "In",
    "filters-0-values": "small\r\nlarge\r\n",
    "filters-1-property": "",
    "filters-1-operator": "Equals",
    "filters-1-values": "",
    "filters-3-property": "error",
    "filters-3-operator": "Missing",
    "group_by": "model, region",
    "code": "p95",
    "display_name": "",
    "unit": "ms",
}


def read_problems(answer: Any) -> list[str]:
    """Read what a form says at its fields."""
    errors = answer.context["adminform"].form.errors
    return [problem for field, problems in errors.items() if field != "__all__" for problem in problems]


def read_text(answer: Any) -> str:
    """Read the text of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", answer.content.decode()))


class TestProducts:
    def test_are_added(self, staff: Client) -> None:
        body = {"name": "LLM API", "description": "Tokens", "tags": "ai,api"}

        assert staff.post(f"{CATALOG}product/add/", body).status_code == 302

        product = Product.objects.get()
        assert (product.name, product.tags, product.status) == ("LLM API", ["ai", "api"], "Active")
        assert AuditEntry.objects.get().actor_label == "ada"

    def test_are_changed(self, staff: Client) -> None:
        product = make_product()
        body = {"name": product.name, "description": "", "tags": "", "status": "Archived"}

        staff.post(f"{CATALOG}product/{product.pk}/change/", body)

        product.refresh_from_db()
        assert product.status == "Archived"
        assert AuditEntry.objects.get(action="product.updated").changes == {"status": ["Active", "Archived"]}


class TestPlans:
    def test_are_added_with_their_terms(self, staff: Client) -> None:
        product = make_product()

        staff.post(f"{CATALOG}plan/add/", {**NEW_PLAN, "product": str(product.pk)})

        version = PlanVersion.objects.select_related("plan").get()
        assert (version.plan.name, version.plan.product_id, version.number) == ("Team", product.pk, 1)
        assert (version.billing_cadence, version.anchor) == ("Annual", "Calendar")
        assert (version.trial_days, version.trial_usage) == (14, "Free")

    def test_show_a_refusal_in_the_form(self, staff: Client) -> None:
        product = make_product()
        body = {"name": product.name, "description": "", "tags": "", "status": "Archived"}
        staff.post(f"{CATALOG}product/{product.pk}/change/", body)

        answer = staff.post(f"{CATALOG}plan/add/", {**NEW_PLAN, "product": str(product.pk)})

        assert "is archived." in answer.content.decode()
        assert not Plan.objects.exists()

    def test_are_renamed_without_a_new_version(self, staff: Client) -> None:
        plan, product = make_plan(), make_product()
        publish(plan)
        body = {"name": "Team", "description": "For teams", "product": str(product.pk), "status": "Active"}

        staff.post(f"{CATALOG}plan/{plan.pk}/change/", body)

        plan.refresh_from_db()
        assert (plan.name, plan.description, plan.product_id) == ("Team", "For teams", product.pk)
        assert PlanVersion.objects.count() == 1

    def test_show_prices_as_money(self, staff: Client) -> None:
        plan = make_plan()
        make_sku(plan)
        make_sku(plan, name="Calls", meter=None, pricing_model=PricingModel.GRADUATED, params=TIERS)
        params = {"unit_amount_nanos": "49000000000000", "maximum_nanos": "1500000000000000"}
        make_sku(plan, name="Seats", meter=None, pricing_model=PricingModel.PER_UNIT, params=params)
        free = {"unit_amount_nanos": "2000000", "free_units": "1000000"}
        make_sku(plan, name="More Tokens", currency="JPY", params=free)

        for address in (f"plan/{plan.pk}", f"planversion/{PlanVersion.objects.get().pk}"):
            text = read_text(staff.get(f"{CATALOG}{address}/change/"))

            assert "Input Tokens llm.completion.input_tokens Per unit Unit amount $0.000002 " in text
            assert "Up to 100, unit amount $0.02 Unit amount $0.005, flat amount $1.00 " in text
            assert "Unit amount $49.00 Maximum $1,500.00 " in text
            assert "Unit amount ¥0.000002 Free units 1,000,000 " in text

    def test_show_no_field_for_an_amount(self, staff: Client) -> None:
        plan = make_plan()
        make_sku(plan)

        assert b"nanos" not in staff.get(f"{CATALOG}plan/{plan.pk}/change/").content


class TestSkus:
    def test_are_renamed(self, staff: Client) -> None:
        sku = make_sku(make_plan())

        staff.post(f"{CATALOG}sku/{sku.pk}/change/", {"name": "Tokens in", "status": "Active"})

        sku.refresh_from_db()
        assert sku.name == "Tokens in"

    def test_are_archived_once(self, staff: Client) -> None:
        sku = make_sku(make_plan())
        address = f"{CATALOG}sku/{sku.pk}/change/"
        staff.post(address, {"name": sku.name, "status": "Archived"})

        answer = staff.post(address, {"name": sku.name, "status": "Active"})

        assert "is archived." in answer.content.decode()
        sku.refresh_from_db()
        assert sku.status == "Archived"

    def test_are_added_as_price_books(self, staff: Client) -> None:
        plan = make_plan()

        answer = staff.post(f"{CATALOG}sku/add/", {**NEW_BOOK, "plan": str(plan.pk)})

        sku = Sku.objects.get()
        price = get_price(sku, version=1)
        assert answer["Location"] == f"{CATALOG}sku/{sku.pk}/cells/"
        assert (sku.name, sku.plan_id, price.currency) == ("Tokens", plan.pk, "USD")
        assert price.params == {
            "dimensions": ["model", "token_type"],
            "cells": [
                {"values": [model, kind], "unit_amount_nanos": "2500000"}
                for model in ("gpt-4", "claude")
                for kind in ("input", "output")
            ],
            "default_unit_amount_nanos": "2500000",
        }
        meter = Meter.objects.get()
        assert (meter.code, meter.group_by) == ("tokens-by-model", ["model", "token_type"])
        assert AuditEntry.objects.get(action="sku.created").actor_label == "ada"

    def test_are_added_on_a_meter_that_is_there_with_one_dimension(self, staff: Client) -> None:
        plan = make_plan()
        staff.post(f"{CATALOG}sku/add/", {**NEW_BOOK, "plan": str(plan.pk)})
        one = {"meter_event_type": "", "meter_property": "", "second_dimension": "", "second_values": ""}

        answer = staff.post(f"{CATALOG}sku/add/", {**NEW_BOOK, **one, "name": "More", "plan": str(plan.pk)})

        assert answer.status_code == 302
        price = get_price(Sku.objects.get(name="More"), version=1)
        assert [cell["values"] for cell in price.params["cells"]] == [["gpt-4"], ["claude"]]
        assert Meter.objects.count() == 1

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"second_values": ""}, "A property and its values go together."),
            ({"second_dimension": ""}, "A property and its values go together."),
            ({"second_dimension": "model"}, "The property &#x27;model&#x27; is there twice."),
            ({"default_amount": "2,5"}, "Enter a decimal number."),
            ({"default_amount": "-1"}, "not below zero"),
            ({"currency": "xyz"}, "is not the code of a currency"),
            ({"meter_event_type": "", "meter_property": ""}, "There is no meter"),
            ({"first_values": " "}, "This field is required."),
        ],
    )
    def test_are_refused_with_a_reason(self, staff: Client, values: dict[str, str], reason: str) -> None:
        body = {**NEW_BOOK, "plan": str(make_plan().pk), **values}

        assert reason in staff.post(f"{CATALOG}sku/add/", body).content.decode()
        assert not Sku.objects.exists()
        assert not Meter.objects.exists()


class TestMeters:
    def test_are_added_with_a_code_of_their_own(self, staff: Client) -> None:
        staff.post(f"{CATALOG}meter/add/", NEW_METER)

        meter = Meter.objects.get()
        assert (meter.code, meter.aggregation, meter.unit) == ("llm.completion.input_tokens", "Sum", "token")

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ({"property": ""}, "A Sum meter needs a property."),
            ({"aggregation": "Count"}, "it takes no property."),
            ({"aggregation": "Max"}, "Name a code: "),
            ({"aggregation": "Percentile", "code": "p95"}, "needs a percentile"),
            ({"percentile": "95"}, "A Sum meter takes no percentile."),
            ({"percentile": "101"}, "less than or equal to 100"),
            ({"carries_over": "on"}, "Only a WeightedSum meter carries over."),
            ({"group_by": "model,model", "code": "x"}, "is there twice."),
            ({**HALF_A_FILTER, "code": "x"}, "Filter 1: Equals takes one value."),
            ({"filters-3-values": "small", "code": "x"}, "Filter 4: Enter the name of a property"),
        ],
    )
    def test_show_a_refusal_at_its_field(self, staff: Client, values: dict[str, str], reason: str) -> None:
        answer = staff.post(f"{CATALOG}meter/add/", {**NEW_METER, **values})

        assert [problem for problem in read_problems(answer) if reason in problem]
        assert not Meter.objects.exists()

    def test_are_added_with_filters_and_groups(self, staff: Client) -> None:
        staff.post(f"{CATALOG}meter/add/", FILTERED_METER)

        meter = Meter.objects.get()
        assert (meter.aggregation, meter.percentile, meter.group_by) == (
            "Percentile",
            95,
            ["model", "region"],
        )
        assert meter.filters == [
            {"property": "error", "operator": "Missing", "values": []},
            {"property": "model", "operator": "In", "values": ["large", "small"]},
        ]

    def test_keep_what_was_typed_after_a_refusal(self, staff: Client) -> None:
        page = staff.post(f"{CATALOG}meter/add/", {**FILTERED_METER, "percentile": ""}).content.decode()

        assert re.search(r'<input[^>]*name="filters-0-property"[^>]*value="model"', page) is not None
        assert re.search(r'<textarea[^>]*name="filters-0-values"[^>]*>\s*small\s+large</textarea>', page)
        assert re.search(r'name="filters-3-operator".*?<option value="Missing" selected>', page, re.DOTALL)
        assert "<details open>" in page  # The fourth filter is among those that are folded away.

    def test_are_shown_in_words(self, staff: Client) -> None:
        staff.post(f"{CATALOG}meter/add/", FILTERED_METER)

        text = read_text(staff.get(f"{CATALOG}meter/{Meter.objects.get().pk}/change/"))

        assert "Percentile 95 of latency_ms" in text
        assert "error is not given model is one of &quot;large&quot;, &quot;small&quot; " in text
        assert "Grouped by model, region " in text

    def test_are_archived_and_brought_back(self, staff: Client) -> None:
        staff.post(f"{CATALOG}meter/add/", NEW_METER)
        meter = Meter.objects.get()

        for status in ("Archived", "Active"):
            body = {"display_name": "Input tokens", "unit": "token", "status": status}
            staff.post(f"{CATALOG}meter/{meter.pk}/change/", body)
            meter.refresh_from_db()
            assert meter.status == status

    def test_keep_their_definition(self, staff: Client) -> None:
        staff.post(f"{CATALOG}meter/add/", NEW_METER)
        meter = Meter.objects.get()
        body = {**NEW_METER, "event_type": "other", "display_name": "Tokens", "status": "Active"}

        staff.post(f"{CATALOG}meter/{meter.pk}/change/", body)

        meter.refresh_from_db()
        assert (meter.event_type, meter.display_name) == ("llm.completion", "Tokens")


class TestRights:
    @pytest.mark.parametrize("page", ["product", "plan", "meter"])
    def test_to_see_do_not_let_anything_be_added(self, make_staff: MakeStaff, page: str) -> None:
        client = make_staff(f"view_{page}", f"change_{page}")

        assert client.post(f"{CATALOG}{page}/add/", {**NEW_PLAN, **NEW_METER}).status_code == 403
        assert not AuditEntry.objects.exists()
