"""The same invoice, or the same customer's, from many sides at once; and what would happen without the lock."""

import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from django.db import IntegrityError

from billing_project.core.models import NumberSequence, OutboxEvent
from invoicing.invoices.operations import (
    ManualLine,
    add_line,
    delete_draft,
    finalization,
    finalize_invoice,
    void_invoice,
)
from invoicing.invoices.operations.voiding import InvoiceHasPayments
from invoicing.invoices.states import InvoiceNotDraft, InvoiceStatusConflict
from invoicing.invoices.taxation import assess_tax
from invoicing.locks import InvoiceNotFound
from invoicing.models import Invoice, InvoiceLine, InvoiceStatus, InvoiceTax, Payment
from invoicing.payments import operations as payments
from invoicing.payments.operations import InvoiceNotPayable, PaymentExceedsDue, record_payment
from tests.concurrency.racing import PATIENCE_SECONDS, errors_of, race
from tests.factories.core import NOON, TESTER
from tests.factories.invoicing import DOLLAR, make_contract, make_draft, make_final, tax_all
from tests.factories.subscriptions import find_breaches

pytestmark = pytest.mark.django_db(transaction=True)


def make_taxed_draft() -> Invoice:
    draft = make_draft()
    assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)
    return draft


def finalize_it(invoice: Invoice) -> Invoice:
    return finalize_invoice(invoice_id=invoice.pk, at=NOON, actor=TESTER)


def pay(invoice: Invoice, amount_nanos: int) -> Payment:
    return record_payment(
        invoice_id=invoice.pk,
        amount_nanos=amount_nanos,
        reference="",
        received_at=None,
        at=NOON,
        actor=TESTER,
    )


def void(invoice: Invoice) -> Invoice:
    return void_invoice(invoice_id=invoice.pk, reason="Wrong", then=None, at=NOON, actor=TESTER)


def make_lock_that_does_not(count: int) -> Callable[[UUID], Invoice]:
    """Make what stands in for the lock, as a control: it reads, and lets nobody on before all have read."""
    barrier = threading.Barrier(count)

    def read_invoice(invoice_id: UUID) -> Invoice:
        invoice = Invoice.objects.get(pk=invoice_id)
        barrier.wait(PATIENCE_SECONDS)
        return invoice

    return read_invoice


def read_last_number() -> int:
    return NumberSequence.objects.get(series="invoice").last_number


class TestFinalizeInvoice:
    @pytest.mark.parametrize("count", [2, 8, 32])
    def test_of_one_draft_gives_one_number(self, count: int) -> None:
        draft = make_taxed_draft()

        outcomes = race(*[partial(finalize_it, draft)] * count)

        errors = errors_of(outcomes)
        assert len(errors) == count - 1
        assert {type(error) for error in errors} <= {InvoiceNotDraft}
        assert Invoice.objects.get().invoice_number == "INV-000001"
        assert read_last_number() == 1
        assert OutboxEvent.objects.filter(name="invoice.finalized").count() == 1
        assert find_breaches() == []

    def test_of_one_draft_passes_its_own_check_twice_without_the_lock(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        draft = make_taxed_draft()
        monkeypatch.setattr(finalization, "lock_invoice", make_lock_that_does_not(2))

        outcomes = race(*[partial(finalize_it, draft)] * 2)

        # Only the database's own protection is left to refuse the second number.
        assert [type(error) for error in errors_of(outcomes)] == [IntegrityError]

    def test_of_different_drafts_gives_consecutive_numbers(self) -> None:
        drafts = [make_taxed_draft() for _ in range(8)]

        outcomes = race(*[partial(finalize_it, draft) for draft in drafts])

        assert errors_of(outcomes) == []
        assert sorted(invoice.invoice_number for invoice in outcomes) == [
            f"INV-00000{number}" for number in range(1, 9)
        ]
        assert find_breaches() == []

    def test_never_loses_a_number_to_a_draft_that_fails(self) -> None:
        drafts = [make_taxed_draft() if number % 2 else make_draft() for number in range(8)]

        race(*[partial(finalize_it, draft) for draft in drafts])

        numbers = Invoice.objects.exclude(status=InvoiceStatus.DRAFT).values_list("invoice_number", flat=True)
        assert set(numbers) == {f"INV-00000{number}" for number in range(1, 5)}
        assert find_breaches() == []

    def test_against_a_new_line_has_it_or_not_at_all(self) -> None:
        for _ in range(5):
            draft = make_taxed_draft()
            line = ManualLine(description="Set-up", amount_nanos=DOLLAR)

            race(
                partial(finalize_it, draft),
                partial(add_line, invoice_id=draft.pk, line=line, at=NOON, actor=TESTER),
            )

            draft.refresh_from_db()
            assert (draft.status, draft.total_nanos) in [("Open", 5 * DOLLAR), ("Draft", 6 * DOLLAR)]
        assert find_breaches() == []

    def test_against_deletion_has_one_winner(self) -> None:
        for _ in range(5):
            draft = make_taxed_draft()

            outcomes = race(
                partial(finalize_it, draft),
                partial(delete_draft, invoice_id=draft.pk, at=NOON, actor=TESTER),
            )

            (error,) = errors_of(outcomes)
            assert isinstance(error, InvoiceNotDraft | InvoiceNotFound)
            assert Invoice.objects.filter(pk=draft.pk).exists() == isinstance(error, InvoiceNotDraft)
        assert find_breaches() == []


class TestWriteDraft:
    @pytest.mark.parametrize("count", [8, 32])
    def test_makes_one_draft(self, count: int) -> None:
        contract = make_contract()

        outcomes = race(*[partial(make_draft, contract)] * count)

        assert errors_of(outcomes) == []
        assert {draft.pk for draft in outcomes} == {Invoice.objects.get().pk}
        assert InvoiceLine.objects.count() == 1
        assert find_breaches() == []


class TestRecordPayment:
    @pytest.mark.parametrize("count", [2, 8, 32])
    def test_in_full_succeeds_once(self, count: int) -> None:
        invoice = make_final()

        outcomes = race(*[partial(pay, invoice, 5 * DOLLAR)] * count)

        errors = errors_of(outcomes)
        assert len(errors) == count - 1
        assert {type(error) for error in errors} <= {InvoiceNotPayable}
        assert Payment.objects.get().amount_nanos == 5 * DOLLAR
        assert OutboxEvent.objects.filter(name="invoice.paid").count() == 1
        assert find_breaches() == []

    def test_in_full_succeeds_twice_without_the_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        invoice = make_final()
        monkeypatch.setattr(payments, "lock_invoice", make_lock_that_does_not(2))

        outcomes = race(*[partial(pay, invoice, 5 * DOLLAR)] * 2)

        assert errors_of(outcomes) == []
        assert Payment.objects.count() == 2
        assert len(find_breaches()) == 1

    def test_in_parts_never_exceeds_what_is_due(self) -> None:
        invoice = make_final()

        outcomes = race(*[partial(pay, invoice, 2 * DOLLAR)] * 4)

        assert {type(error) for error in errors_of(outcomes)} == {PaymentExceedsDue}
        invoice.refresh_from_db()
        assert (invoice.status, invoice.amount_due_nanos) == ("Open", DOLLAR)
        assert Payment.objects.count() == 2
        assert find_breaches() == []

    def test_against_voiding_has_one_winner(self) -> None:
        for _ in range(5):
            invoice = make_final()

            outcomes = race(partial(pay, invoice, 5 * DOLLAR), partial(void, invoice))

            (error,) = errors_of(outcomes)
            assert isinstance(error, InvoiceNotPayable | InvoiceStatusConflict | InvoiceHasPayments)
            invoice.refresh_from_db()
            paid = Payment.objects.filter(invoice=invoice).count()
            assert (invoice.status, paid) in [("Paid", 1), ("Void", 0)]
        assert find_breaches() == []


class TestVoidInvoice:
    def test_happens_once(self) -> None:
        invoice = make_final()

        outcomes = race(*[partial(void, invoice)] * 8)

        assert {type(error) for error in errors_of(outcomes)} == {InvoiceStatusConflict}
        assert len(errors_of(outcomes)) == 7
        assert OutboxEvent.objects.filter(name="invoice.voided").count() == 1
        assert find_breaches() == []


class TestAssessTax:
    def test_of_one_draft_leaves_one_set_of_rows(self) -> None:
        contract = make_contract()
        tax_all()
        draft = make_draft(contract)

        outcomes = race(*[partial(assess_tax, invoice_id=draft.pk, at=NOON, actor=TESTER)] * 8)

        assert errors_of(outcomes) == []
        assert InvoiceTax.objects.get().amount_nanos == DOLLAR
        assert find_breaches() == []
