"""SKUs over HTTP."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from catalog.models import Meter, Plan, PlanVersion, Price, Sku
from tests.api.problems import read_problem
from tests.factories.catalog import get_price, make_plan, make_sku, publish
from tests.factories.core import make_client

pytestmark = pytest.mark.django_db

URL = "/admin/v1/catalog/skus"
TIERS = [{"up_to": "10", "unit_amount_nanos": "5"}, {"unit_amount_nanos": 3}]


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def plan() -> Plan:
    return make_plan()


def url_of(sku: Sku) -> str:
    return f"{URL}/{sku.pk}"


def body_for(plan: Plan, **changes: Any) -> dict[str, Any]:
    """Write the walkthrough's body; a change to None takes a field away."""
    body = {
        "plan_id": str(plan.pk),
        "name": "Input Tokens",
        "pricing_model": "PerUnit",
        "unit_amount_nanos": "2000000",
        "meter_event_type": "llm.completion",
        "meter_property": "input_tokens",
        "currency": "USD",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


LICENSED = {"meter_event_type": None, "meter_property": None}


class TestCreate:
    def test_answers_the_walkthrough(self, client: APIClient, plan: Plan) -> None:
        answer = client.post(URL, body_for(plan))

        body = answer.json()
        sku = Sku.objects.get()
        assert answer.status_code == 201
        assert UUID(body["id"]).version == 7
        assert body == {
            "id": str(sku.pk),
            "plan_id": str(plan.pk),
            "plan_version": 1,
            "name": "Input Tokens",
            "status": "Active",
            "pricing_model": "PerUnit",
            "unit_amount_nanos": "2000000",
            "currency": "USD",
            "meter_code": "llm.completion.input_tokens",
            "meter_event_type": "llm.completion",
            "meter_property": "input_tokens",
            "aggregation": "Sum",
            "percentile": None,
            "carries_over": False,
            "filters": [],
            "group_by": [],
            "billing_timing": "Arrears",
            "tax_behavior": "Exclusive",
            "tax_category": "",
            "created_at": sku.created_at.isoformat().replace("+00:00", "Z"),
        }

    def test_takes_an_amount_as_an_integer_and_shows_it_as_a_string(
        self, client: APIClient, plan: Plan
    ) -> None:
        answer = client.post(URL, body_for(plan, unit_amount_nanos=10**37))

        assert (answer.status_code, answer.json()["unit_amount_nanos"]) == (201, str(10**37))

    def test_takes_tiers_and_adjustments(self, client: APIClient, plan: Plan) -> None:
        body = body_for(
            plan,
            pricing_model="Graduated",
            unit_amount_nanos=None,
            tiers=TIERS,
            free_units="1.5",
            minimum_nanos="100",
            maximum_nanos=1000,
        )
        answer = client.post(URL, body)

        shown = answer.json()
        assert answer.status_code == 201
        assert shown["tiers"] == [
            {"up_to": "10", "unit_amount_nanos": "5", "flat_amount_nanos": "0"},
            {"up_to": None, "unit_amount_nanos": "3", "flat_amount_nanos": "0"},
        ]
        assert (shown["free_units"], shown["minimum_nanos"], shown["maximum_nanos"]) == ("1.5", "100", "1000")
        assert "unit_amount_nanos" not in shown

    def test_takes_null_parameters_as_not_given(self, client: APIClient, plan: Plan) -> None:
        answer = client.post(URL, body_for(plan) | {"tiers": None, "free_units": None})

        assert answer.status_code == 201
        assert get_price(Sku.objects.get(), version=1).params == {"unit_amount_nanos": "2000000"}

    def test_makes_a_licensed_sku(self, client: APIClient, plan: Plan) -> None:
        body = body_for(
            plan,
            **LICENSED,
            pricing_model="Flat",
            billing_timing="Advance",
            tax_behavior="Inclusive",
            tax_category="saas",
        )
        shown = client.post(URL, body).json()

        assert (shown["meter_code"], shown["meter_event_type"], shown["meter_property"]) == (None, None, None)
        assert {shown[name] for name in ("aggregation", "percentile", "carries_over")} == {None}
        assert (shown["filters"], shown["group_by"]) == (None, None)
        assert (shown["billing_timing"], shown["tax_behavior"], shown["tax_category"]) == (
            "Advance",
            "Inclusive",
            "saas",
        )

    @pytest.mark.parametrize(
        ("meter", "code", "aggregation"),
        [
            ({"meter_property": None}, "llm.completion:count", "Count"),
            ({"meter_property": None, "aggregation": "Count"}, "llm.completion:count", "Count"),
            ({"aggregation": "Sum"}, "llm.completion.input_tokens", "Sum"),
            ({"meter_code": "tokens"}, "tokens", "Sum"),
        ],
    )
    def test_makes_the_meter_that_is_meant(
        self, client: APIClient, plan: Plan, meter: dict[str, Any], code: str, aggregation: str
    ) -> None:
        shown = client.post(URL, body_for(plan, **meter)).json()

        assert (shown["meter_code"], shown["aggregation"]) == (code, aggregation)
        assert list(Meter.objects.values_list("code", flat=True)) == [code]

    @pytest.mark.parametrize(
        "counting",
        [
            {"group_by": ["model"]},
            {"filters": [{"property": "model", "operator": "In", "values": ["large", "small"]}]},
            {"aggregation": "Percentile", "percentile": "95"},
            {"aggregation": "WeightedSum", "carries_over": True},
        ],
    )
    def test_makes_any_meter_under_a_code_of_its_own(
        self, client: APIClient, plan: Plan, counting: dict[str, Any]
    ) -> None:
        refusal = client.post(URL, body_for(plan, **counting))
        made, found = (client.post(URL, body_for(plan, **counting, meter_code="mine")) for _ in range(2))

        assert read_problem(refusal) == (422, "meter_needs_code", [("meter_code", "meter_needs_code")])
        assert (made.status_code, found.status_code) == (201, 201)
        for shown in (made.json(), found.json()):
            assert {name: shown[name] for name in counting} == counting
        assert list(Meter.objects.values_list("code", flat=True)) == ["mine"]

    def test_refuses_the_code_of_a_meter_without_its_groups(self, client: APIClient, plan: Plan) -> None:
        body = body_for(plan, meter_code="mine")
        client.post(URL, body)

        answer = client.post(URL, {**body, "group_by": ["model"]})

        assert read_problem(answer) == (409, "meter_code_taken", [("meter_code", "meter_code_taken")])
        assert Sku.objects.count() == 1

    def test_finds_a_meter_by_its_code(self, client: APIClient, plan: Plan) -> None:
        client.post("/admin/v1/meters", {"code": "calls", "event_type": "llm.completion"})

        answer = client.post(URL, body_for(plan, **LICENSED, meter_code="calls"))

        assert (answer.status_code, answer.json()["meter_event_type"]) == (201, "llm.completion")
        assert Meter.objects.count() == 1

    def test_shares_a_meter(self, client: APIClient, plan: Plan) -> None:
        for owner in (plan, plan, make_plan()):
            assert client.post(URL, body_for(owner)).status_code == 201

        assert Meter.objects.count() == 1

    def test_begins_the_next_version_of_a_published_plan(self, client: APIClient, plan: Plan) -> None:
        publish(plan)

        shown = client.post(URL, body_for(plan)).json()

        assert shown["plan_version"] == 2

    @pytest.mark.parametrize(
        ("changes", "code", "errors"),
        [
            ({"plan_id": None}, "invalid_input", [("plan_id", "required")]),
            ({"plan_id": "pro"}, "invalid_input", [("plan_id", "invalid")]),
            ({"plan_id": str(make_id())}, "unknown_plan", [("plan_id", "unknown_plan")]),
            ({"name": None}, "invalid_input", [("name", "required")]),
            ({"currency": None}, "invalid_input", [("currency", "required")]),
            ({"currency": "usd"}, "unknown_currency", [("currency", "unknown_currency")]),
            ({"currency": "DOLLAR"}, "invalid_input", [("currency", "max_length")]),
            ({"pricing_model": None}, "invalid_input", [("pricing_model", "required")]),
            ({"pricing_model": "Magic"}, "invalid_input", [("pricing_model", "invalid_choice")]),
            ({"colour": "red"}, "invalid_input", [("colour", "unknown_field")]),
            ({"params": {}}, "invalid_input", [("params", "unknown_field")]),
            ({"billing_timing": "Never"}, "invalid_input", [("billing_timing", "invalid_choice")]),
            (
                {"billing_timing": "Advance"},
                "metered_in_advance",
                [("billing_timing", "metered_in_advance")],
            ),
            ({"meter_event_type": None}, "invalid_input", [("meter_event_type", "required")]),
            (
                LICENSED | {"aggregation": "Sum", "meter_code": "x"},
                "invalid_input",
                [("meter_event_type", "required")],
            ),
            (
                LICENSED | {"group_by": ["model"], "meter_code": "x"},
                "invalid_input",
                [("meter_event_type", "required")],
            ),
            (
                {"meter_code": "x", "filters": [{"property": "model", "operator": "Equals"}]},
                "invalid_meter",
                [("filters.0.values", "invalid_meter")],
            ),
            (LICENSED | {"meter_code": "x"}, "unknown_meter", [("meter_code", "unknown_meter")]),
            ({"aggregation": "Count"}, "invalid_meter", [("meter_property", "invalid_meter")]),
            (
                {"aggregation": "Sum", "meter_property": None},
                "invalid_meter",
                [("meter_property", "invalid_meter")],
            ),
            ({"aggregation": "Median"}, "invalid_input", [("aggregation", "invalid_choice")]),
        ],
    )
    def test_refuses(
        self, client: APIClient, plan: Plan, changes: dict[str, Any], code: str, errors: list[Any]
    ) -> None:
        assert read_problem(client.post(URL, body_for(plan, **changes))) == (422, code, errors)
        assert not Sku.objects.exists()
        assert not Meter.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"unit_amount_nanos": None}, "unit_amount_nanos"),
            ({"unit_amount_nanos": "0.5"}, "unit_amount_nanos"),
            ({"unit_amount_nanos": "-1"}, "unit_amount_nanos"),
            ({"unit_amount_nanos": "1e6"}, "unit_amount_nanos"),
            ({"unit_amount_nanos": True}, "unit_amount_nanos"),
            ({"unit_amount_nanos": 10**38}, "unit_amount_nanos"),
            ({"unit_amount_nanos": {"a": 1}}, "unit_amount_nanos"),
            ({"tiers": TIERS}, "tiers"),
            ({"free_units": "-1"}, "free_units"),
            ({"free_units": "NaN"}, "free_units"),
            ({"maximum_nanos": "1", "minimum_nanos": "2"}, "maximum_nanos"),
            ({"pricing_model": "Flat", "free_units": "5"}, "free_units"),
            ({"pricing_model": "Graduated", "unit_amount_nanos": None}, "tiers"),
            ({"pricing_model": "Graduated", "unit_amount_nanos": None, "tiers": []}, "tiers"),
            ({"pricing_model": "Graduated", "unit_amount_nanos": None, "tiers": ["x"]}, "tiers.0"),
            (
                {"pricing_model": "Graduated", "unit_amount_nanos": None, "tiers": [*TIERS, *TIERS]},
                "tiers.1.up_to",
            ),
            (
                {"pricing_model": "Graduated", "unit_amount_nanos": None, "tiers": [{"price": "1"}]},
                "tiers.0.price",
            ),
        ],
    )
    def test_refuses_parameters_that_do_not_fit(
        self, client: APIClient, plan: Plan, changes: dict[str, Any], field: str
    ) -> None:
        assert read_problem(client.post(URL, body_for(plan, **changes))) == (
            422,
            "invalid_pricing_params",
            [(field, "invalid_pricing_params")],
        )
        assert not Sku.objects.exists()

    @pytest.mark.parametrize("number", ["2000000.0", "2e6", "0.1"])
    def test_refuses_an_amount_with_a_fraction(self, client: APIClient, plan: Plan, number: str) -> None:
        body = (
            f'{{"plan_id": "{plan.pk}", "name": "x", "pricing_model": "PerUnit", "currency": "USD", '
            f'"unit_amount_nanos": {number}}}'
        )
        answer = client.post(URL, body, content_type="application/json")

        assert read_problem(answer)[:2] == (422, "invalid_pricing_params")

    def test_refuses_a_code_that_counts_something_else(self, client: APIClient, plan: Plan) -> None:
        client.post("/admin/v1/meters", {"code": "calls", "event_type": "llm.completion"})

        answer = client.post(URL, body_for(plan, meter_code="calls"))

        assert read_problem(answer) == (409, "meter_code_taken", [("meter_code", "meter_code_taken")])
        assert not Sku.objects.exists()

    def test_refuses_an_archived_plan(self, client: APIClient, plan: Plan) -> None:
        client.patch(f"/admin/v1/catalog/plans/{plan.pk}", {"status": "Archived"})

        answer = client.post(URL, body_for(plan))

        assert read_problem(answer) == (409, "plan_archived", [("plan_id", "plan_archived")])


class TestRetrieve:
    def test_shows_the_latest_price(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan)
        publish(plan)
        client.patch(url_of(sku), {"unit_amount_nanos": "3"})

        body = client.get(url_of(sku)).json()

        assert (body["id"], body["plan_version"], body["unit_amount_nanos"]) == (str(sku.pk), 2, "3")

    def test_shows_what_was_archived(self, client: APIClient, plan: Plan) -> None:
        sold, never_sold = make_sku(plan), make_sku(plan)
        client.patch(url_of(never_sold), {"status": "Archived"})
        publish(plan)
        client.patch(url_of(sold), {"status": "Archived"})

        first, second = client.get(url_of(sold)).json(), client.get(url_of(never_sold)).json()

        assert (first["status"], first["plan_version"], first["unit_amount_nanos"]) == (
            "Archived",
            1,
            "2000000",
        )
        assert (second["status"], second["plan_version"], second["pricing_model"], second["currency"]) == (
            "Archived",
            None,
            None,
            None,
        )
        assert "unit_amount_nanos" not in second

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.get(f"{URL}/{make_id()}")) == (404, "not_found", [])


class TestUpdate:
    def test_changes_the_price_in_place_or_in_the_next_version(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan)

        body = client.patch(url_of(sku), {"unit_amount_nanos": "3", "free_units": "100"}).json()
        assert (body["plan_version"], body["unit_amount_nanos"], body["free_units"]) == (1, "3", "100")
        publish(plan)
        body = client.patch(url_of(sku), {"free_units": None}).json()
        assert (body["plan_version"], body["unit_amount_nanos"], "free_units" in body) == (2, "3", False)
        assert get_price(sku, version=1).params == {"unit_amount_nanos": "3", "free_units": "100"}

    def test_changes_the_pricing_model(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan)

        body = client.patch(url_of(sku), {"pricing_model": "Graduated", "tiers": TIERS}).json()

        assert (body["pricing_model"], len(body["tiers"]), "unit_amount_nanos" in body) == (
            "Graduated",
            2,
            False,
        )

    def test_renames_and_archives(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan)
        publish(plan)

        assert client.patch(url_of(sku), {"name": "Tokens"}).json()["plan_version"] == 1
        assert client.patch(url_of(sku), {"status": "Archived"}).json()["status"] == "Archived"
        assert client.get(f"/admin/v1/catalog/plans/{plan.pk}").json()["skus"] == []

    @pytest.mark.parametrize(
        ("body", "code", "errors"),
        [
            ({"plan_id": str(make_id())}, "invalid_input", [("plan_id", "unknown_field")]),
            ({"currency": "EUR"}, "invalid_input", [("currency", "unknown_field")]),
            ({"meter_code": "x"}, "invalid_input", [("meter_code", "unknown_field")]),
            ({"status": "Gone"}, "invalid_input", [("status", "invalid_choice")]),
            ({"tiers": TIERS}, "invalid_pricing_params", [("tiers", "invalid_pricing_params")]),
            (
                {"unit_amount_nanos": None},
                "invalid_pricing_params",
                [("unit_amount_nanos", "invalid_pricing_params")],
            ),
            (
                {"pricing_model": "Graduated"},
                "invalid_pricing_params",
                [("tiers", "invalid_pricing_params")],
            ),
            (
                {"billing_timing": "Advance"},
                "metered_in_advance",
                [("billing_timing", "metered_in_advance")],
            ),
        ],
    )
    def test_refuses(
        self, client: APIClient, plan: Plan, body: dict[str, Any], code: str, errors: list[Any]
    ) -> None:
        sku = make_sku(plan)
        publish(plan)

        assert read_problem(client.patch(url_of(sku), {"name": "Other", **body})) == (422, code, errors)
        sku.refresh_from_db()
        assert sku.name == "Input Tokens"
        assert PlanVersion.objects.count() == Price.objects.count() == 1

    def test_refuses_to_bring_back_what_was_archived(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan)
        client.patch(url_of(sku), {"status": "Archived"})

        assert read_problem(client.patch(url_of(sku), {"status": "Active"})) == (409, "sku_archived", [])

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.patch(f"{URL}/{make_id()}", {"name": "x"})) == (404, "not_found", [])


class TestQuote:
    def test_shows_the_charge_with_its_steps(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan, params={"unit_amount_nanos": "2000000", "free_units": "100"})

        answer = client.post(f"{url_of(sku)}/quote", {"quantity": "4977500"})

        assert answer.status_code == 200
        assert answer.json() == {
            "sku_id": str(sku.pk),
            "plan_version": 1,
            "currency": "USD",
            "quantity": "4977500",
            "amount_nanos": "9954800000000",
            "steps": [
                {
                    "key": "free-units",
                    "description": "Free units",
                    "quantity": "100",
                    "unit_amount_nanos": "0",
                    "amount_nanos": "0",
                },
                {
                    "key": "units",
                    "description": "Units",
                    "quantity": "4977400",
                    "unit_amount_nanos": "2000000",
                    "amount_nanos": "9954800000000",
                },
            ],
        }

    def test_takes_an_exact_number(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan, params={"unit_amount_nanos": "10"})

        for quantity in ("0.30000000000000000001", "0.3"):
            answer = client.post(
                f"{url_of(sku)}/quote", f'{{"quantity": {quantity}}}', content_type="application/json"
            )
            assert (answer.json()["quantity"], answer.json()["amount_nanos"]) == (quantity, "3")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "required"),
            ({"quantity": "-1"}, "min_value"),
            ({"quantity": "many"}, "invalid"),
            ({"quantity": "9" * 31}, "invalid"),
            ({"quantity": None}, "null"),
        ],
    )
    def test_refuses(self, client: APIClient, plan: Plan, body: dict[str, Any], code: str) -> None:
        answer = client.post(f"{url_of(make_sku(plan))}/quote", body)

        assert read_problem(answer) == (422, "invalid_input", [("quantity", code)])

    def test_refuses_what_has_no_price(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan)
        client.patch(url_of(sku), {"status": "Archived"})

        answer = client.post(f"{url_of(sku)}/quote", {"quantity": "1"})

        assert read_problem(answer) == (404, "not_found", [])


class TestList:
    def test_filters_and_shows_the_newest_first(self, client: APIClient, plan: Plan) -> None:
        metered, seats = make_sku(plan), make_sku(plan, meter=None)
        other = make_sku(make_plan())
        client.patch(url_of(seats), {"status": "Archived"})

        def find(**parameters: str) -> list[str]:
            return [sku["id"] for sku in client.get(URL, parameters).json()]

        assert find() == [str(sku.pk) for sku in (other, seats, metered)]
        assert find(plan_id=str(plan.pk)) == [str(seats.pk), str(metered.pk)]
        assert find(plan_id=str(plan.pk), status="Archived") == [str(seats.pk)]
        assert find(meter_code="llm.completion.input_tokens") == [str(other.pk), str(metered.pk)]
        assert find(meter_code="llm.completion") == []

    def test_shows_a_sku_of_many_versions_once(self, client: APIClient, plan: Plan) -> None:
        sku = make_sku(plan)
        publish(plan)
        client.patch(url_of(sku), {"unit_amount_nanos": "3"})

        body = client.get(URL, {"meter_code": "llm.completion.input_tokens"}).json()

        assert [(each["id"], each["unit_amount_nanos"]) for each in body] == [(str(sku.pk), "3")]

    def test_refuses_what_it_does_not_know(self, client: APIClient) -> None:
        assert read_problem(client.get(URL, {"plan_id": "x"})) == (
            422,
            "invalid_filter",
            [("plan_id", "invalid")],
        )
        assert read_problem(client.get(URL, {"currency": "USD"}))[1] == "unknown_parameter"

    def test_makes_as_many_queries_for_many_as_for_one(self, client: APIClient, plan: Plan) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert client.get(URL).status_code == 200
            return len(captured)

        make_sku(plan)
        client.get(URL)
        one = count()
        for _ in range(9):
            make_sku(plan)

        assert count() == one
