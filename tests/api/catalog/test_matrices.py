"""SKUs with a price for each value of some properties, over HTTP."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from catalog.models import Meter, Plan, Price, Sku
from catalog.operations import MeterDefinition
from tests.api.problems import read_problem
from tests.factories.catalog import get_price, make_plan, make_sku, publish
from tests.factories.core import make_client
from tests.factories.subscriptions import find_breaches

pytestmark = pytest.mark.django_db

URL = "/admin/v1/catalog/skus"
CELLS: list[dict[str, Any]] = [
    {"values": ["gpt-4", "input"], "unit_amount_nanos": "30000000"},
    {"values": ["gpt-4", None], "unit_amount_nanos": "60000000"},
]
MATRIX: dict[str, Any] = {
    "pricing_model": "Matrix",
    "dimensions": ["model", "token_type"],
    "cells": CELLS,
    "default_unit_amount_nanos": "5000000",
}
SHEET = "model,token_type,unit_amount_nanos\ngpt-4,input,30000000\ngpt-4,,60000000\n,,5000000\n"


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def plan() -> Plan:
    return make_plan()


def body_for(plan: Plan, **changes: Any) -> dict[str, Any]:
    """Write the body for a price book; a change to None takes a field away."""
    body = {
        "plan_id": str(plan.pk),
        "name": "Tokens",
        "currency": "USD",
        "meter_code": "tokens",
        "meter_event_type": "llm.tokens",
        "meter_property": "tokens",
        **MATRIX,
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


@pytest.fixture
def sku(client: APIClient, plan: Plan) -> Sku:
    """A price book."""
    assert client.post(URL, body_for(plan)).status_code == 201
    return Sku.objects.get()


def sheet_of(sku: Sku) -> str:
    return f"{URL}/{sku.pk}/cells.csv"


def put(client: APIClient, sku: Sku, text: str | bytes, content_type: str = "text/csv") -> Any:
    """Send a sheet."""
    return client.put(sheet_of(sku), text, content_type=content_type)


class TestCreate:
    def test_makes_a_price_book_and_a_meter_that_groups_for_it(self, client: APIClient, plan: Plan) -> None:
        shown = client.post(URL, body_for(plan)).json()

        assert {name: shown[name] for name in MATRIX} == MATRIX
        assert (shown["meter_code"], shown["group_by"]) == ("tokens", ["model", "token_type"])
        assert find_breaches() == []

    def test_keeps_further_groups_that_are_asked_for(self, client: APIClient, plan: Plan) -> None:
        groups = ["region", "token_type", "model"]

        assert client.post(URL, body_for(plan, group_by=groups)).json()["group_by"] == groups

    def test_takes_a_count_of_events(self, client: APIClient, plan: Plan) -> None:
        shown = client.post(URL, body_for(plan, meter_property=None)).json()

        assert (shown["aggregation"], shown["group_by"]) == ("Count", ["model", "token_type"])

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"group_by": ["model"]}, "group_by"),
            ({"aggregation": "Max"}, "aggregation"),
            (
                {"meter_code": None, "meter_event_type": None, "meter_property": None},
                "pricing_model",
            ),
        ],
    )
    def test_refuses_a_meter_that_does_not_tell_usage_apart(
        self, client: APIClient, plan: Plan, changes: dict[str, Any], field: str
    ) -> None:
        answer = client.post(URL, body_for(plan, **changes))

        assert read_problem(answer) == (422, "meter_too_coarse", [(field, "meter_too_coarse")])
        assert (Sku.objects.count(), Meter.objects.count()) == (0, 0)

    def test_refuses_cells_in_doubt(self, client: APIClient, plan: Plan) -> None:
        cells = [*CELLS, {"values": [None, "output"], "unit_amount_nanos": "1"}]

        answer = client.post(URL, body_for(plan, cells=cells))

        assert read_problem(answer) == (
            422,
            "invalid_pricing_params",
            [("cells.2.values", "invalid_pricing_params")],
        )


class TestUpdate:
    def test_replaces_the_cells_as_a_whole(self, client: APIClient, sku: Sku, plan: Plan) -> None:
        publish(plan)

        shown = client.patch(f"{URL}/{sku.pk}", {"cells": CELLS[:1]}).json()

        assert (shown["cells"], shown["default_unit_amount_nanos"]) == (CELLS[:1], "5000000")
        assert get_price(sku, version=1).params["cells"] == CELLS

    def test_refuses_dimensions_that_the_meter_lacks(self, client: APIClient, sku: Sku) -> None:
        cells = [{"values": ["eu"], "unit_amount_nanos": "1"}]

        answer = client.patch(f"{URL}/{sku.pk}", {"dimensions": ["region"], "cells": cells})

        assert read_problem(answer) == (422, "meter_too_coarse", [("group_by", "meter_too_coarse")])
        assert get_price(sku, version=1).params["cells"] == CELLS

    def test_refuses_to_make_a_matrix_of_what_is_licensed(self, client: APIClient, plan: Plan) -> None:
        seats = make_sku(plan, meter=None)

        answer = client.patch(f"{URL}/{seats.pk}", MATRIX)

        assert read_problem(answer) == (422, "meter_too_coarse", [("pricing_model", "meter_too_coarse")])


class TestCells:
    def test_are_written_as_a_sheet(self, client: APIClient, sku: Sku) -> None:
        answer = client.get(sheet_of(sku))

        assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
        assert answer.content.decode() == SHEET

    def test_are_replaced_by_a_sheet_and_keep_what_else_the_price_has(
        self, client: APIClient, sku: Sku, plan: Plan
    ) -> None:
        client.patch(f"{URL}/{sku.pk}", {"free_units": "7"})
        publish(plan)

        answer = put(client, sku, "model,token_type,unit_amount_nanos\nclaude,,8\n")

        shown = answer.json()
        assert (answer.status_code, shown["plan_version"]) == (200, 2)
        assert shown["cells"] == [{"values": ["claude", None], "unit_amount_nanos": "8"}]
        assert (shown["default_unit_amount_nanos"], shown["free_units"]) == ("5000000", "7")
        assert get_price(sku, version=1).params["cells"] == CELLS

    def test_come_back_as_they_went_out(self, client: APIClient, sku: Sku) -> None:
        before = client.get(f"{URL}/{sku.pk}").json()

        assert put(client, sku, SHEET).json() == before

    def test_of_twenty_models_by_four_token_types_are_one_sheet(self, client: APIClient, sku: Sku) -> None:
        kinds = ["input", "output", "cached", "audio"]
        lines = [f"model-{number},{kind},{number + 1}" for number in range(20) for kind in kinds]

        shown = put(client, sku, "\n".join(["model,token_type,unit_amount_nanos", *lines])).json()

        assert len(shown["cells"]) == 80
        assert shown["cells"][-1] == {"values": ["model-19", "audio"], "unit_amount_nanos": "20"}

    @pytest.mark.parametrize(
        ("text", "field"),
        [
            ("", "lines.1"),
            ("model,token_type,unit_amount_nanos\ngpt-4,input,0.5\n", "lines.2"),
            ("model,token_type,unit_amount_nanos\ngpt-4,,1\n,input,1\n", "cells.1.values"),
            ("model,token_type,unit_amount_nanos\n,,1\n", "cells"),
        ],
    )
    def test_are_refused_as_a_whole(self, client: APIClient, sku: Sku, text: str, field: str) -> None:
        answer = put(client, sku, text)

        assert read_problem(answer) == (422, "invalid_pricing_params", [(field, "invalid_pricing_params")])
        assert Price.objects.get().params["cells"] == CELLS

    def test_have_to_be_text(self, client: APIClient, sku: Sku) -> None:
        assert read_problem(put(client, sku, b"\xff\xfe"))[:2] == (400, "parse_error")
        assert put(client, sku, SHEET, "application/json").status_code == 415

    @pytest.mark.parametrize("method", ["get", "put"])
    def test_are_those_of_a_matrix_only(self, client: APIClient, plan: Plan, method: str) -> None:
        sku = make_sku(plan, meter=MeterDefinition.read(event_type="calls"))

        answer = client.get(sheet_of(sku)) if method == "get" else put(client, sku, SHEET)

        assert read_problem(answer) == (409, "no_cells", [])
