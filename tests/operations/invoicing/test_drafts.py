"""The Draft of a period: made, refreshed, deleted."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from billing_project.core.models import AuditEntry
from invoicing.invoices.drafting import AmountTooLarge
from invoicing.invoices.operations import ManualLine, add_line, delete_draft, void_invoice, write_draft
from invoicing.invoices.operations.drafts import OtherDraftExists, PeriodAlreadyBilled
from invoicing.invoices.states import InvoiceNotDraft
from invoicing.invoices.taxation import assess_tax
from invoicing.locks import InvoiceNotFound
from invoicing.models import (
    Invoice,
    InvoiceCoverage,
    InvoiceLine,
    InvoiceReason,
    InvoiceStatus,
    InvoiceTax,
    LineKind,
    TaxStatus,
    VoidOutcome,
)
from invoicing.rating.items import RatingKind
from tests.factories.core import NOON, TESTER
from tests.factories.invoicing import (
    CENT,
    DOLLAR,
    close,
    finalize,
    make_contract,
    make_coverage,
    make_draft,
    make_final,
    make_line,
    tax_all,
    write,
)

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)
REFUND = ManualLine(description="Sorry", amount_nanos=-2 * DOLLAR)


def read_lines(invoice: Invoice) -> list[InvoiceLine]:
    return list(InvoiceLine.objects.filter(invoice=invoice).order_by("position"))


def assert_adds_up(invoice: Invoice) -> None:
    invoice.refresh_from_db()
    assert invoice.lines_nanos == sum(line.amount_nanos for line in read_lines(invoice))
    assert invoice.tax_nanos == sum(tax.amount_nanos for tax in invoice.taxes.all())
    assert invoice.lines_nanos + invoice.rounding_nanos + invoice.tax_nanos == invoice.total_nanos


class TestWriteDraft:
    def test_makes_a_draft_with_the_lines_and_what_they_add_up_to(self) -> None:
        contract = make_contract()
        lines = [
            make_line(contract, 9955000000000, description="Input Tokens"),
            make_line(contract, 7485000000000, description="Output Tokens", key="other"),
        ]

        invoice, is_made = write_draft(coverage=make_coverage(contract), lines=lines, at=NOON, actor=TESTER)

        assert is_made
        invoice.refresh_from_db()
        assert (invoice.status, invoice.reason, invoice.invoice_number) == ("Draft", "OnDemand", None)
        assert invoice.customer_id == contract.subscription.customer_id
        assert (invoice.subscription_id, invoice.period_id) == (contract.subscription.pk, contract.period.pk)
        assert (invoice.period_start, invoice.period_end) == (
            contract.period.starts_at,
            contract.period.ends_at,
        )
        assert (invoice.lines_nanos, invoice.rounding_nanos, invoice.total_nanos) == (
            17440000000000,
            0,
            17440000000000,
        )
        assert (invoice.amount_due_nanos, invoice.amount_paid_nanos) == (17440000000000, 0)
        assert (invoice.tax_status, invoice.computed_at) == (TaxStatus.NOT_ASSESSED, NOON)
        coverage = InvoiceCoverage.objects.get(invoice=invoice)
        assert (coverage.period_id, coverage.is_draft, coverage.is_void) == (contract.period.pk, True, False)
        first, second = read_lines(invoice)
        assert (first.description, second.description) == ("Input Tokens", "Output Tokens")
        assert (first.charge_nanos, first.amount_nanos, first.gross_nanos) == (
            9955000000000,
            9955000000000,
            None,
        )
        assert (first.is_billed, first.quantity, first.kind) == (False, Decimal(100), LineKind.USAGE)

    def test_makes_a_draft_of_nothing(self) -> None:
        invoice = write(make_contract())

        assert (invoice.total_nanos, read_lines(invoice)) == (0, [])

    def test_refreshes_the_one_there_is(self) -> None:
        contract = make_contract()
        draft = write(contract, make_line(contract, 5 * DOLLAR))
        (before,) = read_lines(draft)

        refreshed, is_made = write_draft(
            coverage=make_coverage(contract),
            lines=[make_line(contract, 7 * DOLLAR), make_line(contract, DOLLAR, key="second")],
            at=LATER,
            actor=TESTER,
        )

        assert (refreshed.pk, is_made) == (draft.pk, False)
        assert Invoice.objects.count() == InvoiceCoverage.objects.count() == 1
        first, second = read_lines(refreshed)
        assert (first.pk, first.charge_nanos) == (before.pk, 7 * DOLLAR)
        assert (second.key, second.charge_nanos, second.position) == ("second", DOLLAR, 1)
        assert (refreshed.total_nanos, refreshed.computed_at) == (8 * DOLLAR, LATER)
        assert_adds_up(refreshed)

    def test_drops_lines_that_are_no_longer_computed(self) -> None:
        contract = make_contract()
        draft = write(contract, make_line(contract), make_line(contract, key="second"))

        write(contract, make_line(contract, key="second"))

        assert [(line.key, line.position) for line in read_lines(draft)] == [("second", 0)]
        assert_adds_up(draft)

    def test_changes_nothing_where_nothing_is_new(self) -> None:
        contract = make_contract()
        draft = make_draft(contract, charges=[5 * DOLLAR, 3 * DOLLAR])
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)
        before = list(InvoiceLine.objects.order_by("pk").values())
        entries = AuditEntry.objects.count()

        make_draft(contract, charges=[5 * DOLLAR, 3 * DOLLAR], at=LATER)

        draft.refresh_from_db()
        assert list(InvoiceLine.objects.order_by("pk").values()) == before
        assert (draft.tax_status, draft.computed_at) == (TaxStatus.CURRENT, LATER)
        assert AuditEntry.objects.count() == entries

    def test_keeps_manual_lines_after_the_computed_ones(self) -> None:
        contract = make_contract()
        draft = write(contract, make_line(contract))
        add_line(invoice_id=draft.pk, line=REFUND, at=NOON, actor=TESTER)
        manual = read_lines(draft)[-1]

        write(contract, make_line(contract, 7 * DOLLAR), make_line(contract, DOLLAR, key="second"))

        lines = read_lines(draft)
        assert [(line.kind, line.position) for line in lines] == [("Usage", 0), ("Usage", 1), ("Manual", 2)]
        assert lines[-1].pk == manual.pk
        draft.refresh_from_db()
        assert draft.total_nanos == 6 * DOLLAR
        assert_adds_up(draft)

    @pytest.mark.parametrize("tax_behavior", ["Exclusive", "Inclusive"])
    def test_takes_off_tax_that_belongs_to_other_lines(self, tax_behavior: str) -> None:
        contract = make_contract()
        tax_all()
        draft = make_draft(contract, charges=[12 * DOLLAR, 6 * DOLLAR], tax_behavior=tax_behavior)
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        make_draft(contract, charges=[12 * DOLLAR, 9 * DOLLAR], tax_behavior=tax_behavior)

        draft.refresh_from_db()
        assert (draft.tax_status, draft.tax_fingerprint, draft.tax_nanos) == (TaxStatus.STALE, "", 0)
        assert draft.total_nanos == 21 * DOLLAR
        assert not InvoiceTax.objects.exists()
        assert [line.gross_nanos for line in read_lines(draft)] == [None, None]
        assert_adds_up(draft)

    def test_turns_an_on_demand_draft_into_the_one_that_is_due(self) -> None:
        contract = make_contract()
        draft = make_draft(contract)

        again = make_draft(contract, reason=InvoiceReason.PERIOD_END)

        again.refresh_from_db()
        assert (again.pk, again.reason) == (draft.pk, InvoiceReason.PERIOD_END)
        assert InvoiceCoverage.objects.get().reason == InvoiceReason.PERIOD_END
        assert AuditEntry.objects.get(action="invoice.reason_changed").changes == {
            "reason": ["OnDemand", "PeriodEnd"]
        }

    def test_does_not_turn_a_period_end_draft_back(self) -> None:
        contract = make_contract()
        draft = make_draft(contract, reason=InvoiceReason.PERIOD_END)

        with pytest.raises(OtherDraftExists):
            make_draft(contract, charges=[DOLLAR])

        draft.refresh_from_db()
        assert (draft.reason, draft.total_nanos) == ("PeriodEnd", 5 * DOLLAR)

    def test_keeps_the_fees_of_the_start_apart(self) -> None:
        contract = make_contract()
        start = make_draft(contract, reason=InvoiceReason.PERIOD_START)

        on_demand = make_draft(contract, charges=[DOLLAR])
        again = make_draft(contract, reason=InvoiceReason.PERIOD_START)

        assert (again.pk, on_demand.pk == start.pk) == (start.pk, False)
        assert {draft.reason: draft.total_nanos for draft in Invoice.objects.all()} == {
            "PeriodStart": 5 * DOLLAR,
            "OnDemand": DOLLAR,
        }

    @pytest.mark.parametrize("reason", [InvoiceReason.PERIOD_START, InvoiceReason.PERIOD_END])
    def test_bills_a_period_once_for_its_start_and_once_for_its_end(self, reason: InvoiceReason) -> None:
        contract = make_contract()
        at = close(contract)
        invoice = make_final(contract, reason=reason, at=at)

        with pytest.raises(PeriodAlreadyBilled):
            make_draft(contract, reason=reason, at=at)
        make_draft(contract, reason=InvoiceReason.ON_DEMAND, at=at)
        with pytest.raises(PeriodAlreadyBilled):
            make_draft(contract, reason=reason, at=at)

        assert Invoice.objects.filter(reason=reason).get() == invoice

    def test_bills_a_period_again_whose_invoice_is_void(self) -> None:
        contract = make_contract()
        at = close(contract)
        invoice = make_final(contract, reason=InvoiceReason.PERIOD_END, at=at)
        void_invoice(invoice_id=invoice.pk, reason="Wrong", then=VoidOutcome.REGENERATE, at=at, actor=TESTER)

        again = make_final(contract, reason=InvoiceReason.PERIOD_END, at=at)

        assert (again.status, again.invoice_number) == ("Open", "INV-000002")

    def test_makes_a_new_draft_beside_a_final_invoice(self) -> None:
        contract = make_contract()
        invoice = make_final(contract)

        draft = make_draft(contract, charges=[DOLLAR])

        assert draft.pk != invoice.pk
        assert Invoice.objects.filter(status=InvoiceStatus.DRAFT).get() == draft

    def test_brings_a_sum_below_zero_to_nothing(self) -> None:
        contract = make_contract()
        draft = write(contract, make_line(contract, -3 * DOLLAR), make_line(contract, DOLLAR, key="second"))

        lines = read_lines(draft)
        assert [(line.kind, line.charge_nanos, line.key) for line in lines[1:]] == [
            ("Usage", DOLLAR, "second"),
            ("Balancing", 2 * DOLLAR, None),
        ]
        assert (draft.lines_nanos, draft.total_nanos) == (0, 0)

        write(contract, make_line(contract, -3 * DOLLAR), make_line(contract, 4 * DOLLAR, key="second"))

        assert [line.kind for line in read_lines(draft)] == ["Usage", "Usage"]

    def test_balances_each_way_of_taxing_so_that_no_tax_is_left(self) -> None:
        contract = make_contract()
        tax_all()
        draft = write(
            contract,
            make_line(contract, -12 * DOLLAR, tax_behavior="Inclusive"),
            make_line(contract, 5 * DOLLAR, key="second"),
        )

        invoice = finalize(draft)

        assert [(line.kind, line.charge_nanos) for line in read_lines(draft)[2:]] == [
            ("Balancing", 12 * DOLLAR),
            ("Balancing", -5 * DOLLAR),
        ]
        assert (invoice.total_nanos, invoice.tax_nanos, invoice.status) == (0, 0, "Paid")

    def test_carries_the_rounding_of_the_periods_invoices(self) -> None:
        contract = make_contract()
        totals = [
            make_final(contract, charges=[4 * CENT // 10], at=NOON + timedelta(days=day)).total_nanos
            for day in range(5)
        ]

        assert totals == [0, CENT, 0, CENT, 0]

    def test_does_not_carry_the_rounding_of_a_void_invoice(self) -> None:
        contract = make_contract()
        invoice = make_final(contract, charges=[6 * CENT // 10])
        assert invoice.carry_nanos == 4 * CENT // 10
        assert make_draft(contract, charges=[8 * CENT // 10]).total_nanos == 0

        void_invoice(invoice_id=invoice.pk, reason="Wrong", then=None, at=NOON, actor=TESTER)

        assert make_draft(contract, charges=[8 * CENT // 10]).total_nanos == CENT

    def test_refuses_amounts_that_no_column_holds(self) -> None:
        contract = make_contract()

        with pytest.raises(AmountTooLarge):
            write(contract, make_line(contract, 10**37))

        assert not Invoice.objects.exists()

    def test_records_what_changed(self) -> None:
        contract = make_contract()
        draft = make_draft(contract)
        make_draft(contract, charges=[7 * DOLLAR])

        drafted, refreshed = AuditEntry.objects.filter(action__startswith="invoice.").order_by("pk")
        assert (drafted.action, drafted.subject_id) == ("invoice.drafted", str(draft.pk))
        assert drafted.changes["total_nanos"] == ["0", str(5 * DOLLAR)]
        assert refreshed.action == "invoice.refreshed"
        assert refreshed.changes["total_nanos"] == [str(5 * DOLLAR), str(7 * DOLLAR)]

    def test_stores_what_rating_says(self) -> None:
        contract = make_contract()
        meter_id = contract.item.sku.prices.get().meter_id
        line = make_line(
            contract,
            meter_id=meter_id,
            late_quantity=Decimal("2.5"),
            billed_nanos=DOLLAR,
            rated_quantity=Decimal(120),
            steps=({"key": "units", "amount_nanos": "1"},),
        )
        draft = write(contract, line, replace(line, key="fee", kind=RatingKind.FEE, meter_id=None))

        usage, fee = read_lines(draft)
        assert (usage.late_quantity, usage.meter_id, usage.billed_nanos) == (
            Decimal("2.5"),
            meter_id,
            DOLLAR,
        )
        assert (usage.rated_quantity, usage.steps) == (
            Decimal(120),
            [{"key": "units", "amount_nanos": "1"}],
        )
        assert (fee.late_quantity, fee.meter_id, fee.kind) == (None, None, "Fee")


class TestDeleteDraft:
    def test_deletes_it_with_all_that_belongs_to_it(self) -> None:
        make_contract()
        tax_all()
        draft = make_draft()
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        delete_draft(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert not Invoice.objects.exists()
        assert not InvoiceLine.objects.exists()
        assert not InvoiceTax.objects.exists()
        assert not InvoiceCoverage.objects.exists()
        assert AuditEntry.objects.filter(action="invoice.deleted", subject_id=str(draft.pk)).exists()

    def test_refuses_a_final_invoice(self) -> None:
        invoice = make_final()

        with pytest.raises(InvoiceNotDraft):
            delete_draft(invoice_id=invoice.pk, at=NOON, actor=TESTER)

        assert Invoice.objects.filter(pk=invoice.pk, lines__isnull=False).exists()

    def test_refuses_what_is_not_there(self) -> None:
        draft = make_draft()
        delete_draft(invoice_id=draft.pk, at=NOON, actor=TESTER)

        with pytest.raises(InvoiceNotFound):
            delete_draft(invoice_id=draft.pk, at=NOON, actor=TESTER)
