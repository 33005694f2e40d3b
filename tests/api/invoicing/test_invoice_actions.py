"""What is done to invoices over HTTP: taxed, made final, called off."""

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from invoicing.models import Invoice, InvoiceReason
from tests.api.problems import read_problem
from tests.factories.invoicing import DOLLAR, Contract, make_draft, make_final, tax_all
from tests.factories.subscriptions import find_breaches

pytestmark = pytest.mark.django_db

ADMIN = "/admin/v1/invoices"


class TestCalculateTax:
    def test_says_that_none_applies(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract)

        answer = client.post(f"{ADMIN}/{draft.pk}/calculate-tax")

        assert answer.status_code == 200
        assert sorted(answer.json()) == ["invoice", "tax_applied"]
        assert answer.json()["tax_applied"] is False
        assert answer.json()["invoice"]["tax_status"] == "Current"

    def test_adds_the_tax_and_shows_it(self, client: APIClient, contract: Contract) -> None:
        tax_all(bps=850)
        draft = make_draft(contract, charges=[9955000000000, 7485000000000])

        answer = client.post(f"{ADMIN}/{draft.pk}/calculate-tax", {})

        assert answer.json()["tax_applied"] is True
        assert answer.json()["tax_line_item"] == {
            "description": "Tax 8.5%",
            "amount_nanos": "1480000000000",
            "is_tax": True,
        }
        invoice = answer.json()["invoice"]
        assert (invoice["id"], invoice["total_nanos"]) == (str(draft.pk), "18920000000000")
        assert [line["is_tax"] for line in invoice["line_items"]] == [False, False, True]

    def test_replaces_tax_that_was_there(self, client: APIClient, contract: Contract) -> None:
        tax_all()
        draft = make_draft(contract)
        client.post(f"{ADMIN}/{draft.pk}/calculate-tax")

        answer = client.post(f"{ADMIN}/{draft.pk}/calculate-tax")

        assert len(answer.json()["invoice"]["line_items"]) == 2

    def test_refuses_a_final_invoice(self, client: APIClient, contract: Contract) -> None:
        invoice = make_final(contract)

        answer = client.post(f"{ADMIN}/{invoice.pk}/calculate-tax")

        assert read_problem(answer)[:2] == (409, "invoice_not_draft")

    def test_refuses_fields_that_it_does_not_know(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract)

        answer = client.post(f"{ADMIN}/{draft.pk}/calculate-tax", {"rate": "0.2"})

        assert read_problem(answer)[2] == [("rate", "unknown_field")]
        draft.refresh_from_db()
        assert draft.tax_status == "NotAssessed"


class TestFinalize:
    def test_answers_with_the_whole_invoice(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract, charges=[9955000000000, 7485000000000])

        answer = client.post(f"{ADMIN}/{draft.pk}/finalize")

        assert answer.status_code == 200
        shown = answer.json()
        assert (shown["invoice_number"], shown["status"], shown["total_nanos"]) == (
            "INV-000001",
            "Open",
            "17440000000000",
        )
        assert [line["amount_nanos"] for line in shown["line_items"]] == ["9955000000000", "7485000000000"]
        assert shown["finalized_at"] == "2026-02-28T12:00:00Z"
        assert find_breaches() == []

    def test_assesses_the_tax_first(self, client: APIClient, contract: Contract) -> None:
        tax_all()
        draft = make_draft(contract)

        shown = client.post(f"{ADMIN}/{draft.pk}/finalize").json()

        assert (shown["tax_nanos"], shown["total_nanos"]) == (str(DOLLAR), str(6 * DOLLAR))

    def test_with_a_key_answers_a_repeat_alike(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract)
        headers = {"Idempotency-Key": f"finalize-{draft.pk}"}

        first = client.post(f"{ADMIN}/{draft.pk}/finalize", headers=headers)
        again = client.post(f"{ADMIN}/{draft.pk}/finalize", headers=headers)

        assert (first.status_code, again.status_code) == (200, 200)
        assert again.json() == first.json()
        assert again.headers["X-Idempotency-Replayed"] == "true"

    def test_without_a_key_happens_once(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract)
        client.post(f"{ADMIN}/{draft.pk}/finalize")

        answer = client.post(f"{ADMIN}/{draft.pk}/finalize")

        assert read_problem(answer)[:2] == (409, "invoice_not_draft")
        assert Invoice.objects.get().invoice_number == "INV-000001"

    def test_refuses_a_period_that_has_not_ended(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract, reason=InvoiceReason.PERIOD_END)

        answer = client.post(f"{ADMIN}/{draft.pk}/finalize")

        assert read_problem(answer)[:2] == (409, "period_not_ended")
        draft.refresh_from_db()
        assert draft.status == "Draft"

    def test_refuses_what_is_not_there(self, client: APIClient) -> None:
        assert client.post(f"{ADMIN}/{make_id()}/finalize").status_code == 404


class TestVoid:
    def test_calls_an_invoice_off(self, client: APIClient, contract: Contract) -> None:
        invoice = make_final(contract)

        answer = client.post(f"{ADMIN}/{invoice.pk}/void", {"reason": "Wrong address"})

        assert answer.status_code == 200
        shown = answer.json()
        assert (shown["status"], shown["voided_reason"], shown["amount_due_nanos"]) == (
            "Void",
            "Wrong address",
            "0",
        )

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "reason"),
            ({"reason": ""}, "reason"),
            ({"reason": "Wrong", "then": "Forget"}, "then"),
            ({"reason": "Wrong", "then": True}, "then"),
        ],
    )
    def test_refuses_what_it_does_not_understand(
        self, client: APIClient, contract: Contract, body: dict[str, object], field: str
    ) -> None:
        invoice = make_final(contract)

        answer = client.post(f"{ADMIN}/{invoice.pk}/void", body)

        status, _, problems = read_problem(answer)
        assert (status, [name for name, _ in problems]) == (422, [field])
        invoice.refresh_from_db()
        assert invoice.status == "Open"

    def test_refuses_a_draft(self, client: APIClient, contract: Contract) -> None:
        draft = make_draft(contract)

        answer = client.post(f"{ADMIN}/{draft.pk}/void", {"reason": "Wrong"})

        assert read_problem(answer)[:2] == (409, "invoice_status_conflict")
