"""Quotes over HTTP, beside a table for each pricing model that was worked out by hand."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from catalog.models import Plan, PricingModel, Sku
from catalog.operations import MeterDefinition
from catalog.pricing.registry import PRICING_MODELS
from tests.api.problems import read_problem
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import make_client

pytestmark = pytest.mark.django_db

TIERS = [
    {"up_to": "1000", "unit_amount_nanos": "10000000000"},  # $0.01
    {"up_to": "5000", "unit_amount_nanos": "8000000000", "flat_amount_nanos": "2000000000000"},  # $0.008, $2
    {"unit_amount_nanos": "5000000000"},  # $0.005
]
ADJUSTED = {
    "unit_amount_nanos": "100000000000",  # $0.10
    "free_units": "100",
    "discount_bps": "1000",
    "minimum_nanos": "5000000000000",  # $5
    "maximum_nanos": "50000000000000",  # $50
}

# For each price, what quantities cost in nanos when the period is over.
TABLES: list[tuple[str, str, dict[str, Any], dict[str, int]]] = [
    (
        "a fee of $99, whatever is used",
        "Flat",
        {"unit_amount_nanos": "99000000000000"},
        {"0": 99_000_000_000_000, "1": 99_000_000_000_000, "12345": 99_000_000_000_000},
    ),
    (
        "$0.000002 a token",
        "PerUnit",
        {"unit_amount_nanos": "2000000"},
        {"0": 0, "1": 2_000_000, "4977500": 9_955_000_000_000, "0.25": 500_000},
    ),
    (
        "each unit by its own tier",
        "Graduated",
        {"tiers": TIERS},
        {
            "0": 0,
            "1000": 10_000_000_000_000,
            "1001": 12_008_000_000_000,  # $10, $2 for the second tier, and one at $0.008.
            "5000": 44_000_000_000_000,  # 10 + 2 + 4,000 x 0.008.
            "8000": 59_000_000_000_000,  # And 3,000 x 0.005.
        },
    ),
    (
        "all units by the tier of the whole",
        "Volume",
        {"tiers": TIERS},
        {
            "0": 0,
            "1000": 10_000_000_000_000,
            "1001": 10_008_000_000_000,  # $2 and 1,001 x 0.008.
            "5000": 42_000_000_000_000,
            "5001": 25_005_000_000_000,  # 5,001 x 0.005.
        },
    ),
    (
        "packages of 500 for $3, each begun one in full",
        "Package",
        {"package_size": "500", "package_amount_nanos": "3000000000000"},
        {"0": 0, "1": 3_000_000_000_000, "500": 3_000_000_000_000, "500.1": 6_000_000_000_000},
    ),
    (
        "packages of 500 for $3, in parts",
        "Package",
        {"package_size": "500", "package_amount_nanos": "3000000000000", "partial_packages": "Prorate"},
        {"1": 6_000_000_000, "750": 4_500_000_000_000, "1000": 6_000_000_000_000},
    ),
    (
        "packages of 500 for $3, only full ones",
        "Package",
        {"package_size": "500", "package_amount_nanos": "3000000000000", "partial_packages": "Free"},
        {"499": 0, "500": 3_000_000_000_000, "999": 3_000_000_000_000},
    ),
    (
        "$100 committed, at $0.05 a unit, and $0.04 beyond 2,000",
        "Committed",
        {
            "commit_amount_nanos": "100000000000000",
            "unit_amount_nanos": "50000000000",
            "overage_unit_amount_nanos": "40000000000",
        },
        {
            "0": 100_000_000_000_000,
            "1500": 100_000_000_000_000,
            "2000": 100_000_000_000_000,
            "2500": 120_000_000_000_000,
        },
    ),
    (
        "1.5% of an amount, and $10",
        "Percentage",
        {"rate_bps": "150", "fixed_nanos": "10000000000000"},
        {"0": 10_000_000_000_000, "1000": 25_000_000_000_000, "0.01": 10_000_150_000_000},
    ),
    (
        "$0.10 a unit, 100 free, 10% off, at least $5 and at most $50",
        "PerUnit",
        ADJUSTED,
        {
            "0": 5_000_000_000_000,
            "100": 5_000_000_000_000,
            "155": 5_000_000_000_000,  # 55 at 0.10 are $5.50, less 10% $4.95.
            "200": 9_000_000_000_000,
            "655": 49_950_000_000_000,
            "700": 50_000_000_000_000,  # $54.
        },
    ),
    (
        "by model and token type: no value is known of a bare quantity",
        "Matrix",
        {
            "dimensions": ["model", "token_type"],
            "cells": [{"values": ["gpt-4", "input"], "unit_amount_nanos": "30000000"}],
            "default_unit_amount_nanos": "5000000",
        },
        {"0": 0, "1000000": 5_000_000_000_000},
    ),
]
MATRIX: dict[str, Any] = {
    "dimensions": ["model", "token_type"],
    "cells": [
        {"values": ["gpt-4", "input"], "unit_amount_nanos": "30000000"},
        {"values": ["gpt-4", None], "unit_amount_nanos": "60000000"},
        {"values": [None, "cached"], "unit_amount_nanos": "1000000"},
        {"values": ["gpt-4", "cached"], "unit_amount_nanos": "15000000"},
    ],
    "default_unit_amount_nanos": "5000000",
}


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def plan() -> Plan:
    return make_plan()


def make_priced(plan: Plan, pricing_model: str, params: dict[str, Any]) -> Sku:
    """Make a SKU, on a meter that groups by model and token type."""
    meter = MeterDefinition.read(event_type="llm.tokens", property="tokens", group_by=["model", "token_type"])
    return make_sku(
        plan, meter=meter, meter_code="tokens", pricing_model=PricingModel(pricing_model), params=params
    )


def quote(client: APIClient, sku: Sku, **body: Any) -> Any:
    """Ask for a quote."""
    return client.post(f"/admin/v1/catalog/skus/{sku.pk}/quote", body)


class TestQuote:
    def test_has_a_table_for_each_model(self) -> None:
        assert {pricing_model for _, pricing_model, _, _ in TABLES} == PRICING_MODELS.keys()

    @pytest.mark.parametrize(
        ("pricing_model", "params", "table"),
        [pytest.param(*case, id=name) for name, *case in TABLES],
    )
    def test_agrees_with_the_table(
        self, client: APIClient, plan: Plan, pricing_model: str, params: dict[str, Any], table: dict[str, int]
    ) -> None:
        sku = make_priced(plan, pricing_model, params)

        for quantity, amount_nanos in table.items():
            answer = quote(client, sku, quantity=quantity).json()
            assert (quantity, answer["quantity"], answer["amount_nanos"]) == (
                quantity,
                quantity,
                str(amount_nanos),
            )
            assert sum(int(step["amount_nanos"]) for step in answer["steps"]) == amount_nanos

    def test_takes_quantities_by_values(self, client: APIClient, plan: Plan) -> None:
        sku = make_priced(plan, "Matrix", MATRIX | {"free_units": "500000"})
        quantities = [
            {"values": ["llama", "cached"], "quantity": "1000000"},
            {"values": ["gpt-4", "input"], "quantity": "1000000"},
            {"values": ["gpt-4", "audio"], "quantity": "10"},
            {"values": ["gpt-4", None], "quantity": "5"},
            {"values": ["gpt-4", "input"], "quantity": "1"},
            {"values": [None, None], "quantity": "3"},
        ]

        answer = quote(client, sku, quantities=quantities).json()

        # The first 500,000 of gpt-4's input are free.
        assert (answer["quantity"], answer["amount_nanos"]) == ("2000019", "16000945000000")
        steps = [(step["description"], step["quantity"], step["amount_nanos"]) for step in answer["steps"]]
        assert steps == [
            ("Free units", "500000", "0"),
            ("model gpt-4, token_type input", "500001", "15000030000000"),
            ("model gpt-4", "15", "900000000"),
            ("token_type cached", "1000000", "1000000000000"),
            ("Any other model and token_type", "3", "15000000"),
        ]

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            ({}, [("quantity", "required")]),
            (
                {"quantity": "1", "quantities": [{"values": ["a", "b"], "quantity": "1"}]},
                [("quantities", "invalid")],
            ),
            ({"quantities": []}, [("quantities", "min_length")]),
            (
                {"quantities": [{"values": ["a", "b"], "quantity": "-1"}]},
                [("quantities.0.quantity", "min_value")],
            ),
            ({"quantities": [{"values": [], "quantity": "1"}]}, [("quantities.0.values", "min_length")]),
            ({"quantities": [{"quantity": "1"}]}, [("quantities.0.values", "required")]),
        ],
    )
    def test_refuses_what_is_no_usage(
        self, client: APIClient, plan: Plan, body: dict[str, Any], errors: list[tuple[str, str]]
    ) -> None:
        answer = quote(client, make_priced(plan, "Matrix", MATRIX), **body)

        assert read_problem(answer) == (422, "invalid_input", errors)

    @pytest.mark.parametrize(
        ("pricing_model", "params"), [("Matrix", MATRIX), ("PerUnit", {"unit_amount_nanos": "1"})]
    )
    def test_refuses_values_that_the_price_does_not_have(
        self, client: APIClient, plan: Plan, pricing_model: str, params: dict[str, Any]
    ) -> None:
        sku = make_priced(plan, pricing_model, params)

        answer = quote(client, sku, quantities=[{"values": ["gpt-4"], "quantity": "1"}])

        assert read_problem(answer) == (
            422,
            "values_do_not_fit",
            [("quantities.0.values", "values_do_not_fit")],
        )
