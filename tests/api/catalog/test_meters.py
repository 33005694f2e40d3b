"""Meters over HTTP."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from catalog.models import Meter
from catalog.operations import create_meter
from tests.api.problems import read_problem
from tests.factories.catalog import INPUT_TOKENS, make_plan, make_sku
from tests.factories.core import NOON, TESTER, make_client

pytestmark = pytest.mark.django_db

URL = "/admin/v1/meters"
GROUPED = {
    "event_type": "llm.completion",
    "property": "input_tokens",
    "filters": [{"property": "model", "operator": "In", "values": ["small", "large"]}],
    "group_by": ["model"],
}
FILTER_OPERATOR = ("filters.0.operator", "invalid_choice")


def with_filter(**params: Any) -> dict[str, Any]:
    """Write a body with one filter, which needs an operator at least."""
    return {"event_type": "e", "code": "c", "filters": [{"operator": "Exists", **params}]}


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def meter() -> Meter:
    return create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)


class TestCreate:
    def test_makes_a_meter(self, client: APIClient) -> None:
        answer = client.post(
            URL,
            {
                "code": "tokens",
                "display_name": "Input",
                "event_type": "llm.completion",
                "property": "input_tokens",
                "aggregation": "Sum",
                "unit": "tokens",
            },
        )

        meter = Meter.objects.get()
        assert answer.status_code == 201
        assert answer.json() == {
            "id": str(meter.pk),
            "code": "tokens",
            "display_name": "Input",
            "event_type": "llm.completion",
            "property": "input_tokens",
            "aggregation": "Sum",
            "percentile": None,
            "carries_over": False,
            "filters": [],
            "group_by": [],
            "unit": "tokens",
            "status": "Active",
            "created_at": meter.created_at.isoformat().replace("+00:00", "Z"),
        }

    def test_makes_any_definition(self, client: APIClient) -> None:
        answer = client.post(
            URL,
            {
                "code": "p95",
                "event_type": "llm.completion",
                "property": "latency_ms",
                "aggregation": "Percentile",
                "percentile": "95.50",
                "filters": [
                    {"property": "model", "operator": "In", "values": ["small", "large"]},
                    {"property": "attempt", "operator": "Equals", "value": 1},
                    {"property": "cached", "operator": "NotEquals", "value": True},
                    {"property": "error", "operator": "Missing"},
                    {"property": "size", "operator": "GreaterThan", "values": ["1.50"]},
                ],
                "group_by": ["region", "model"],
            },
        )

        shown = answer.json()
        assert answer.status_code == 201
        assert (shown["aggregation"], shown["percentile"], shown["group_by"]) == (
            "Percentile",
            "95.5",
            ["region", "model"],
        )
        assert shown["filters"] == [
            {"property": "attempt", "operator": "Equals", "values": ["1"]},
            {"property": "cached", "operator": "NotEquals", "values": ["true"]},
            {"property": "error", "operator": "Missing", "values": []},
            {"property": "model", "operator": "In", "values": ["large", "small"]},
            {"property": "size", "operator": "GreaterThan", "values": ["1.5"]},
        ]
        assert client.get(f"{URL}/{shown['id']}").json() == shown

    def test_takes_what_it_shows(self, client: APIClient) -> None:
        first = client.post(URL, {**GROUPED, "code": "first"}).json()
        made = ("id", "code", "status", "created_at", "display_name", "unit", "percentile")

        body = {name: value for name, value in first.items() if name not in made}
        second = client.post(URL, {**body, "code": "second"}).json()

        assert {**first, **{name: second[name] for name in made}} == second

    def test_makes_a_level_that_carries_over(self, client: APIClient) -> None:
        body = {"code": "seats", "event_type": "seats", "property": "added", "aggregation": "WeightedSum"}

        assert client.post(URL, {**body, "carries_over": True}).json()["carries_over"] is True

    def test_needs_an_event_type_alone(self, client: APIClient) -> None:
        body = client.post(URL, {"event_type": "llm.completion"}).json()

        assert (body["code"], body["property"], body["aggregation"]) == ("llm.completion:count", "", "Count")

    def test_makes_the_longest_code(self, client: APIClient) -> None:
        answer = client.post(URL, {"event_type": "e" * 200, "property": "p" * 200})

        assert (answer.status_code, len(answer.json()["code"])) == (201, 401)

    @pytest.mark.parametrize(
        ("body", "code", "errors"),
        [
            ({}, "invalid_input", [("event_type", "required")]),
            ({"event_type": ""}, "invalid_input", [("event_type", "blank")]),
            ({"event_type": "e" * 201}, "invalid_input", [("event_type", "max_length")]),
            ({"event_type": "e", "property": ""}, "invalid_input", [("property", "blank")]),
            (
                {"event_type": "e", "aggregation": "Mode"},
                "invalid_input",
                [("aggregation", "invalid_choice")],
            ),
            ({"event_type": "e", "colour": "red"}, "invalid_input", [("colour", "unknown_field")]),
            (
                {"event_type": "e", "property": "p", "aggregation": "Max"},
                "meter_needs_code",
                [("code", "meter_needs_code")],
            ),
            (
                {"event_type": "e", "property": "p", "aggregation": "Percentile", "code": "c"},
                "invalid_meter",
                [("percentile", "invalid_meter")],
            ),
            (
                {"event_type": "e", "percentile": "95", "code": "c"},
                "invalid_meter",
                [("percentile", "invalid_meter")],
            ),
            ({"event_type": "e", "percentile": "many"}, "invalid_input", [("percentile", "invalid")]),
            ({"event_type": "e", "carries_over": True}, "invalid_meter", [("carries_over", "invalid_meter")]),
            ({"event_type": "e", "carries_over": "yes"}, "invalid_input", [("carries_over", "wrong_type")]),
            ({"event_type": "e", "filters": {}}, "invalid_input", [("filters", "wrong_type")]),
            ({"event_type": "e", "filters": ["p"]}, "invalid_input", [("filters.0", "wrong_type")]),
            (with_filter(), "invalid_input", [("filters.0.property", "required")]),
            (with_filter(property="p", operator="Like"), "invalid_input", [FILTER_OPERATOR]),
            (
                with_filter(property="p", operator="Exists", colour="red"),
                "invalid_input",
                [("filters.0.colour", "unknown_field")],
            ),
            (
                with_filter(property="p", operator="In", values=["a", None]),
                "invalid_input",
                [("filters.0.values.1", "null")],
            ),
            (
                with_filter(property="p", operator="In", values=["a", {}]),
                "invalid_meter",
                [("filters.0.values.1", "invalid_meter")],
            ),
            (
                with_filter(property="p", operator="Equals"),
                "invalid_meter",
                [("filters.0.values", "invalid_meter")],
            ),
            (
                with_filter(property="p", operator="LessThan", value="many"),
                "invalid_meter",
                [("filters.0.value", "invalid_meter")],
            ),
            (
                {"event_type": "e", "filters": [{"property": "p", "operator": "Exists"}] * 11},
                "invalid_input",
                [("filters", "max_length")],
            ),
            ({"event_type": "e", "group_by": "model"}, "invalid_input", [("group_by", "wrong_type")]),
            ({"event_type": "e", "group_by": [""]}, "invalid_input", [("group_by.0", "blank")]),
            ({"event_type": "e", "group_by": ["p"] * 11}, "invalid_input", [("group_by", "max_length")]),
            (
                {"event_type": "e", "group_by": ["p", "p"]},
                "invalid_meter",
                [("group_by.1", "invalid_meter")],
            ),
            ({"event_type": "e", "aggregation": "Sum"}, "invalid_meter", [("property", "invalid_meter")]),
            (
                {"event_type": "e", "property": "p", "aggregation": "Count"},
                "invalid_meter",
                [("property", "invalid_meter")],
            ),
        ],
    )
    def test_refuses(self, client: APIClient, body: dict[str, Any], code: str, errors: list[Any]) -> None:
        assert read_problem(client.post(URL, body)) == (422, code, errors)
        assert not Meter.objects.exists()

    def test_refuses_a_code_that_is_taken(self, client: APIClient, meter: Meter) -> None:
        answer = client.post(URL, {"code": meter.code, "event_type": "other"})

        assert read_problem(answer) == (409, "meter_code_taken", [("code", "meter_code_taken")])


class TestRetrieve:
    def test_shows_one(self, client: APIClient, meter: Meter) -> None:
        assert client.get(f"{URL}/{meter.pk}").json()["code"] == meter.code
        assert read_problem(client.get(f"{URL}/{make_id()}")) == (404, "not_found", [])


class TestUpdate:
    def test_changes_what_people_read(self, client: APIClient, meter: Meter) -> None:
        answer = client.patch(f"{URL}/{meter.pk}", {"unit": "tokens", "display_name": "Input"})

        assert answer.status_code == 200
        assert (answer.json()["unit"], answer.json()["display_name"]) == ("tokens", "Input")

    @pytest.mark.parametrize(
        "field",
        [
            "code",
            "event_type",
            "property",
            "aggregation",
            "percentile",
            "carries_over",
            "filters",
            "group_by",
        ],
    )
    def test_does_not_change_what_it_counts(self, client: APIClient, meter: Meter, field: str) -> None:
        answer = client.patch(f"{URL}/{meter.pk}", {field: "other"})

        assert read_problem(answer) == (422, "invalid_input", [(field, "unknown_field")])

    def test_archives_one_that_is_not_in_use_and_brings_it_back(
        self, client: APIClient, meter: Meter
    ) -> None:
        for status in ("Archived", "Active"):
            assert client.patch(f"{URL}/{meter.pk}", {"status": status}).json()["status"] == status

    def test_refuses_to_archive_one_in_use(self, client: APIClient, meter: Meter) -> None:
        make_sku(make_plan(), meter=INPUT_TOKENS)

        answer = client.patch(f"{URL}/{meter.pk}", {"status": "Archived"})

        assert read_problem(answer) == (409, "meter_in_use", [("status", "meter_in_use")])
        meter.refresh_from_db()
        assert meter.status == "Active"

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.patch(f"{URL}/{make_id()}", {"unit": "x"})) == (404, "not_found", [])


class TestList:
    def test_filters_and_shows_the_newest_first(self, client: APIClient, meter: Meter) -> None:
        calls = client.post(URL, {"code": "calls", "event_type": "llm.completion"}).json()["id"]
        images = client.post(URL, {"event_type": "image"}).json()["id"]
        client.patch(f"{URL}/{images}", {"status": "Archived"})

        def find(**parameters: str) -> list[str]:
            return [each["id"] for each in client.get(URL, parameters).json()]

        assert find() == [images, calls, str(meter.pk)]
        assert find(event_type="llm.completion") == find(status="Active") == [calls, str(meter.pk)]
        assert find(code="calls") == [calls]
        assert find(aggregation="Sum") == [str(meter.pk)]
        assert find(status="Archived") == [images]

    def test_refuses_what_it_does_not_know(self, client: APIClient) -> None:
        assert read_problem(client.get(URL, {"aggregation": "Mode"})) == (
            422,
            "invalid_filter",
            [("aggregation", "invalid_choice")],
        )
        assert read_problem(client.get(URL, {"unit": "x"}))[1] == "unknown_parameter"
