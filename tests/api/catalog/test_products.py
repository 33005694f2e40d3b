"""Products over HTTP."""

from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyRole, AuditEntry
from catalog.models import CatalogStatus, Product
from catalog.operations import create_product
from tests.api.problems import read_problem
from tests.factories.catalog import make_product
from tests.factories.core import NOON, TESTER, make_client

pytestmark = pytest.mark.django_db

URL = "/admin/v1/catalog/products"


@pytest.fixture
def client() -> APIClient:
    return make_client()


def url_of(product: Product) -> str:
    return f"{URL}/{product.pk}"


class TestCreate:
    def test_answers_the_walkthrough(self, client: APIClient) -> None:
        answer = client.post(
            URL,
            {
                "name": "LLM API",
                "description": "Usage-based large language model API",
                "tags": ["llm", "api", "usage-based"],
            },
        )

        body = answer.json()
        product = Product.objects.get()
        assert answer.status_code == 201
        assert UUID(body["id"]).version == 7
        assert body == {
            "id": str(product.pk),
            "name": "LLM API",
            "description": "Usage-based large language model API",
            "tags": ["llm", "api", "usage-based"],
            "status": "Active",
            "created_at": product.created_at.isoformat().replace("+00:00", "Z"),
        }

    def test_needs_a_name_alone(self, client: APIClient) -> None:
        answer = client.post(URL, {"name": "LLM API"})

        assert answer.status_code == 201
        assert (answer.json()["description"], answer.json()["tags"]) == ("", [])

    def test_records_who_and_why(self, client: APIClient) -> None:
        client.post(URL, {"name": "LLM API"}, headers={"X-Reason": "Launch"})

        entry = AuditEntry.objects.get(action="product.created")
        assert (entry.actor_kind, entry.reason) == ("ApiKey", "Launch")

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({}, "name", "required"),
            ({"name": ""}, "name", "blank"),
            ({"name": "  "}, "name", "blank"),
            ({"name": None}, "name", "null"),
            ({"name": 5}, "name", "wrong_type"),
            ({"name": "x" * 201}, "name", "max_length"),
            ({"name": "x", "colour": "red"}, "colour", "unknown_field"),
            ({"name": "x", "status": "Archived"}, "status", "unknown_field"),
            ({"name": "x", "tags": "llm"}, "tags", "wrong_type"),
            ({"name": "x", "tags": [1]}, "tags.0", "wrong_type"),
            ({"name": "x", "tags": ["a"] * 51}, "tags", "max_length"),
            ({"name": "x", "tags": ["a", "x" * 65]}, "tags.1", "max_length"),
        ],
    )
    def test_refuses(self, client: APIClient, body: dict[str, Any], field: str, code: str) -> None:
        answer = client.post(URL, body)

        assert read_problem(answer) == (422, "invalid_input", [(field, code)])
        assert not Product.objects.exists()

    def test_answers_a_repeat_with_the_same(self, client: APIClient) -> None:
        answers = [
            client.post(URL, {"name": "LLM API"}, headers={"Idempotency-Key": "once"}) for _ in range(2)
        ]

        assert answers[0].json() == answers[1].json()
        assert answers[1].headers["X-Idempotency-Replayed"] == "true"
        assert Product.objects.count() == 1


class TestRetrieve:
    def test_shows_one(self, client: APIClient) -> None:
        product = make_product()

        answer = client.get(url_of(product))

        assert (answer.status_code, answer.json()["id"]) == (200, str(product.pk))

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.get(f"{URL}/{make_id()}")) == (404, "not_found", [])
        assert read_problem(client.get(f"{URL}/1")) == (404, "not_found", [])


class TestUpdate:
    def test_changes_what_is_named(self, client: APIClient) -> None:
        product = make_product(name="LLM API")

        answer = client.patch(url_of(product), {"status": "Archived", "tags": ["old"]})

        assert answer.status_code == 200
        assert (answer.json()["name"], answer.json()["status"], answer.json()["tags"]) == (
            "LLM API",
            "Archived",
            ["old"],
        )
        product.refresh_from_db()
        assert (product.status, product.tags) == (CatalogStatus.ARCHIVED, ["old"])

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"name": ""}, "name", "blank"),
            ({"status": "Gone"}, "status", "invalid_choice"),
            ({"id": "x"}, "id", "unknown_field"),
        ],
    )
    def test_refuses(self, client: APIClient, body: dict[str, Any], field: str, code: str) -> None:
        product = make_product(name="LLM API")

        assert read_problem(client.patch(url_of(product), body)) == (422, "invalid_input", [(field, code)])
        product.refresh_from_db()
        assert (product.name, product.status) == ("LLM API", CatalogStatus.ACTIVE)

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.patch(f"{URL}/{make_id()}", {"name": "x"})) == (404, "not_found", [])

    def test_cannot_be_removed(self, client: APIClient) -> None:
        product = make_product()

        assert read_problem(client.delete(url_of(product)))[0] == 405
        assert read_problem(client.put(url_of(product), {"name": "x"}))[0] == 405


class TestList:
    def test_shows_the_newest_first_page_by_page(self, client: APIClient) -> None:
        products = [make_product(name=f"Product {number}") for number in range(5)]
        expected = [str(product.pk) for product in reversed(products)]

        seen, url, pages = [], f"{URL}?limit=2", 0
        while url:
            answer = client.get(url)
            seen += [product["id"] for product in answer.json()]
            pages += 1
            link = answer.headers.get("Link", "")
            url = link.removeprefix("<").removesuffix('>; rel="next"')

        assert (seen, pages) == (expected, 3)

    def test_filters(self, client: APIClient) -> None:
        tagged = create_product(name="A", tags=["llm", "api"], at=NOON, actor=TESTER)
        archived = create_product(name="B", tags=["llm-2"], at=NOON, actor=TESTER)
        client.patch(url_of(archived), {"status": "Archived"})

        def find(**parameters: str) -> list[str]:
            return [product["id"] for product in client.get(URL, parameters).json()]

        assert find(tag="llm") == [str(tagged.pk)]
        assert find(tag="LLM") == []
        assert find(status="Archived") == [str(archived.pk)]
        assert find(status="Active", tag="llm-2") == []

    @pytest.mark.parametrize(
        ("parameters", "problem"),
        [
            ({"status": "Gone"}, (422, "invalid_filter", [("status", "invalid_choice")])),
            ({"tag": "x" * 65}, (422, "invalid_filter", [("tag", "max_length")])),
            ({"colour": "red"}, (422, "unknown_parameter", [("colour", "unknown_parameter")])),
            ({"limit": "0"}, (422, "invalid_limit", [("limit", "invalid_limit")])),
        ],
    )
    def test_refuses(self, client: APIClient, parameters: dict[str, str], problem: object) -> None:
        assert read_problem(client.get(URL, parameters)) == problem


class TestAccess:
    """Reading needs `catalog:read`, changing `catalog:write`; this holds for the whole catalogue."""

    @pytest.mark.parametrize("noun", ["catalog/products", "catalog/plans", "catalog/skus", "meters"])
    def test_is_for_keys_with_the_scope(self, noun: str) -> None:
        url = f"/admin/v1/{noun}"
        reader = make_client(role=ApiKeyRole.READ_ONLY)
        stranger = make_client(kind="Restricted", scopes=["customers:write"])

        assert reader.get(url).status_code == 200
        assert read_problem(reader.post(url, {}))[:2] == (403, "missing_scope")
        assert read_problem(reader.patch(f"{url}/{make_id()}", {}))[:2] == (403, "missing_scope")
        assert read_problem(stranger.get(url))[:2] == (403, "missing_scope")
        assert read_problem(APIClient().get(url))[:2] == (401, "missing_api_key")

    def test_lets_a_reader_ask_what_something_costs(self) -> None:
        reader = make_client(role=ApiKeyRole.READ_ONLY)

        answer = reader.post(f"/admin/v1/catalog/skus/{make_id()}/quote", {"quantity": "1"})

        assert read_problem(answer) == (404, "not_found", [])
