"""Payments over HTTP."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.problems import read_problem
from tests.factories.invoicing import CENT, DOLLAR, Contract, finalize, make_draft, make_final

pytestmark = pytest.mark.django_db

ADMIN = "/admin/v1/invoices"


def list_ids(answer: Any) -> list[str]:
    assert answer.status_code == 200
    return [payment["id"] for payment in answer.json()]


class TestPayments:
    def test_are_recorded(self, client: APIClient, contract: Contract) -> None:
        invoice = make_final(contract)
        body = {
            "amount_nanos": str(5 * DOLLAR),
            "reference": "Transfer 42",
            "received_at": "2026-02-28T10:00:00+01:00",
        }

        answer = client.post(f"{ADMIN}/{invoice.pk}/payments", body)

        assert answer.status_code == 201
        shown = answer.json()
        assert (shown["invoice_id"], shown["customer_id"]) == (str(invoice.pk), str(invoice.customer_id))
        assert (shown["amount_nanos"], shown["currency"]) == (str(5 * DOLLAR), "USD")
        assert (shown["provider"], shown["status"]) == ("Manual", "Succeeded")
        assert (shown["reference"], shown["received_at"]) == ("Transfer 42", "2026-02-28T09:00:00Z")
        assert client.get(f"{ADMIN}/{invoice.pk}").json()["status"] == "Paid"

    def test_came_in_now_if_nothing_else_is_said(self, client: APIClient, contract: Contract) -> None:
        invoice = make_final(contract)

        answer = client.post(f"{ADMIN}/{invoice.pk}/payments", {"amount_nanos": CENT})

        assert answer.json()["received_at"] == "2026-02-28T12:00:00Z"

    @pytest.mark.parametrize(
        ("body", "status", "problem"),
        [
            ({}, 422, ("amount_nanos", "required")),
            ({"amount_nanos": "0"}, 422, ("amount_nanos", "min_value")),
            ({"amount_nanos": "-1"}, 422, ("amount_nanos", "min_value")),
            ({"amount_nanos": "5.00"}, 422, ("amount_nanos", "invalid")),
            ({"amount_nanos": 5.5}, 422, ("amount_nanos", "invalid")),
            ({"amount_nanos": str(CENT // 2)}, 422, ("amount_nanos", "invalid_payment")),
            ({"amount_nanos": str(5 * DOLLAR + CENT)}, 409, ("amount_nanos", "payment_exceeds_due")),
            (
                {"amount_nanos": str(CENT), "received_at": "2026-02-28T12:00:01Z"},
                422,
                ("received_at", "invalid_payment"),
            ),
            ({"amount_nanos": str(CENT), "received_at": "2026-02-28"}, 422, ("received_at", "no_offset")),
        ],
    )
    def test_are_refused(
        self,
        client: APIClient,
        contract: Contract,
        body: dict[str, object],
        status: int,
        problem: tuple[str, str],
    ) -> None:
        invoice = make_final(contract)

        answer = client.post(f"{ADMIN}/{invoice.pk}/payments", body)

        assert read_problem(answer)[::2] == (status, [problem])
        invoice.refresh_from_db()
        assert invoice.amount_paid_nanos == 0

    def test_are_listed(self, client: APIClient, contract: Contract) -> None:
        first, second = make_final(contract), finalize(make_draft(contract, charges=[DOLLAR]))
        ids = [
            client.post(f"{ADMIN}/{invoice.pk}/payments", {"amount_nanos": CENT}).json()["id"]
            for invoice in (first, second)
        ]

        path = "/admin/v1/payments"
        assert list_ids(client.get(path)) == ids[::-1]
        assert list_ids(client.get(path, {"invoice_id": str(first.pk)})) == ids[:1]
        assert list_ids(client.get(path, {"customer_id": str(first.customer_id)})) == ids[::-1]
        assert list_ids(client.get(path, {"received_after": "2026-02-28T12:00:01Z"})) == []
        assert client.get(f"{path}/{ids[0]}").json()["invoice_id"] == str(first.pk)
        assert client.get(path, {"amount": "1"}).status_code == 422
