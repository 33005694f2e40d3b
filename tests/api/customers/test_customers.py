"""Customers over HTTP."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyRole, AuditEntry, OutboxEvent
from customers.models import AccountType, Customer
from tests.api.problems import read_problem
from tests.factories.core import make_client, make_seller
from tests.factories.customers import make_customer, make_test_clock

pytestmark = pytest.mark.django_db

URL = "/admin/v1/customers"
NEURALWORKS = {
    "display_name": "NeuralWorks Inc",
    "email": "billing@neuralworks.io",
    "currency": "USD",
    "account_type": "Organization",
}
LEAP_DAY = datetime(2024, 2, 29, 8, 30, tzinfo=UTC)


@pytest.fixture
def client() -> APIClient:
    make_seller()
    return make_client()


def url_of(customer: Customer) -> str:
    return f"{URL}/{customer.pk}"


def write(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


class TestCreate:
    def test_answers_the_walkthrough(self, client: APIClient) -> None:
        answer = client.post(URL, NEURALWORKS)

        body = answer.json()
        customer = Customer.objects.get()
        assert answer.status_code == 201
        assert UUID(body["id"]).version == 7
        assert body == {
            "id": str(customer.pk),
            "display_name": "NeuralWorks Inc",
            "legal_name": "",
            "email": "billing@neuralworks.io",
            "external_id": None,
            "currency": "USD",
            "account_type": "Organization",
            "status": "Active",
            "timezone": "UTC",
            "tax_id": "",
            "payment_terms_days": 30,
            "billing_address": {},
            "parent_id": None,
            "consolidation": "Standalone",
            "test_clock_id": None,
            "created_at": write(customer.created_at),
        }

    def test_takes_all_that_can_be_said(self, client: APIClient) -> None:
        parent = make_customer()
        given = {
            "display_name": "NeuralWorks Europe",
            "legal_name": "NeuralWorks GmbH",
            "email": "eu@neuralworks.io",
            "external_id": "nw-eu",
            "currency": "EUR",
            "account_type": "Subsidiary",
            "timezone": "Europe/Berlin",
            "tax_id": "DE123456789",
            "payment_terms_days": 0,
            "billing_address": {
                "line1": "Torstraße 1",
                "line2": "Hof",
                "city": "Berlin",
                "region": "BE",
                "postal_code": "10119",
                "country": "DE",
            },
            "parent_id": str(parent.pk),
            "consolidation": "ConsolidateToParent",
        }

        answer = client.post(URL, given)

        assert answer.status_code == 201
        assert {name: answer.json()[name] for name in given} == given
        assert client.get(f"{URL}/{answer.json()['id']}").json() == answer.json()

    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"display_name": None}, "display_name", "null"),
            ({"display_name": " "}, "display_name", "blank"),
            ({"display_name": "x" * 201}, "display_name", "max_length"),
            ({"email": "nobody"}, "email", "invalid"),
            ({"email": ""}, "email", "blank"),
            ({"email": ["a@b.example"]}, "email", "wrong_type"),
            ({"currency": "DOLLAR"}, "currency", "max_length"),
            ({"account_type": "Company"}, "account_type", "invalid_choice"),
            ({"status": "Closed"}, "status", "unknown_field"),
            ({"id": str(make_id())}, "id", "unknown_field"),
            ({"external_id": ""}, "external_id", "blank"),
            ({"external_id": 5}, "external_id", "wrong_type"),
            ({"timezone": None}, "timezone", "null"),
            ({"payment_terms_days": -1}, "payment_terms_days", "min_value"),
            ({"payment_terms_days": 366}, "payment_terms_days", "max_value"),
            ({"payment_terms_days": "30"}, "payment_terms_days", "wrong_type"),
            ({"billing_address": "Berlin"}, "billing_address", "wrong_type"),
            ({"billing_address": {"street": "x"}}, "billing_address.street", "unknown_field"),
            ({"billing_address": {"city": 5}}, "billing_address.city", "wrong_type"),
            ({"billing_address": {"country": "DEU"}}, "billing_address.country", "max_length"),
            ({"parent_id": "x"}, "parent_id", "invalid"),
            ({"test_clock_id": "x"}, "test_clock_id", "invalid"),
        ],
    )
    def test_refuses_what_is_malformed(
        self, client: APIClient, changes: dict[str, Any], field: str, code: str
    ) -> None:
        assert read_problem(client.post(URL, NEURALWORKS | changes)) == (
            422,
            "invalid_input",
            [(field, code)],
        )
        assert not Customer.objects.exists()

    @pytest.mark.parametrize("field", ["display_name", "email", "currency"])
    def test_needs(self, client: APIClient, field: str) -> None:
        body = {name: value for name, value in NEURALWORKS.items() if name != field}

        assert read_problem(client.post(URL, body)) == (422, "invalid_input", [(field, "required")])

    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"currency": "usd"}, "currency", "unknown_currency"),
            ({"timezone": "Mars/Olympus"}, "timezone", "unknown_timezone"),
            ({"billing_address": {"country": "ZZ"}}, "billing_address.country", "unknown_country"),
            ({"parent_id": str(make_id()), "account_type": "Subsidiary"}, "parent_id", "unknown_parent"),
            ({"consolidation": "ConsolidateToParent"}, "consolidation", "consolidation_without_parent"),
        ],
    )
    def test_refuses_what_cannot_be_so(
        self, client: APIClient, changes: dict[str, Any], field: str, code: str
    ) -> None:
        assert read_problem(client.post(URL, NEURALWORKS | changes)) == (
            422,
            "invalid_customer",
            [(field, code)],
        )
        assert not Customer.objects.exists()

    def test_refuses_an_external_id_that_is_taken(self, client: APIClient) -> None:
        client.post(URL, NEURALWORKS | {"external_id": "nw-1"})

        answer = client.post(URL, NEURALWORKS | {"external_id": "nw-1"})

        assert read_problem(answer) == (409, "external_id_taken", [("external_id", "external_id_taken")])
        assert Customer.objects.count() == 1

    def test_refuses_an_external_id_that_is_taken_also_under_an_idempotency_key(
        self, client: APIClient
    ) -> None:
        client.post(URL, NEURALWORKS | {"external_id": "nw-1"}, headers={"Idempotency-Key": "first"})

        for _ in range(2):  # A refusal is not remembered, and leaves the transaction usable.
            answer = client.post(
                URL, NEURALWORKS | {"external_id": "nw-1"}, headers={"Idempotency-Key": "second"}
            )
            assert read_problem(answer)[:2] == (409, "external_id_taken")

    def test_answers_a_repeat_with_the_same(self, client: APIClient) -> None:
        answers = [client.post(URL, NEURALWORKS, headers={"Idempotency-Key": "once"}) for _ in range(2)]

        assert answers[0].json() == answers[1].json()
        assert Customer.objects.count() == OutboxEvent.objects.count() == 1

    def test_needs_the_seller(self) -> None:
        answer = make_client().post(URL, NEURALWORKS)

        assert read_problem(answer) == (409, "seller_not_set_up", [])


class TestCreateOnClock:
    """A customer lives by the clock that is named, or by that of the key."""

    def test_takes_the_clock_that_is_named(self, client: APIClient) -> None:
        clock = make_test_clock(now_at=LEAP_DAY)

        answer = client.post(URL, NEURALWORKS | {"test_clock_id": str(clock.pk)})

        assert (answer.status_code, answer.json()["test_clock_id"]) == (201, str(clock.pk))
        assert AuditEntry.objects.get(action="customer.created").occurred_at == LEAP_DAY
        assert OutboxEvent.objects.get().occurred_at == LEAP_DAY

    @pytest.mark.parametrize("named", [{}, {"test_clock_id": None}])
    def test_takes_the_clock_of_the_key(self, named: dict[str, None]) -> None:
        make_seller()
        clock = make_test_clock(now_at=LEAP_DAY)
        client = make_client(test_clock_id=clock.pk)

        answer = client.post(URL, NEURALWORKS | named)

        assert (answer.status_code, answer.json()["test_clock_id"]) == (201, str(clock.pk))
        assert AuditEntry.objects.get(action="customer.created").occurred_at == LEAP_DAY

    def test_takes_the_named_one_before_that_of_the_key(self) -> None:
        make_seller()
        named = make_test_clock()
        client = make_client(test_clock_id=make_test_clock().pk)

        answer = client.post(URL, NEURALWORKS | {"test_clock_id": str(named.pk)})

        assert answer.json()["test_clock_id"] == str(named.pk)

    def test_refuses_an_unknown_clock(self, client: APIClient) -> None:
        answer = client.post(URL, NEURALWORKS | {"test_clock_id": str(make_id())})

        assert read_problem(answer) == (
            422,
            "unknown_test_clock",
            [("test_clock_id", "unknown_test_clock")],
        )
        assert not Customer.objects.exists()


class TestRetrieve:
    def test_shows_one(self, client: APIClient) -> None:
        customer = make_customer(external_id="nw-1")

        body = client.get(url_of(customer)).json()

        assert (body["id"], body["external_id"]) == (str(customer.pk), "nw-1")

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.get(f"{URL}/{make_id()}")) == (404, "not_found", [])
        assert read_problem(client.get(f"{URL}/nw-1")) == (404, "not_found", [])


class TestUpdate:
    def test_changes_what_is_named(self, client: APIClient) -> None:
        customer = make_customer(external_id="nw-1", billing_address={"country": "DE", "city": "Berlin"})

        answer = client.patch(
            url_of(customer),
            {
                "status": "Suspended",
                "external_id": None,
                "billing_address": {"country": "FR"},
                "tax_id": "FR1",
                "legal_name": "",
            },
        )

        body = answer.json()
        assert answer.status_code == 200
        assert (body["status"], body["external_id"], body["tax_id"]) == ("Suspended", None, "FR1")
        assert body["billing_address"] == {"country": "FR"}
        assert body["display_name"] == "NeuralWorks Inc"
        customer.refresh_from_db()
        assert (customer.status, customer.billing_address) == ("Suspended", {"country": "FR"})

    def test_goes_by_the_customers_clock(self, client: APIClient) -> None:
        customer = make_customer(test_clock_id=make_test_clock(now_at=LEAP_DAY).pk)

        client.patch(url_of(customer), {"display_name": "Other"})

        assert AuditEntry.objects.get(action="customer.updated").occurred_at == LEAP_DAY

    @pytest.mark.parametrize(
        ("body", "code", "errors"),
        [
            ({"test_clock_id": None}, "invalid_input", [("test_clock_id", "unknown_field")]),
            ({"created_at": "x"}, "invalid_input", [("created_at", "unknown_field")]),
            ({"display_name": None}, "invalid_input", [("display_name", "null")]),
            ({"status": "Gone"}, "invalid_input", [("status", "invalid_choice")]),
            ({"currency": "XXX"}, "invalid_customer", [("currency", "unknown_currency")]),
            (
                {"timezone": "Mars", "currency": "XXX"},
                "invalid_customer",
                [("currency", "unknown_currency"), ("timezone", "unknown_timezone")],
            ),
        ],
    )
    def test_refuses(
        self, client: APIClient, body: dict[str, Any], code: str, errors: list[tuple[str, str]]
    ) -> None:
        customer = make_customer()

        assert read_problem(client.patch(url_of(customer), {"legal_name": "New", **body})) == (
            422,
            code,
            errors,
        )
        customer.refresh_from_db()
        assert customer.legal_name == ""

    def test_refuses_to_turn_a_parent_into_something_else(self, client: APIClient) -> None:
        parent = make_customer()
        make_customer(account_type=AccountType.SUBSIDIARY, parent_id=parent.pk)

        answer = client.patch(url_of(parent), {"account_type": "Individual"})

        assert read_problem(answer) == (
            409,
            "customer_has_children",
            [("account_type", "customer_has_children")],
        )

    def test_refuses_an_unknown_one(self, client: APIClient) -> None:
        assert read_problem(client.patch(f"{URL}/{make_id()}", {"tax_id": "x"})) == (404, "not_found", [])

    def test_cannot_be_removed(self, client: APIClient) -> None:
        customer = make_customer()

        assert read_problem(client.delete(url_of(customer)))[0] == 405
        assert Customer.objects.filter(pk=customer.pk).exists()


class TestList:
    def test_shows_the_newest_first_page_by_page(self, client: APIClient) -> None:
        customers = [make_customer() for _ in range(5)]

        seen, url, pages = [], f"{URL}?limit=2", 0
        while url:
            answer = client.get(url)
            seen += [customer["id"] for customer in answer.json()]
            pages += 1
            url = answer.headers.get("Link", "").removeprefix("<").removesuffix('>; rel="next"')

        assert (seen, pages) == ([str(customer.pk) for customer in reversed(customers)], 3)

    def test_keeps_the_filters_from_page_to_page(self, client: APIClient) -> None:
        wanted = [make_customer(currency="EUR") for _ in range(2)]
        make_customer(currency="USD")

        first = client.get(URL, {"currency": "EUR", "limit": "1"})
        url = first.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')
        second = client.get(url)

        shown = [first.json()[0]["id"], second.json()[0]["id"]]
        assert shown == [str(customer.pk) for customer in reversed(wanted)]
        assert "Link" not in second.headers

    def test_filters(self, client: APIClient) -> None:
        clock = make_test_clock()
        plain = make_customer(email="Ops@NeuralWorks.example", external_id="nw-1")
        person = make_customer(
            account_type=AccountType.INDIVIDUAL, email="ada@x.example", test_clock_id=clock.pk
        )
        child = make_customer(
            account_type=AccountType.SUBSIDIARY,
            email="kid@x.example",
            parent_id=plain.pk,
            currency="EUR",
        )
        client.patch(url_of(child), {"status": "Closed"})

        def find(**parameters: str) -> list[str]:
            return [customer["id"] for customer in client.get(URL, parameters).json()]

        assert find() == [str(customer.pk) for customer in (child, person, plain)]
        assert find(email="ops@neuralworks.EXAMPLE") == find(external_id="nw-1") == [str(plain.pk)]
        assert find(account_type="Individual") == find(test_clock_id=str(clock.pk)) == [str(person.pk)]
        assert find(status="Closed") == find(currency="EUR") == [str(child.pk)]
        assert find(parent_id=str(plain.pk)) == [str(child.pk)]
        assert find(external_id="NW-1") == find(status="Closed", currency="USD") == []

    def test_filters_by_when_it_was_made(self, client: APIClient) -> None:
        first, second, third = (make_customer() for _ in range(3))

        def find(**parameters: str) -> list[str]:
            return [customer["id"] for customer in client.get(URL, parameters).json()]

        assert find(created_after=write(second.created_at)) == [str(third.pk), str(second.pk)]
        assert find(created_before=write(second.created_at)) == [str(first.pk)]
        assert find(created_after=write(second.created_at), created_before=write(third.created_at)) == [
            str(second.pk)
        ]

    @pytest.mark.parametrize(
        ("parameters", "problem"),
        [
            ({"status": "Gone"}, ("invalid_filter", [("status", "invalid_choice")])),
            ({"test_clock_id": "x"}, ("invalid_filter", [("test_clock_id", "invalid")])),
            ({"created_after": "2026-02-28T12:00:00"}, ("invalid_filter", [("created_after", "invalid")])),
            ({"created_before": "yesterday"}, ("invalid_filter", [("created_before", "invalid")])),
            ({"display_name": "x"}, ("unknown_parameter", [("display_name", "unknown_parameter")])),
            ({"limit": "1001"}, ("invalid_limit", [("limit", "invalid_limit")])),
            ({"cursor": "x"}, ("invalid_cursor", [("cursor", "invalid_cursor")])),
        ],
    )
    def test_refuses(
        self, client: APIClient, parameters: dict[str, str], problem: tuple[str, list[tuple[str, str]]]
    ) -> None:
        assert read_problem(client.get(URL, parameters)) == (422, *problem)

    def test_makes_as_many_queries_for_many_as_for_one(self, client: APIClient) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as captured:
                assert client.get(URL).status_code == 200
            return len(captured)

        parent = make_customer(test_clock_id=make_test_clock().pk)
        client.get(URL)
        one = count()
        for _ in range(9):
            make_customer(
                account_type=AccountType.SUBSIDIARY, parent_id=parent.pk, test_clock_id=parent.test_clock_id
            )

        assert count() == one

    @pytest.mark.parametrize(
        ("parameters", "index"),
        [
            ({"email": "ada@x.example"}, "customer_by_email"),
            ({"status": "Closed"}, "customer_by_status"),
            ({"account_type": "Individual"}, "customer_by_account_type"),
        ],
    )
    def test_finds_few_among_many_by_an_index(
        self, client: APIClient, parameters: dict[str, str], index: str
    ) -> None:
        with CaptureQueriesContext(connection) as captured:
            client.get(URL, parameters)
        (statement,) = [query["sql"] for query in captured if 'FROM "customers_customer"' in query["sql"]]

        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(line for (line,) in cursor.fetchall())

        assert index in plan
        assert "Filter" not in plan


class TestAccess:
    def test_is_for_keys_with_the_scope(self) -> None:
        customer = make_customer()
        reader = make_client(role=ApiKeyRole.READ_ONLY)
        stranger = make_client(kind="Restricted", scopes=["catalog:write"])

        assert reader.get(URL).status_code == reader.get(url_of(customer)).status_code == 200
        assert read_problem(reader.post(URL, NEURALWORKS))[:2] == (403, "missing_scope")
        assert read_problem(reader.patch(url_of(customer), {}))[:2] == (403, "missing_scope")
        assert read_problem(stranger.get(URL))[:2] == (403, "missing_scope")
        assert read_problem(APIClient().get(URL))[:2] == (401, "missing_api_key")
        assert Customer.objects.count() == 1
