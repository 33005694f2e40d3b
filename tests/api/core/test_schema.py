"""The OpenAPI schema and its pages."""

import re
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.api.openapi import render_schema

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    render_schema.cache_clear()  # Another test's routes may have been the first.
    answer = APIClient().get("/openapi.json")
    assert "sample.py" not in capfd.readouterr().err  # No warning about any view.
    assert answer.status_code == 200
    render_schema.cache_clear()
    document: dict[str, Any] = answer.json()
    return document


@pytest.mark.urls("tests.api.core.sample_with_schema")
class TestSchema:
    def test_is_served_without_a_key(self, schema: dict[str, Any]) -> None:
        assert schema["openapi"].startswith("3.")
        assert "/v1/things" in schema["paths"]

    def test_describes_both_ways_to_send_a_key(self, schema: dict[str, Any]) -> None:
        schemes = schema["components"]["securitySchemes"]

        assert schemes["bearer"]["scheme"] == "bearer"
        assert schemes["apiKey"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
        assert schema["paths"]["/v1/things"]["get"]["security"] == [{"bearer": []}, {"apiKey": []}]

    def test_describes_the_input_of_each_action(self, schema: dict[str, Any]) -> None:
        body = schema["paths"]["/v1/things"]["post"]["requestBody"]["content"]

        assert body == {"application/json": {"schema": {"$ref": "#/components/schemas/CreateInputRequest"}}}
        amount = schema["components"]["schemas"]["CreateInputRequest"]["properties"]["amount_nanos"]
        assert [kind["type"] for kind in amount["oneOf"]] == ["string", "integer"]

    def test_asks_for_no_body_where_there_is_no_input(self, schema: dict[str, Any]) -> None:
        assert "requestBody" not in schema["paths"]["/v1/things/page"]["post"]

    def test_describes_every_problem(self, schema: dict[str, Any]) -> None:
        def problems(path: str, method: str) -> list[str]:
            return [
                status
                for status, answer in schema["paths"][path][method]["responses"].items()
                if "application/problem+json" in answer.get("content", {})
            ]

        assert problems("/v1/things", "get") == ["401", "403", "422", "429", "500", "503"]
        assert problems("/v1/things/{id}", "get") == ["401", "403", "404", "422", "429", "500", "503"]
        assert problems("/v1/things", "post") == [
            *(
                "400",
                "401",
                "402",
                "403",
                "404",
                "409",
                "411",
                "413",
                "415",
                "422",
                "429",
                "500",
                "502",
                "503",
            )
        ]
        assert "Problem" in schema["components"]["schemas"]

    def test_describes_lists_as_bare_arrays_with_a_link(self, schema: dict[str, Any]) -> None:
        answer = schema["paths"]["/v1/things"]["get"]["responses"]["200"]

        reference = answer["content"]["application/json"]["schema"]["$ref"]
        assert schema["components"]["schemas"][reference.rpartition("/")[2]] == {
            "type": "array",
            "items": {"$ref": "#/components/schemas/KeyOutput"},
        }
        assert "Link" in answer["headers"]

    def test_describes_filters_and_paging(self, schema: dict[str, Any]) -> None:
        names = {parameter["name"] for parameter in schema["paths"]["/v1/things"]["get"]["parameters"]}

        assert names == {"name", "kind", "created_after", "customer_id", "limit", "cursor"}

    def test_describes_the_headers_of_unsafe_requests(self, schema: dict[str, Any]) -> None:
        def headers(path: str) -> list[str]:
            parameters = schema["paths"][path]["post"].get("parameters", [])
            return sorted(parameter["name"] for parameter in parameters if parameter["in"] == "header")

        assert headers("/v1/things") == ["Idempotency-Key", "X-Reason"]
        assert headers("/v1/free") == ["X-Reason"]

    def test_names_each_operation_once(self, schema: dict[str, Any]) -> None:
        names = [operation["operationId"] for path in schema["paths"].values() for operation in path.values()]

        assert len(names) == len(set(names))
        assert {"things_list", "admin_things_list"} <= set(names)


class TestPages:
    @pytest.mark.parametrize("path", ["/docs/api", "/docs/swagger"])
    def test_load_nothing_from_elsewhere(self, path: str) -> None:
        answer = APIClient().get(path, headers={"Accept": "text/html"})

        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/html")
        sources = re.findall(r"""(?:src|href)=["']([^"']+)["']""", answer.content.decode())
        assert sources
        assert all(source.startswith("/static/") for source in sources)
