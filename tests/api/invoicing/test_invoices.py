"""Invoices over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_project.core.api.fields import format_instant
from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind, ApiKeyRole, AuditEntry
from catalog.models import Meter
from customers.models import Customer, CustomerStatus
from customers.operations import update_customer
from invoicing.models import Invoice, InvoiceLine, InvoiceTax, LineKind
from tests.api.problems import read_problem
from tests.factories.core import NOON, TESTER, make_client
from tests.factories.invoicing import (
    CENT,
    DOLLAR,
    Contract,
    make_contract,
    make_draft,
    make_final,
    make_line,
    tax_all,
    write,
)

pytestmark = pytest.mark.django_db

ADMIN = "/admin/v1/invoices"
PUBLIC = "/v1/invoices"
SETUP = {"description": "Set-up", "amount_nanos": str(100 * DOLLAR)}


def list_ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json()
    return [invoice["id"] for invoice in answer.json()]


class TestRetrieve:
    def test_shows_a_draft(self, client: APIClient, contract: Contract) -> None:
        meter = Meter.objects.get()
        step = {
            "key": "units",
            "description": "Units",
            "quantity": "4977500",
            "unit_amount_nanos": "2000000",
            "amount_nanos": "9955000000000",
        }
        draft = write(contract, make_line(contract, 9955000000000, meter_id=meter.pk, steps=(step,)))

        answer = client.get(f"{ADMIN}/{draft.pk}")

        assert answer.status_code == 200
        start, end = (format_instant(at) for at in (contract.period.starts_at, contract.period.ends_at))
        assert answer.json() == {
            "id": str(draft.pk),
            "invoice_number": None,
            "invoice_type": "Standard",
            "reason": "OnDemand",
            "status": "Draft",
            "tax_status": "NotAssessed",
            "customer_id": str(draft.customer_id),
            "subscription_id": str(contract.subscription.pk),
            "currency": "USD",
            "period_start": start,
            "period_end": end,
            "issued_at": None,
            "due_date": None,
            "finalized_at": None,
            "subtotal_nanos": "9960000000000",
            "rounding_nanos": "5000000000",
            "tax_nanos": "0",
            "total_nanos": "9960000000000",
            "credit_nanos": "0",
            "amount_due_nanos": "9960000000000",
            "amount_paid_nanos": "0",
            "applies_to_invoice_id": None,
            "voided_reason": None,
            "line_items": [
                {
                    "id": str(InvoiceLine.objects.get().pk),
                    "description": "Input Tokens",
                    "quantity": "100",
                    "unit": "token",
                    "unit_amount_nanos": "99550000000",
                    "amount_nanos": "9955000000000",
                    "is_tax": False,
                    "subscription_id": str(contract.subscription.pk),
                    "sku_id": str(contract.item.sku_id),
                    "meter_id": "llm.completion.input_tokens",
                    "period_start": start,
                    "period_end": end,
                    "late_quantity": None,
                    "steps": [step],
                }
            ],
        }

    def test_shows_tax_as_a_line(self, client: APIClient, contract: Contract) -> None:
        tax_all()
        invoice = make_final(contract)

        shown = client.get(f"{ADMIN}/{invoice.pk}").json()

        assert shown["line_items"][1] == {
            "id": str(InvoiceTax.objects.get().pk),
            "description": "Tax 20%",
            "quantity": None,
            "unit": None,
            "unit_amount_nanos": None,
            "amount_nanos": str(DOLLAR),
            "is_tax": True,
            "subscription_id": None,
            "sku_id": None,
            "meter_id": None,
            "period_start": None,
            "period_end": None,
            "late_quantity": None,
            "steps": [],
        }
        lines = sum(int(line["amount_nanos"]) for line in shown["line_items"])
        assert lines + int(shown["rounding_nanos"]) == int(shown["total_nanos"])

    def test_tells_the_due_date_where_the_customer_is(self, client: APIClient, contract: Contract) -> None:
        at = NOON.replace(hour=3)  # The evening before in Denver.
        invoice = make_final(contract, at=at)

        shown = client.get(f"{ADMIN}/{invoice.pk}").json()

        assert (shown["issued_at"], shown["finalized_at"]) == ("2026-02-28T03:00:00Z", "2026-02-28T03:00:00Z")
        assert shown["due_date"] == "2026-03-29"  # 30 days after the 27th.

    def test_keeps_the_due_date_of_a_customer_who_moves(self, client: APIClient, contract: Contract) -> None:
        invoice = make_final(contract, at=NOON.replace(hour=3))
        update_customer(customer_id=invoice.customer_id, changes={"timezone": "UTC"}, at=NOON, actor=TESTER)

        assert client.get(f"{ADMIN}/{invoice.pk}").json()["due_date"] == "2026-03-29"

    @pytest.mark.parametrize("path", [ADMIN, PUBLIC])
    def test_knows_only_what_there_is(self, client: APIClient, path: str) -> None:
        assert client.get(f"{path}/{make_id()}").status_code == 404

    def test_hides_drafts_from_customers(self, client: APIClient, contract: Contract) -> None:
        invoice = make_final(contract)
        draft = make_draft(contract)

        assert client.get(f"{PUBLIC}/{invoice.pk}").json()["invoice_number"] == "INV-000001"
        assert client.get(f"{PUBLIC}/{draft.pk}").status_code == 404
        assert list_ids(client.get(PUBLIC)) == [str(invoice.pk)]
        assert list_ids(client.get(ADMIN)) == [str(draft.pk), str(invoice.pk)]


class TestList:
    def test_filters(self, client: APIClient) -> None:
        first, second = make_contract(), make_contract(currency="EUR")
        early = make_final(first, at=NOON)
        late = make_final(second, at=NOON + timedelta(days=2))
        draft = make_draft(first, charges=[CENT])

        def find(**parameters: object) -> list[str]:
            return list_ids(client.get(ADMIN, parameters))

        subscription_id = str(first.subscription.pk)
        assert find(customer_id=str(early.customer_id)) == [str(draft.pk), str(early.pk)]
        assert find(customer_id=str(early.customer_id), status="Draft") == [str(draft.pk)]
        assert find(subscription_id=subscription_id, status="Open") == [str(early.pk)]
        assert find(period_id=str(second.period.pk)) == [str(late.pk)]
        assert find(status="Void") == []
        assert find(invoice_type="Standard", reason="OnDemand", currency="EUR") == [str(late.pk)]
        assert find(invoice_number="INV-000001") == [str(early.pk)]
        assert find(tax_status="NotAssessed") == [str(draft.pk)]
        assert find(issued_after="2026-03-01T00:00:00Z") == [str(late.pk)]
        assert find(issued_before="2026-03-01T00:00:00Z") == [str(early.pk)]
        assert find(issued_after="2026-02-28T12:00:00Z", issued_before="2026-02-28T12:00:01Z") == [
            str(early.pk)
        ]
        assert find(due_before="2026-03-31T00:00:00Z") == [str(early.pk)]
        assert find(due_after="2026-03-31T00:00:00Z") == [str(late.pk)]
        assert find(customer_id=str(make_id())) == []

    @pytest.mark.parametrize(
        "parameters",
        [{"state": "Draft"}, {"status": "draft"}, {"customer_id": "x"}, {"issued_after": "2026-02-28T12:00"}],
    )
    def test_refuses_filters_that_make_no_sense(self, client: APIClient, parameters: dict[str, str]) -> None:
        answer = client.get(ADMIN, parameters)

        status, _, problems = read_problem(answer)
        assert (status, [name for name, _ in problems]) == (422, list(parameters))

    @pytest.mark.parametrize("path", [ADMIN, PUBLIC])
    def test_asks_the_database_as_often_for_many_as_for_one(self, client: APIClient, path: str) -> None:
        def count_queries() -> int:
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert client.get(path).status_code == 200
            return len(queries)

        tax_contract = make_contract()
        tax_all()
        make_final(tax_contract)
        client.get(path)  # The key's last use is noted now.
        one = count_queries()
        for _ in range(4):
            make_final(make_contract(), charges=[DOLLAR, 2 * DOLLAR])

        assert count_queries() == one
        assert len(client.get(path).json()) == 5

    def test_gives_pages(self, client: APIClient, contract: Contract) -> None:
        invoices = [make_final(contract) for _ in range(3)]

        first = client.get(ADMIN, {"limit": 2})

        assert list_ids(first) == [str(invoices[2].pk), str(invoices[1].pk)]
        following = first.headers["Link"].partition("<")[2].partition(">")[0]
        assert list_ids(client.get(following)) == [str(invoices[0].pk)]


class TestAccess:
    ACTIONS = ("calculate-tax", "finalize", "void", "payments", "lines")

    @pytest.mark.parametrize("action", ACTIONS)
    @pytest.mark.parametrize("role", [ApiKeyRole.READ_ONLY, ApiKeyRole.SUPPORT, ApiKeyRole.DEVELOPER])
    def test_to_change_is_finances(self, contract: Contract, action: str, role: ApiKeyRole) -> None:
        draft = make_draft(contract)

        answer = make_client(role=role).post(f"{ADMIN}/{draft.pk}/{action}")

        assert read_problem(answer)[:2] == (403, "missing_scope")
        draft.refresh_from_db()
        assert (draft.status, draft.tax_status) == ("Draft", "NotAssessed")

    def test_to_payments_is_apart_from_access_to_invoices(self, contract: Contract) -> None:
        invoice = make_final(contract)
        only_payments = make_client(kind=ApiKeyKind.RESTRICTED, scopes=["payments:write"])
        only_invoices = make_client(kind=ApiKeyKind.RESTRICTED, scopes=["invoices:write"])
        body = {"amount_nanos": str(DOLLAR)}

        assert only_invoices.post(f"{ADMIN}/{invoice.pk}/payments", body).status_code == 403
        assert only_payments.post(f"{ADMIN}/{invoice.pk}/payments", body).status_code == 201
        assert only_payments.post(f"{ADMIN}/{invoice.pk}/finalize").status_code == 403

    @pytest.mark.parametrize("path", [ADMIN, PUBLIC])
    def test_needs_a_key(self, path: str) -> None:
        answer = APIClient().get(path)

        assert answer.status_code == 401
        assert "WWW-Authenticate" in answer.headers

    def test_with_a_publishable_key_is_to_final_invoices(self, contract: Contract) -> None:
        invoice = make_final(contract)
        make_draft(contract)
        client = make_client(kind=ApiKeyKind.PUBLISHABLE)

        assert list_ids(client.get(PUBLIC)) == [str(invoice.pk)]
        assert client.get(ADMIN).status_code == 403


class TestCreate:
    def test_makes_a_one_off_draft(self, client: APIClient, customer: Customer) -> None:
        consulting = {
            "description": "Consulting",
            "quantity": "1.5",
            "unit": "hour",
            "unit_amount_nanos": 100 * DOLLAR,
            "tax_behavior": "Inclusive",
            "tax_category": "services",
        }

        answer = client.post(ADMIN, {"customer_id": str(customer.pk), "lines": [SETUP, consulting]})

        assert answer.status_code == 201
        shown = answer.json()
        assert (shown["status"], shown["reason"], shown["currency"]) == ("Draft", "OneOff", "USD")
        assert shown["total_nanos"] == str(250 * DOLLAR)
        assert [(line["description"], line["amount_nanos"]) for line in shown["line_items"]] == [
            ("Set-up", str(100 * DOLLAR)),
            ("Consulting", str(150 * DOLLAR)),
        ]
        line = InvoiceLine.objects.get(position=1)
        assert (line.unit, line.tax_behavior, line.tax_category) == ("hour", "Inclusive", "services")
        assert AuditEntry.objects.get(action="invoice.drafted").occurred_at == NOON

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"lines": []}, "lines"),
            ({"lines": [{"description": "Nothing"}]}, "lines.0.amount_nanos"),
            ({"lines": [{"amount_nanos": "1"}]}, "lines.0.description"),
            ({"lines": [SETUP | {"amount_nanos": 1.5}]}, "lines.0.amount_nanos"),
            ({"lines": [SETUP | {"amount_nanos": "1.5"}]}, "lines.0.amount_nanos"),
            ({"lines": [SETUP | {"quantity": "NaN"}]}, "lines.0.quantity"),
            ({"lines": [SETUP | {"is_billed": True}]}, "lines.0.is_billed"),
            ({"currency": "usd"}, "currency"),
            ({"customer_id": str(make_id())}, "customer_id"),
            ({"total_nanos": "1"}, "total_nanos"),
        ],
    )
    def test_refuses_what_makes_no_invoice(
        self, client: APIClient, customer: Customer, changes: dict[str, object], field: str
    ) -> None:
        answer = client.post(ADMIN, {"customer_id": str(customer.pk), "lines": [SETUP], **changes})

        status, _, problems = read_problem(answer)
        assert (status, [name for name, _ in problems]) == (422, [field])
        assert not Invoice.objects.exists()

    def test_refuses_amounts_that_no_column_holds(self, client: APIClient, customer: Customer) -> None:
        line = SETUP | {"amount_nanos": "9" * 38}

        answer = client.post(ADMIN, {"customer_id": str(customer.pk), "lines": [line]})

        assert read_problem(answer)[:2] == (422, "amount_too_large")
        assert not Invoice.objects.exists()

    def test_refuses_a_closed_customer(self, client: APIClient, customer: Customer) -> None:
        changes = {"status": CustomerStatus.CLOSED}
        update_customer(customer_id=customer.pk, changes=changes, at=NOON, actor=TESTER)

        answer = client.post(ADMIN, {"customer_id": str(customer.pk), "lines": [SETUP]})

        assert read_problem(answer)[:2] == (409, "customer_closed")


class TestLines:
    def test_are_added(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract)

        answer = client.post(f"{ADMIN}/{draft.pk}/lines", SETUP)

        assert answer.status_code == 201
        assert answer.json()["total_nanos"] == str(105 * DOLLAR)
        assert answer.json()["line_items"][1]["description"] == "Set-up"

    def test_are_removed(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract)
        line_id = client.post(f"{ADMIN}/{draft.pk}/lines", SETUP).json()["line_items"][1]["id"]

        answer = client.delete(f"{ADMIN}/{draft.pk}/lines/{line_id}")

        assert answer.status_code == 200
        assert answer.json()["total_nanos"] == str(5 * DOLLAR)
        assert client.delete(f"{ADMIN}/{draft.pk}/lines/{line_id}").status_code == 404

    def test_that_are_computed_stay(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract)
        line = InvoiceLine.objects.get()

        answer = client.delete(f"{ADMIN}/{draft.pk}/lines/{line.pk}")

        assert read_problem(answer)[:2] == (409, "line_not_manual")
        assert InvoiceLine.objects.exists()

    def test_of_final_invoices_stay_as_they_are(self, client: APIClient, contract: Contract) -> None:
        invoice = make_final(contract)

        answer = client.post(f"{ADMIN}/{invoice.pk}/lines", SETUP)

        assert read_problem(answer)[:2] == (409, "invoice_not_draft")
        assert not InvoiceLine.objects.filter(kind=LineKind.MANUAL).exists()
