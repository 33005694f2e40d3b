"""Calling a final invoice off."""

from datetime import datetime, timedelta

import pytest

from billing_project.core.models import AuditEntry, OutboxEvent
from invoicing.invoices.operations import ManualLine, create_one_off, void_invoice
from invoicing.invoices.operations.voiding import (
    InvoiceHasPayments,
    VoidOutcomeMissing,
    VoidOutcomeUnfit,
    VoidReasonMissing,
)
from invoicing.invoices.queries import read_billed
from invoicing.invoices.states import InvoiceStatusConflict
from invoicing.models import Invoice, InvoiceCoverage, InvoiceLine, InvoiceReason, InvoiceStatus, VoidOutcome
from invoicing.payments.operations import record_payment
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.invoicing import (
    CENT,
    DOLLAR,
    Contract,
    close,
    finalize,
    make_contract,
    make_draft,
    make_final,
)

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=2)


def void(invoice: Invoice, then: VoidOutcome | None = None, *, at: datetime = LATER) -> Invoice:
    return void_invoice(invoice_id=invoice.pk, reason="Wrong address", then=then, at=at, actor=TESTER)


def make_closed() -> tuple[Contract, Invoice]:
    """Make a final invoice for the end of a period that is closed."""
    contract = make_contract()
    at = close(contract)
    return contract, make_final(contract, reason=InvoiceReason.PERIOD_END, at=at)


class TestVoidInvoice:
    def test_calls_it_off_for_a_reason(self) -> None:
        invoice = make_final()

        void(invoice)

        invoice.refresh_from_db()
        assert (invoice.status, invoice.voided_reason, invoice.voided_at) == ("Void", "Wrong address", LATER)
        assert (invoice.amount_due_nanos, invoice.total_nanos) == (0, 5 * DOLLAR)
        assert invoice.invoice_number == "INV-000001"
        coverage = InvoiceCoverage.objects.get()
        assert (coverage.is_draft, coverage.is_void) == (False, True)

    def test_has_an_open_period_bill_the_amounts_again(self) -> None:
        contract = make_contract()
        invoice = make_final(contract)
        assert read_billed(segment_ids=[contract.segment.pk])[f"{contract.key}:0"].charge_nanos == 5 * DOLLAR

        assert void(invoice).void_outcome == VoidOutcome.REGENERATE

        assert read_billed(segment_ids=[contract.segment.pk]) == {}
        assert not InvoiceLine.objects.get().is_billed

    @pytest.mark.parametrize(
        ("then", "is_billed"), [(VoidOutcome.REGENERATE, False), (VoidOutcome.FORGIVE, True)]
    )
    def test_does_with_a_closed_period_as_it_is_told(self, then: VoidOutcome, is_billed: bool) -> None:
        _, invoice = make_closed()

        voided = void(invoice, then, at=invoice.finalized_at or NOON)

        assert voided.void_outcome == then
        assert InvoiceLine.objects.get().is_billed is is_billed

    def test_asks_what_to_do_with_a_closed_period(self) -> None:
        _, invoice = make_closed()

        with pytest.raises(VoidOutcomeMissing) as caught:
            void(invoice)

        assert caught.value.errors[0].field == "then"
        assert Invoice.objects.get().status == InvoiceStatus.OPEN
        assert InvoiceLine.objects.get().is_billed

    def test_can_forgive_what_an_open_period_owes(self) -> None:
        contract = make_contract()
        invoice = make_final(contract)

        void(invoice, VoidOutcome.FORGIVE)

        assert read_billed(segment_ids=[contract.segment.pk])[f"{contract.key}:0"].charge_nanos == 5 * DOLLAR

    def test_leaves_nothing_to_bill_again_of_a_one_off(self) -> None:
        customer = make_customer()
        line = ManualLine(description="Set-up", amount_nanos=DOLLAR)
        draft = create_one_off(customer_id=customer.pk, currency=None, lines=[line], at=NOON, actor=TESTER)
        invoice = finalize(draft)

        with pytest.raises(VoidOutcomeUnfit):
            void(invoice, VoidOutcome.REGENERATE)
        assert void(invoice).void_outcome == ""

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_needs_a_reason(self, reason: str) -> None:
        invoice = make_final()

        with pytest.raises(VoidReasonMissing):
            void_invoice(invoice_id=invoice.pk, reason=reason, then=None, at=NOON, actor=TESTER)

        assert Invoice.objects.get().status == InvoiceStatus.OPEN

    def test_refuses_an_invoice_that_was_paid_in_part(self) -> None:
        invoice = make_final()
        record_payment(
            invoice_id=invoice.pk, amount_nanos=CENT, reference="", received_at=None, at=NOON, actor=TESTER
        )

        with pytest.raises(InvoiceHasPayments):
            void(invoice)

        assert Invoice.objects.get().status == InvoiceStatus.OPEN

    def test_refuses_a_draft(self) -> None:
        draft = make_draft()

        with pytest.raises(InvoiceStatusConflict):
            void(draft)

        assert Invoice.objects.get().status == InvoiceStatus.DRAFT

    def test_refuses_a_paid_invoice(self) -> None:
        invoice = make_final(charges=[])

        with pytest.raises(InvoiceStatusConflict):
            void(invoice)

        assert Invoice.objects.get().status == InvoiceStatus.PAID

    def test_happens_once(self) -> None:
        invoice = make_final()
        void(invoice)

        with pytest.raises(InvoiceStatusConflict):
            void(invoice, at=LATER + timedelta(days=1))

        assert Invoice.objects.get().voided_at == LATER

    def test_is_told_and_recorded(self) -> None:
        invoice = make_final()

        void(invoice)

        event = OutboxEvent.objects.get(name="invoice.voided")
        assert (event.subject_id, event.payload["void_outcome"]) == (invoice.pk, "Regenerate")
        entry = AuditEntry.objects.get(action="invoice.voided")
        assert entry.changes["voided_reason"] == ["", "Wrong address"]
