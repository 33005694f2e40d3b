"""Plans over HTTP."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from catalog.models import Plan, PlanVersion
from catalog.models.plans import MAX_TRIAL_DAYS
from tests.api.problems import read_problem
from tests.factories.catalog import make_plan, make_product, make_sku, publish
from tests.factories.core import make_client

pytestmark = pytest.mark.django_db

URL = "/admin/v1/catalog/plans"
MONTHLY = {"name": "Pro", "billing_cadence": "Monthly"}


@pytest.fixture
def client() -> APIClient:
    return make_client()


def url_of(plan: Plan) -> str:
    return f"{URL}/{plan.pk}"


class TestCreate:
    def test_answers_the_walkthrough(self, client: APIClient) -> None:
        answer = client.post(
            URL,
            {
                "name": "Pay-As-You-Go",
                "description": "No monthly fee — pay only for what you use",
                "billing_cadence": "Monthly",
                "trial_days": 14,
            },
        )

        body = answer.json()
        plan = Plan.objects.get()
        assert answer.status_code == 201
        assert UUID(body["id"]).version == 7
        assert body == {
            "id": str(plan.pk),
            "name": "Pay-As-You-Go",
            "description": "No monthly fee — pay only for what you use",
            "product_id": None,
            "status": "Active",
            "version": 1,
            "published_at": None,
            "billing_cadence": "Monthly",
            "anchor": "Anniversary",
            "trial_days": 14,
            "trial_usage": "Billed",
            "skus": [],
            "created_at": plan.created_at.isoformat().replace("+00:00", "Z"),
        }

    def test_takes_every_term(self, client: APIClient) -> None:
        product = make_product()
        answer = client.post(
            URL,
            {
                "name": "Pro",
                "product_id": str(product.pk),
                "billing_cadence": "SemiAnnual",
                "anchor": "Calendar",
                "trial_usage": "Free",
            },
        )

        body = answer.json()
        assert answer.status_code == 201
        assert (body["product_id"], body["billing_cadence"], body["anchor"]) == (
            str(product.pk),
            "SemiAnnual",
            "Calendar",
        )
        assert (body["trial_days"], body["trial_usage"]) == (0, "Free")

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"billing_cadence": "Monthly"}, "name", "required"),
            ({"name": "Pro"}, "billing_cadence", "required"),
            (MONTHLY | {"billing_cadence": "monthly"}, "billing_cadence", "invalid_choice"),
            (MONTHLY | {"billing_cadence": None}, "billing_cadence", "null"),
            (MONTHLY | {"anchor": "Birthday"}, "anchor", "invalid_choice"),
            (MONTHLY | {"trial_usage": "Half"}, "trial_usage", "invalid_choice"),
            (MONTHLY | {"trial_days": -1}, "trial_days", "min_value"),
            (MONTHLY | {"trial_days": MAX_TRIAL_DAYS + 1}, "trial_days", "max_value"),
            (MONTHLY | {"trial_days": "14"}, "trial_days", "wrong_type"),
            (MONTHLY | {"trial_days": True}, "trial_days", "wrong_type"),
            (MONTHLY | {"trial_days": None}, "trial_days", "null"),
            (MONTHLY | {"product_id": "pro"}, "product_id", "invalid"),
            (MONTHLY | {"version": 2}, "version", "unknown_field"),
        ],
    )
    def test_refuses(self, client: APIClient, body: dict[str, Any], field: str, code: str) -> None:
        assert read_problem(client.post(URL, body)) == (422, "invalid_input", [(field, code)])
        assert not Plan.objects.exists()

    def test_refuses_a_fraction_of_a_day(self, client: APIClient) -> None:
        body = '{"name": "Pro", "billing_cadence": "Monthly", "trial_days": 1.5}'
        answer = client.post(URL, body, content_type="application/json")

        assert read_problem(answer) == (422, "invalid_input", [("trial_days", "wrong_type")])

    def test_refuses_an_unknown_product(self, client: APIClient) -> None:
        answer = client.post(URL, MONTHLY | {"product_id": str(make_id())})

        assert read_problem(answer) == (422, "unknown_product", [("product_id", "unknown_product")])
        assert not Plan.objects.exists()

    def test_refuses_an_archived_product(self, client: APIClient) -> None:
        product = make_product()
        client.patch(f"/admin/v1/catalog/products/{product.pk}", {"status": "Archived"})

        answer = client.post(URL, MONTHLY | {"product_id": str(product.pk)})

        assert read_problem(answer) == (409, "product_archived", [("product_id", "product_archived")])


class TestRetrieve:
    def test_shows_the_latest_version_or_the_one_that_is_asked_for(self, client: APIClient) -> None:
        plan = make_plan(trial_days=14)
        sku = make_sku(plan, name="Input Tokens")
        publish(plan)
        client.patch(url_of(plan), {"trial_days": 30})
        client.patch(f"/admin/v1/catalog/skus/{sku.pk}", {"unit_amount_nanos": "3"})

        latest, first = client.get(url_of(plan)).json(), client.get(url_of(plan), {"version": "1"}).json()

        assert (latest["version"], latest["trial_days"], latest["published_at"]) == (2, 30, None)
        assert (first["version"], first["trial_days"]) == (1, 14)
        assert first["published_at"] == "2026-02-28T12:00:00Z"
        assert [sku["unit_amount_nanos"] for sku in latest["skus"]] == ["3"]
        assert [sku["unit_amount_nanos"] for sku in first["skus"]] == ["2000000"]
        assert [sku["plan_version"] for sku in first["skus"]] == [1]

    @pytest.mark.parametrize("version", ["0", "-1", "x", "1.0", "01", "", "1" * 10, "١"])
    def test_refuses_what_is_no_number_of_a_version(self, client: APIClient, version: str) -> None:
        answer = client.get(url_of(make_plan()), {"version": version})

        assert read_problem(answer) == (422, "invalid_version", [("version", "invalid_version")])

    def test_refuses_what_is_not_there(self, client: APIClient) -> None:
        plan = make_plan()

        assert read_problem(client.get(url_of(plan), {"version": "2"})) == (404, "not_found", [])
        assert read_problem(client.get(f"{URL}/{make_id()}")) == (404, "not_found", [])
        assert read_problem(client.get(f"{URL}/{make_id()}", {"version": "1"})) == (404, "not_found", [])


class TestUpdate:
    def test_changes_an_unpublished_plan_in_place(self, client: APIClient) -> None:
        plan = make_plan(trial_days=14)

        answer = client.patch(url_of(plan), {"name": "Pro", "trial_days": 0, "billing_cadence": "Annual"})

        body = answer.json()
        assert (answer.status_code, body["version"]) == (200, 1)
        assert (body["name"], body["trial_days"], body["billing_cadence"]) == ("Pro", 0, "Annual")

    def test_makes_the_next_version_of_a_published_plan(self, client: APIClient) -> None:
        plan = make_plan(trial_days=14)
        publish(plan)

        body = client.patch(url_of(plan), {"trial_days": 30}).json()

        assert (body["version"], body["published_at"], body["trial_days"]) == (2, None, 30)

    def test_archives_and_brings_back(self, client: APIClient) -> None:
        plan = make_plan()
        publish(plan)

        for status in ("Archived", "Active"):
            body = client.patch(url_of(plan), {"status": status}).json()
            assert (body["status"], body["version"]) == (status, 1)

    def test_changes_nothing_if_nothing_is_named(self, client: APIClient) -> None:
        plan = make_plan()

        assert client.patch(url_of(plan), {}).status_code == 200
        assert not AuditEntry.objects.filter(action="plan.updated").exists()

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({"trial_days": MAX_TRIAL_DAYS + 1}, ("invalid_input", [("trial_days", "max_value")])),
            ({"billing_cadence": None}, ("invalid_input", [("billing_cadence", "null")])),
            ({"currency": "USD"}, ("invalid_input", [("currency", "unknown_field")])),
            ({"product_id": str(make_id())}, ("unknown_product", [("product_id", "unknown_product")])),
        ],
    )
    def test_refuses(self, client: APIClient, body: dict[str, Any], problem: tuple[Any, ...]) -> None:
        plan = make_plan(name="Pro")

        assert read_problem(client.patch(url_of(plan), {"name": "Other", **body})) == (422, *problem)
        plan.refresh_from_db()
        assert plan.name == "Pro"
        assert PlanVersion.objects.count() == 1

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.patch(f"{URL}/{make_id()}", {"name": "x"})) == (404, "not_found", [])


class TestList:
    def test_shows_each_in_its_latest_version(self, client: APIClient) -> None:
        old, new = make_plan(name="Old"), make_plan(name="New")
        make_sku(old, name="First")
        publish(old)
        make_sku(old, name="Second")

        body = client.get(URL).json()

        assert [(plan["id"], plan["version"]) for plan in body] == [(str(new.pk), 1), (str(old.pk), 2)]
        assert [sku["name"] for sku in body[1]["skus"]] == ["First", "Second"]

    def test_filters(self, client: APIClient) -> None:
        product = make_product()
        sold, other = make_plan(product_id=product.pk), make_plan()
        client.patch(url_of(other), {"status": "Archived"})

        def find(**parameters: str) -> list[str]:
            return [plan["id"] for plan in client.get(URL, parameters).json()]

        assert find(product_id=str(product.pk)) == find(status="Active") == [str(sold.pk)]
        assert find(status="Archived") == [str(other.pk)]
        assert find(product_id=str(make_id())) == []

    def test_refuses_what_it_does_not_know(self, client: APIClient) -> None:
        assert read_problem(client.get(URL, {"product_id": "x"})) == (
            422,
            "invalid_filter",
            [("product_id", "invalid")],
        )
        assert read_problem(client.get(URL, {"version": "1"}))[1] == "unknown_parameter"

    def test_makes_as_many_queries_for_many_as_for_one(self, client: APIClient) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert client.get(URL).status_code == 200
            return len(captured)

        make_sku(make_plan())
        client.get(URL)
        one = count()
        for _ in range(9):
            plan = make_plan()
            make_sku(plan)
            make_sku(plan, meter=None)

        assert count() == one


class TestDiff:
    def test_tells_all_that_two_versions_have_different(self, client: APIClient) -> None:
        plan = make_plan()
        tokens, seats = make_sku(plan), make_sku(plan, name="Seats", meter=None)
        kept = make_sku(plan, name="Storage", meter=None, params={"unit_amount_nanos": "7"})
        publish(plan)
        client.patch(f"{URL}/{plan.pk}", {"trial_days": 14})
        client.patch(f"/admin/v1/catalog/skus/{tokens.pk}", {"unit_amount_nanos": "3", "minimum_nanos": "9"})
        client.patch(f"/admin/v1/catalog/skus/{seats.pk}", {"status": "Archived"})
        calls = make_sku(plan, name="Calls", meter=None)

        answer = client.get(f"{URL}/{plan.pk}/diff", {"from": 1, "to": 2})

        body = answer.json()
        assert answer.status_code == 200
        assert (body["plan_id"], body["from_version"], body["to_version"]) == (str(plan.pk), 1, 2)
        assert body["terms"] == [{"field": "trial_days", "before": "0", "after": "14"}]
        assert [sku["id"] for sku in body["added"]] == [str(calls.pk)]
        assert [(sku["id"], sku["plan_version"]) for sku in body["removed"]] == [(str(seats.pk), 1)]
        assert body["changed"] == [
            {
                "sku_id": str(tokens.pk),
                "name": "Input Tokens",
                "differences": [
                    {"field": "unit_amount_nanos", "before": "2000000", "after": "3"},
                    {"field": "minimum_nanos", "before": None, "after": "9"},
                ],
            }
        ]
        assert str(kept.pk) not in answer.content.decode()

    def test_goes_both_ways_and_finds_nothing_in_itself(self, client: APIClient) -> None:
        plan = make_plan()
        make_sku(plan)
        publish(plan)
        client.patch(f"{URL}/{plan.pk}", {"anchor": "Calendar"})

        def read(first: int, second: int) -> list[tuple[str, str]]:
            body = client.get(f"{URL}/{plan.pk}/diff", {"from": first, "to": second}).json()
            assert (body["added"], body["removed"], body["changed"]) == ([], [], [])
            return [(each["before"], each["after"]) for each in body["terms"]]

        assert read(1, 2) == [("Anniversary", "Calendar")]
        assert read(2, 1) == [("Calendar", "Anniversary")]
        assert read(2, 2) == []

    @pytest.mark.parametrize(
        ("query", "problem"),
        [
            ({"to": "1"}, (422, "invalid_version", [("from", "invalid_version")])),
            ({"from": "1", "to": "0"}, (422, "invalid_version", [("to", "invalid_version")])),
            ({"from": "1", "to": "9"}, (404, "not_found", [])),
        ],
    )
    def test_refuses_what_is_no_version(
        self, client: APIClient, query: dict[str, str], problem: tuple[int, str, list[tuple[str, str]]]
    ) -> None:
        plan = make_plan()

        assert read_problem(client.get(f"{URL}/{plan.pk}/diff", query)) == problem
