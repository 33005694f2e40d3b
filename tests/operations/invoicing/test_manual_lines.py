"""Lines by hand, and invoices made of them."""

from decimal import Decimal

import pytest

from billing_project.core.errors import InvalidInput, NotFound
from billing_project.core.ids import make_id
from catalog.models import TaxBehavior
from customers.models import CustomerStatus
from customers.operations import update_customer
from invoicing.invoices.drafting import AmountTooLarge, InvoiceBelowZero
from invoicing.invoices.operations import ManualLine, add_line, create_one_off, remove_line
from invoicing.invoices.operations.manual_lines import CustomerClosed, LineNotFound, LineNotManual
from invoicing.invoices.states import InvoiceNotDraft
from invoicing.invoices.taxation import assess_tax
from invoicing.models import Invoice, InvoiceLine, LineKind, TaxStatus
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.invoicing import DOLLAR, finalize, make_draft, make_final

pytestmark = pytest.mark.django_db
SETUP_FEE = ManualLine(description="Set-up", amount_nanos=100 * DOLLAR)


class TestAddLine:
    def test_adds_it_after_the_others(self) -> None:
        draft = make_draft()

        invoice = add_line(invoice_id=draft.pk, line=SETUP_FEE, at=NOON, actor=TESTER)

        line = InvoiceLine.objects.get(kind=LineKind.MANUAL)
        assert (line.invoice_id, line.position, line.key, line.is_billed) == (draft.pk, 1, None, False)
        assert (line.description, line.charge_nanos, line.amount_nanos) == (
            "Set-up",
            100 * DOLLAR,
            100 * DOLLAR,
        )
        assert (invoice.total_nanos, invoice.lines_nanos) == (105 * DOLLAR, 105 * DOLLAR)

    def test_multiplies_a_quantity_by_its_price(self) -> None:
        draft = make_draft(charges=[])
        hours = ManualLine(
            description="Consulting",
            quantity=Decimal("1.5"),
            unit="hour",
            unit_amount_nanos=33_333_333_333_333,
            tax_behavior=TaxBehavior.INCLUSIVE,
            tax_category="services",
        )

        add_line(invoice_id=draft.pk, line=hours, at=NOON, actor=TESTER)

        line = InvoiceLine.objects.get()
        assert line.charge_nanos == 50_000_000_000_000  # 49 999 999 999 999.5, half to even.
        assert (line.quantity, line.unit, line.unit_amount_nanos) == (
            Decimal("1.5"),
            "hour",
            33_333_333_333_333,
        )
        assert (line.tax_behavior, line.tax_category) == ("Inclusive", "services")

    @pytest.mark.parametrize(
        "line",
        [
            ManualLine(description="Nothing"),
            ManualLine(description="Price alone", unit_amount_nanos=1),
            ManualLine(description="Quantity alone", quantity=Decimal(1)),
            ManualLine(description="Both", amount_nanos=1, quantity=Decimal(1), unit_amount_nanos=1),
        ],
    )
    def test_refuses_a_line_without_one_clear_amount(self, line: ManualLine) -> None:
        draft = make_draft(charges=[])

        with pytest.raises(InvalidInput) as caught:
            add_line(invoice_id=draft.pk, line=line, at=NOON, actor=TESTER)

        assert [(error.field, error.code) for error in caught.value.errors] == [
            ("amount_nanos", "ambiguous_amount")
        ]
        assert not InvoiceLine.objects.exists()

    def test_makes_the_tax_stale(self) -> None:
        draft = make_draft()
        assess_tax(invoice_id=draft.pk, at=NOON, actor=TESTER)

        assert (
            add_line(invoice_id=draft.pk, line=SETUP_FEE, at=NOON, actor=TESTER).tax_status == TaxStatus.STALE
        )

    def test_does_not_count_as_computing_the_draft_anew(self) -> None:
        draft = make_draft()

        invoice = add_line(invoice_id=draft.pk, line=SETUP_FEE, at=NOON.replace(hour=20), actor=TESTER)

        invoice.refresh_from_db()
        assert invoice.computed_at == NOON

    def test_balances_a_discount_beyond_the_sum(self) -> None:
        draft = make_draft()
        discount = ManualLine(description="Discount", amount_nanos=-9 * DOLLAR)

        invoice = add_line(invoice_id=draft.pk, line=discount, at=NOON, actor=TESTER)

        assert invoice.total_nanos == 0
        assert InvoiceLine.objects.get(kind=LineKind.BALANCING).charge_nanos == 4 * DOLLAR

    def test_refuses_a_final_invoice(self) -> None:
        invoice = make_final()

        with pytest.raises(InvoiceNotDraft):
            add_line(invoice_id=invoice.pk, line=SETUP_FEE, at=NOON, actor=TESTER)

        assert InvoiceLine.objects.count() == 1

    def test_refuses_an_amount_that_cannot_be_added_up(self) -> None:
        draft = make_draft()
        huge = ManualLine(description="Huge", amount_nanos=10**37)

        with pytest.raises(AmountTooLarge):
            add_line(invoice_id=draft.pk, line=huge, at=NOON, actor=TESTER)

        assert InvoiceLine.objects.count() == 1


class TestRemoveLine:
    def test_takes_a_manual_line_away(self) -> None:
        draft = make_draft()
        add_line(invoice_id=draft.pk, line=SETUP_FEE, at=NOON, actor=TESTER)
        line = InvoiceLine.objects.get(kind=LineKind.MANUAL)

        invoice = remove_line(invoice_id=draft.pk, line_id=line.pk, at=NOON, actor=TESTER)

        assert invoice.total_nanos == 5 * DOLLAR
        assert InvoiceLine.objects.get().kind == LineKind.USAGE

    def test_refuses_a_computed_line(self) -> None:
        draft = make_draft()

        with pytest.raises(LineNotManual):
            remove_line(invoice_id=draft.pk, line_id=InvoiceLine.objects.get().pk, at=NOON, actor=TESTER)

        assert InvoiceLine.objects.exists()

    def test_refuses_a_line_of_another_invoice(self) -> None:
        draft, other = make_draft(), make_draft()
        add_line(invoice_id=other.pk, line=SETUP_FEE, at=NOON, actor=TESTER)
        line = InvoiceLine.objects.get(kind=LineKind.MANUAL)

        with pytest.raises(LineNotFound):
            remove_line(invoice_id=draft.pk, line_id=line.pk, at=NOON, actor=TESTER)

        assert InvoiceLine.objects.filter(pk=line.pk).exists()

    def test_refuses_a_final_invoice(self) -> None:
        draft = make_draft()
        add_line(invoice_id=draft.pk, line=SETUP_FEE, at=NOON, actor=TESTER)
        finalize(draft)
        line = InvoiceLine.objects.get(kind=LineKind.MANUAL)

        with pytest.raises(InvoiceNotDraft):
            remove_line(invoice_id=draft.pk, line_id=line.pk, at=NOON, actor=TESTER)

        assert InvoiceLine.objects.filter(pk=line.pk).exists()


class TestCreateOneOff:
    def test_makes_a_draft_for_no_subscription(self) -> None:
        customer = make_customer()

        invoice = create_one_off(
            customer_id=customer.pk,
            currency=None,
            lines=[SETUP_FEE, ManualLine(description="Discount", amount_nanos=-30 * DOLLAR)],
            at=NOON,
            actor=TESTER,
        )

        invoice.refresh_from_db()
        assert (invoice.status, invoice.reason, invoice.currency) == ("Draft", "OneOff", "USD")
        assert (invoice.subscription_id, invoice.period_id, invoice.period_start) == (None, None, None)
        assert invoice.total_nanos == 70 * DOLLAR
        assert not invoice.coverage.exists()
        assert [line.position for line in invoice.lines.order_by("position")] == [0, 1]

    def test_can_be_made_final(self) -> None:
        customer = make_customer()
        draft = create_one_off(
            customer_id=customer.pk, currency="EUR", lines=[SETUP_FEE], at=NOON, actor=TESTER
        )

        invoice = finalize(draft)

        assert (invoice.status, invoice.currency, invoice.invoice_number) == ("Open", "EUR", "INV-000001")

    @pytest.mark.parametrize("currency", ["usd", "XXX", "DEM"])
    def test_refuses_what_is_no_currency(self, currency: str) -> None:
        customer = make_customer()

        with pytest.raises(InvalidInput) as caught:
            create_one_off(
                customer_id=customer.pk, currency=currency, lines=[SETUP_FEE], at=NOON, actor=TESTER
            )

        assert caught.value.errors[0].field == "currency"
        assert not Invoice.objects.exists()

    def test_names_the_line_that_has_no_amount(self) -> None:
        customer = make_customer()
        lines = [SETUP_FEE, ManualLine(description="Nothing")]

        with pytest.raises(InvalidInput) as caught:
            create_one_off(customer_id=customer.pk, currency=None, lines=lines, at=NOON, actor=TESTER)

        assert caught.value.errors[0].field == "lines.1.amount_nanos"
        assert not Invoice.objects.exists()

    def test_refuses_to_ask_for_less_than_nothing(self) -> None:
        customer = make_customer()
        discount = ManualLine(description="Discount", amount_nanos=-1)

        with pytest.raises(InvoiceBelowZero):
            create_one_off(customer_id=customer.pk, currency=None, lines=[discount], at=NOON, actor=TESTER)

        assert not Invoice.objects.exists()

    def test_refuses_an_invoice_of_nothing_at_all(self) -> None:
        customer = make_customer()

        with pytest.raises(InvalidInput):
            create_one_off(customer_id=customer.pk, currency=None, lines=[], at=NOON, actor=TESTER)

    def test_refuses_a_closed_customer(self) -> None:
        customer = make_customer()
        update_customer(
            customer_id=customer.pk, changes={"status": CustomerStatus.CLOSED}, at=NOON, actor=TESTER
        )

        with pytest.raises(CustomerClosed):
            create_one_off(customer_id=customer.pk, currency=None, lines=[SETUP_FEE], at=NOON, actor=TESTER)

        assert not Invoice.objects.exists()

    def test_refuses_a_customer_who_is_not_there(self) -> None:
        with pytest.raises(NotFound):
            create_one_off(customer_id=make_id(), currency=None, lines=[SETUP_FEE], at=NOON, actor=TESTER)
