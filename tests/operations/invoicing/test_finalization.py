"""Making a Draft final."""

from datetime import timedelta

import pytest

from billing_project.core.errors import BillingError
from billing_project.core.events import StoredEvent
from billing_project.core.models import AuditEntry, NumberSequence, OutboxEvent
from billing_project.core.seller import update_seller
from customers.operations import update_customer
from invoicing.invoices.drafting import InvoiceBelowZero
from invoicing.invoices.operations import ManualLine, TaxNotAssessed, add_line, finalize_invoice
from invoicing.invoices.operations.finalization import DraftOutdated
from invoicing.invoices.states import InvoiceNotDraft
from invoicing.invoices.taxation import assess_tax
from invoicing.locks import InvoiceNotFound
from invoicing.models import Invoice, InvoiceCoverage, InvoiceLine, InvoiceReason, InvoiceStatus
from tests.factories.core import NOON, TESTER, drain_outbox, subscribed
from tests.factories.customers import make_customer
from tests.factories.invoicing import (
    CENT,
    DOLLAR,
    close,
    finalize,
    make_contract,
    make_draft,
    make_final,
    make_line,
    tax_all,
    write,
)

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)


def assert_untouched(invoice: Invoice) -> None:
    """A refused Draft is still one, and took no number."""
    invoice.refresh_from_db()
    assert (invoice.status, invoice.invoice_number) == (InvoiceStatus.DRAFT, None)
    assert not invoice.lines.filter(is_billed=True).exists()
    assert not NumberSequence.objects.filter(series="invoice", last_number__gt=0).exists()
    assert not OutboxEvent.objects.filter(name="invoice.finalized").exists()


class TestFinalizeInvoice:
    def test_gives_a_number_and_asks_for_the_money(self) -> None:
        contract = make_contract()
        draft = make_draft(contract, charges=[9955000000000, 7485000000000])
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        finalize_invoice(invoice_id=draft.pk, at=LATER, actor=TESTER)

        invoice = Invoice.objects.get()
        assert (invoice.invoice_number, invoice.status) == ("INV-000001", "Open")
        assert (invoice.total_nanos, invoice.amount_due_nanos) == (17440000000000, 17440000000000)
        assert (invoice.finalized_at, invoice.due_at, invoice.paid_at) == (
            LATER,
            LATER + timedelta(days=30),
            None,
        )

    def test_makes_the_lines_count_as_billed(self) -> None:
        make_final(charges=[DOLLAR, 2 * DOLLAR])

        assert list(InvoiceLine.objects.values_list("is_billed", flat=True)) == [True, True]
        coverage = InvoiceCoverage.objects.get()
        assert (coverage.is_draft, coverage.is_void) == (False, False)

    def test_numbers_invoices_one_after_the_other(self) -> None:
        contract = make_contract()

        numbers = [make_final(contract).invoice_number for _ in range(3)]

        assert numbers == ["INV-000001", "INV-000002", "INV-000003"]

    def test_numbers_with_the_sellers_prefix(self) -> None:
        draft = make_draft()
        update_seller(values={"invoice_prefix": "ACME/"}, at=NOON, actor=TESTER)

        assert finalize(draft).invoice_number == "ACME/000001"

    def test_copies_the_seller_and_the_customer(self) -> None:
        contract = make_contract()
        customer_id = contract.subscription.customer_id
        address = {"line1": "1 Main St", "country": "US"}
        update_customer(
            customer_id=customer_id,
            changes={"legal_name": "NeuralWorks Incorporated", "billing_address": address, "timezone": "UTC"},
            at=NOON,
            actor=TESTER,
        )
        invoice = make_final(contract)

        update_customer(
            customer_id=customer_id, changes={"legal_name": "Other", "tax_id": "DE1"}, at=NOON, actor=TESTER
        )
        update_seller(values={"legal_name": "Other Ltd"}, at=NOON, actor=TESTER)

        invoice.refresh_from_db()
        assert invoice.seller_details == {
            "legal_name": "Seller Ltd",
            "address": {},
            "tax_id": "",
            "email": "",
            "timezone": "UTC",
            "locale": "en_US",
        }
        assert invoice.customer_details == {
            "display_name": "NeuralWorks Inc",
            "legal_name": "NeuralWorks Incorporated",
            "email": "billing@neuralworks.example",
            "tax_id": "",
            "billing_address": address,
            "timezone": "UTC",
        }

    def test_makes_it_due_by_the_customers_terms(self) -> None:
        contract = make_contract()
        update_customer(
            customer_id=contract.subscription.customer_id,
            changes={"payment_terms_days": 14},
            at=NOON,
            actor=TESTER,
        )

        assert make_final(contract).due_at == NOON + timedelta(days=14)

    def test_goes_on_to_paid_where_nothing_is_due(self) -> None:
        invoice = make_final(charges=[CENT // 10])

        invoice.refresh_from_db()
        assert (invoice.status, invoice.total_nanos, invoice.paid_at) == ("Paid", 0, NOON)
        assert list(OutboxEvent.objects.order_by("position").values_list("name", flat=True))[-2:] == [
            "invoice.finalized",
            "invoice.paid",
        ]

    def test_tells_who_has_subscribed(self) -> None:
        events: list[StoredEvent] = []
        with subscribed("invoice.finalized", events.append, key="tests.finalized"):
            invoice = make_final()
            drain_outbox()

        (event,) = events
        assert (event.subject_id, event.customer_id) == (invoice.pk, invoice.customer_id)
        assert event.payload["invoice_number"] == "INV-000001"
        assert event.payload["total_nanos"] == str(5 * DOLLAR)
        assert event.payload["status"] == "Open"

    def test_is_recorded(self) -> None:
        invoice = make_final()

        entry = AuditEntry.objects.get(action="invoice.finalized")
        assert (entry.subject_id, entry.customer_id) == (str(invoice.pk), invoice.customer_id)
        assert entry.changes["status"] == ["Draft", "Open"]
        assert entry.changes["invoice_number"] == [None, "INV-000001"]

    def test_refuses_a_draft_without_tax_assessed(self) -> None:
        draft = make_draft()

        with pytest.raises(TaxNotAssessed):
            finalize_invoice(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert_untouched(draft)

    def test_refuses_tax_of_other_lines(self) -> None:
        contract = make_contract()
        draft = make_draft(contract)
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)
        line = ManualLine(description="Set-up", amount_nanos=DOLLAR)
        add_line(invoice_id=draft.pk, line=line, at=NOON, actor=TESTER)

        with pytest.raises(TaxNotAssessed):
            finalize_invoice(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert_untouched(draft)

    @pytest.mark.parametrize("change", ["customer", "rate", "engine"])
    def test_refuses_tax_of_other_parties(self, change: str) -> None:
        contract = make_contract()
        tax_all()
        draft = make_draft(contract)
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)
        if change == "customer":
            update_customer(customer_id=draft.customer_id, changes={"tax_id": "DE1"}, at=NOON, actor=TESTER)
        elif change == "rate":
            tax_all(bps=1_900)
        else:
            update_seller(values={"tax_engine": "None"}, at=NOON, actor=TESTER)

        with pytest.raises(TaxNotAssessed):
            finalize_invoice(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert_untouched(draft)

    def test_takes_tax_although_another_customer_has_changed(self) -> None:
        draft = make_draft()
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)
        make_customer(tax_id="DE1")

        assert finalize_invoice(invoice_id=draft.pk, at=NOON, actor=TESTER).status == "Open"

    def test_refuses_a_period_end_while_the_period_is_open(self) -> None:
        draft = make_draft(reason=InvoiceReason.PERIOD_END)
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        with pytest.raises(DraftOutdated):
            finalize_invoice(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert_untouched(draft)

    def test_refuses_a_period_end_that_was_computed_before_the_close(self) -> None:
        contract = make_contract()
        draft = make_draft(contract, reason=InvoiceReason.PERIOD_END)
        at = close(contract)
        line = ManualLine(description="Set-up", amount_nanos=DOLLAR)
        add_line(invoice_id=draft.pk, line=line, at=at, actor=TESTER)
        assess_tax(invoice_id=draft.pk, at=at, actor=TESTER)

        with pytest.raises(DraftOutdated):
            finalize_invoice(invoice_id=draft.pk, at=at, actor=TESTER)
        assert_untouched(draft)

        make_draft(contract, reason=InvoiceReason.PERIOD_END, at=at)
        assert finalize(draft, at=at).reason == InvoiceReason.PERIOD_END

    def test_refuses_a_total_below_zero(self) -> None:
        contract = make_contract()
        tax_all()
        draft = write(
            contract,
            make_line(contract, 12 * DOLLAR, tax_behavior="Inclusive"),
            make_line(contract, -1199 * CENT, key="second"),
        )
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        with pytest.raises(InvoiceBelowZero):
            finalize_invoice(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert_untouched(draft)

    def test_happens_once(self) -> None:
        invoice = make_final()

        with pytest.raises(InvoiceNotDraft):
            finalize_invoice(invoice_id=invoice.pk, at=LATER, actor=TESTER)

        invoice.refresh_from_db()
        assert (invoice.invoice_number, invoice.finalized_at) == ("INV-000001", NOON)
        assert NumberSequence.objects.get(series="invoice").last_number == 1

    def test_refuses_what_is_not_there(self) -> None:
        contract = make_contract()

        with pytest.raises(InvoiceNotFound) as caught:
            finalize_invoice(invoice_id=contract.period.pk, at=NOON, actor=TESTER)

        assert isinstance(caught.value, BillingError)
        assert caught.value.http_status == 404
