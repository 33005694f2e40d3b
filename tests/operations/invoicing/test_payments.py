"""Recording money that has come in."""

from datetime import timedelta

import pytest

from billing_project.core.models import AuditEntry, OutboxEvent
from invoicing.invoices.operations import void_invoice
from invoicing.models import Invoice, InvoiceStatus, Payment
from invoicing.payments.operations import (
    InvalidPayment,
    InvoiceNotPayable,
    PaymentExceedsDue,
    record_payment,
)
from tests.factories.core import NOON, TESTER
from tests.factories.invoicing import CENT, DOLLAR, make_contract, make_draft, make_final

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=3)


def pay(invoice: Invoice, amount_nanos: int) -> Payment:
    return record_payment(
        invoice_id=invoice.pk,
        amount_nanos=amount_nanos,
        reference="Transfer 42",
        received_at=NOON,
        at=LATER,
        actor=TESTER,
    )


class TestRecordPayment:
    def test_pays_an_invoice_in_full(self) -> None:
        invoice = make_final()

        payment = pay(invoice, 5 * DOLLAR)

        invoice.refresh_from_db()
        assert (invoice.status, invoice.paid_at) == ("Paid", LATER)
        assert (invoice.amount_paid_nanos, invoice.amount_due_nanos) == (5 * DOLLAR, 0)
        assert Payment.objects.get() == payment
        assert (payment.provider, payment.status, payment.currency) == ("Manual", "Succeeded", "USD")
        assert (payment.amount_nanos, payment.reference, payment.received_at) == (
            5 * DOLLAR,
            "Transfer 42",
            NOON,
        )
        assert payment.customer_id == invoice.customer_id

    def test_pays_an_invoice_in_parts(self) -> None:
        invoice = make_final()

        pay(invoice, 2 * DOLLAR)

        invoice.refresh_from_db()
        assert (invoice.status, invoice.amount_paid_nanos, invoice.amount_due_nanos) == (
            "Open",
            2 * DOLLAR,
            3 * DOLLAR,
        )
        assert not OutboxEvent.objects.filter(name="invoice.paid").exists()

        pay(invoice, 3 * DOLLAR)

        invoice.refresh_from_db()
        assert (invoice.status, invoice.amount_due_nanos) == ("Paid", 0)

    def test_is_told_and_recorded(self) -> None:
        invoice = make_final()

        payment = pay(invoice, 5 * DOLLAR)

        succeeded = OutboxEvent.objects.get(name="payment.succeeded")
        assert (succeeded.subject_id, succeeded.payload["amount_nanos"]) == (payment.pk, str(5 * DOLLAR))
        assert OutboxEvent.objects.get(name="invoice.paid").subject_id == invoice.pk
        assert AuditEntry.objects.get(action="payment.recorded").subject_id == str(payment.pk)
        assert AuditEntry.objects.get(action="invoice.paid").changes["status"] == ["Open", "Paid"]

    def test_came_in_now_if_nothing_else_is_said(self) -> None:
        invoice = make_final()

        payment = record_payment(
            invoice_id=invoice.pk, amount_nanos=CENT, reference="", received_at=None, at=LATER, actor=TESTER
        )

        assert payment.received_at == LATER

    def test_settles_an_invoice_that_was_given_up(self) -> None:
        invoice = make_final()
        Invoice.objects.update(status=InvoiceStatus.UNCOLLECTIBLE)

        pay(invoice, 5 * DOLLAR)

        assert Invoice.objects.get().status == InvoiceStatus.PAID

    def test_refuses_more_than_is_due(self) -> None:
        invoice = make_final()
        pay(invoice, 2 * DOLLAR)

        with pytest.raises(PaymentExceedsDue):
            pay(invoice, 3 * DOLLAR + CENT)

        invoice.refresh_from_db()
        assert (invoice.amount_due_nanos, Payment.objects.count()) == (3 * DOLLAR, 1)

    @pytest.mark.parametrize("amount_nanos", [0, -CENT, 1, CENT // 2, DOLLAR + 1])
    def test_refuses_what_nobody_can_pay(self, amount_nanos: int) -> None:
        invoice = make_final()

        with pytest.raises(InvalidPayment):
            pay(invoice, amount_nanos)

        assert not Payment.objects.exists()

    @pytest.mark.parametrize(("currency", "smallest_nanos"), [("JPY", 10**12), ("KWD", 10**9)])
    def test_knows_the_smallest_amount_of_each_currency(self, currency: str, smallest_nanos: int) -> None:
        invoice = make_final(make_contract(currency=currency))

        with pytest.raises(InvalidPayment):
            pay(invoice, smallest_nanos // 10)

        assert pay(invoice, smallest_nanos).currency == currency

    def test_refuses_money_from_the_future(self) -> None:
        invoice = make_final()

        with pytest.raises(InvalidPayment) as caught:
            record_payment(
                invoice_id=invoice.pk,
                amount_nanos=CENT,
                reference="",
                received_at=LATER,
                at=NOON,
                actor=TESTER,
            )

        assert caught.value.errors[0].field == "received_at"
        assert not Payment.objects.exists()

    def test_refuses_a_draft(self) -> None:
        draft = make_draft()

        with pytest.raises(InvoiceNotPayable):
            pay(draft, CENT)

        assert not Payment.objects.exists()

    def test_refuses_a_void_invoice(self) -> None:
        invoice = make_final()
        void_invoice(invoice_id=invoice.pk, reason="Wrong", then=None, at=NOON, actor=TESTER)

        with pytest.raises(InvoiceNotPayable):
            pay(invoice, CENT)

        assert not Payment.objects.exists()

    def test_refuses_an_invoice_that_is_paid(self) -> None:
        invoice = make_final()
        pay(invoice, 5 * DOLLAR)

        with pytest.raises(InvoiceNotPayable):
            pay(invoice, CENT)

        assert Payment.objects.count() == 1
