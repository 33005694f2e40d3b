"""Having the tax of a Draft assessed."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from pytest_django.fixtures import Settings

from billing_project.core.errors import Busy
from billing_project.core.models import AuditEntry
from billing_project.core.seller import update_seller
from customers.operations import update_customer
from invoicing.invoices.operations import apply_tax
from invoicing.invoices.operations.taxes import TaxBasisChanged
from invoicing.invoices.states import InvoiceNotDraft
from invoicing.invoices.taxation import assess_tax
from invoicing.models import Invoice, InvoiceLine, InvoiceTax, TaxStatus
from invoicing.tax.engines.flat_rate import FlatRate
from invoicing.tax.selection import UnknownTaxEngine
from invoicing.tax.types import TaxAssessment, TaxRequest, TaxUnavailable
from tests.factories.core import NOON, TESTER
from tests.factories.invoicing import (
    CENT,
    DOLLAR,
    Contract,
    make_contract,
    make_draft,
    make_final,
    tax_all,
)

pytestmark = pytest.mark.django_db


class DownEngine:
    """An engine whose service does not answer."""

    def assess(self, request: TaxRequest) -> TaxAssessment:
        raise TaxUnavailable("The tax service did not answer.")


class SlowEngine:
    """An engine that thinks for so long that somebody bills the period anew, a given number of times."""

    contract: Contract
    changes_left = 0

    def assess(self, request: TaxRequest) -> TaxAssessment:
        if self.changes_left:
            type(self).changes_left -= 1
            make_draft(self.contract, charges=[(10 + self.changes_left) * DOLLAR])
        return FlatRate().assess(request)


@pytest.fixture(autouse=True)
def _engines(settings: Settings) -> Iterator[None]:
    settings.TAX_ENGINES = {
        **settings.TAX_ENGINES,
        "Down": f"{__name__}.DownEngine",
        "Slow": f"{__name__}.SlowEngine",
    }
    yield
    SlowEngine.changes_left = 0


def use_engine(name: str) -> None:
    update_seller(values={"tax_engine": name}, at=NOON, actor=TESTER)


class TestAssessTax:
    def test_adds_nothing_without_an_engine(self) -> None:
        draft = make_draft()

        outcome = assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert (outcome.taxes, outcome.is_pending) == ((), False)
        assert (outcome.invoice.tax_status, outcome.invoice.total_nanos) == (TaxStatus.CURRENT, 5 * DOLLAR)
        line = InvoiceLine.objects.get()
        assert (line.amount_nanos, line.gross_nanos) == (5 * DOLLAR, 5 * DOLLAR)

    def test_adds_a_row_for_the_rate(self) -> None:
        contract = make_contract()
        tax_all(bps=850)
        draft = make_draft(contract, charges=[9955000000000, 7485000000000])

        outcome = assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        invoice = Invoice.objects.get()
        assert (invoice.subtotal_nanos, invoice.tax_nanos, invoice.total_nanos, invoice.amount_due_nanos) == (
            17440000000000,
            1480000000000,
            18920000000000,
            18920000000000,
        )
        (row,) = outcome.taxes
        assert (row.code, row.description, row.rate, row.tax_behavior) == (
            "flat",
            "Tax 8.5%",
            Decimal("0.085"),
            "Exclusive",
        )
        assert (row.base_nanos, row.amount_nanos) == (17440000000000, 1480000000000)
        assert InvoiceTax.objects.get() == row
        assert [line.gross_nanos for line in InvoiceLine.objects.order_by("position")] == [
            10801175000000,
            8121225000000,
        ]

    def test_finds_the_tax_inside_a_price(self) -> None:
        contract = make_contract()
        tax_all()
        draft = make_draft(contract, charges=[999 * CENT], tax_behavior="Inclusive")

        invoice = assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER).invoice

        invoice.refresh_from_db()
        assert (invoice.lines_nanos, invoice.rounding_nanos, invoice.tax_nanos, invoice.total_nanos) == (
            8325000000000,
            -5000000000,
            1670000000000,
            9990000000000,
        )
        assert (invoice.subtotal_nanos, invoice.carry_nanos) == (8320000000000, 0)
        line = InvoiceLine.objects.get()
        assert (line.charge_nanos, line.amount_nanos, line.gross_nanos) == (
            9990000000000,
            8325000000000,
            9990000000000,
        )

    def test_exempts_a_customer_with_a_tax_id(self) -> None:
        contract = make_contract()
        tax_all()
        update_customer(
            customer_id=contract.subscription.customer_id,
            changes={"tax_id": "DE123456789"},
            at=NOON,
            actor=TESTER,
        )

        outcome = assess_tax(invoice_id=make_draft(contract).pk, at=NOON, actor=TESTER)

        assert (outcome.taxes, outcome.invoice.tax_nanos) == ((), 0)
        assert outcome.invoice.tax_status == TaxStatus.CURRENT

    def test_replaces_what_was_there(self) -> None:
        contract = make_contract()
        tax_all(bps=2_000)
        draft = make_draft(contract)
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)
        tax_all(bps=1_000)

        outcome = assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert InvoiceTax.objects.get().amount_nanos == outcome.invoice.tax_nanos == DOLLAR // 2

    def test_makes_the_tax_pending_where_the_engine_is_down(self) -> None:
        draft = make_draft()
        use_engine("Down")

        outcome = assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert (outcome.taxes, outcome.is_pending) == ((), True)
        draft.refresh_from_db()
        assert (draft.tax_status, draft.tax_problem) == (
            TaxStatus.PENDING,
            "The tax service did not answer.",
        )
        assert AuditEntry.objects.filter(action="invoice.tax_pending").count() == 1

    def test_settles_pending_tax_once_the_engine_is_back(self) -> None:
        draft = make_draft()
        use_engine("Down")
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)
        tax_all()

        invoice = assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER).invoice

        assert (invoice.tax_status, invoice.tax_problem, invoice.tax_nanos) == (
            TaxStatus.CURRENT,
            "",
            DOLLAR,
        )

    def test_takes_tax_off_changed_lines_although_it_is_pending(self) -> None:
        contract = make_contract()
        tax_all()
        draft = make_draft(contract)
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)
        use_engine("Down")
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        invoice = make_draft(contract, charges=[7 * DOLLAR])

        assert (invoice.tax_status, invoice.tax_nanos, invoice.total_nanos) == (
            TaxStatus.PENDING,
            0,
            7 * DOLLAR,
        )
        assert not InvoiceTax.objects.exists()

    def test_asks_again_about_a_draft_that_changed_meanwhile(self) -> None:
        contract = make_contract()
        tax_all()
        draft = make_draft(contract)
        use_engine("Slow")
        SlowEngine.contract, SlowEngine.changes_left = contract, 2

        invoice = assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER).invoice

        assert (invoice.subtotal_nanos, invoice.tax_nanos) == (10 * DOLLAR, 2 * DOLLAR)

    def test_gives_up_on_a_draft_that_never_stands_still(self) -> None:
        contract = make_contract()
        draft = make_draft(contract)
        use_engine("Slow")
        SlowEngine.contract, SlowEngine.changes_left = contract, 3

        with pytest.raises(Busy):
            assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        draft.refresh_from_db()
        assert draft.tax_status == TaxStatus.NOT_ASSESSED

    def test_refuses_a_final_invoice(self) -> None:
        invoice = make_final()

        with pytest.raises(InvoiceNotDraft):
            assess_tax(invoice_id=invoice.pk, at=NOON, actor=TESTER)

    def test_refuses_an_engine_that_the_install_no_longer_has(self, settings: Settings) -> None:
        draft = make_draft()
        use_engine("Down")
        settings.TAX_ENGINES = {"None": settings.TAX_ENGINES["None"]}

        with pytest.raises(UnknownTaxEngine):
            assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)


class TestApplyTax:
    def test_refuses_an_answer_to_another_question(self) -> None:
        draft = make_draft()
        assessment = TaxAssessment(rates=(), rate_numbers=(None,))

        with pytest.raises(TaxBasisChanged):
            apply_tax(invoice_id=draft.pk, assessment=assessment, fingerprint="other", at=NOON, actor=TESTER)

        draft.refresh_from_db()
        assert draft.tax_status == TaxStatus.NOT_ASSESSED
