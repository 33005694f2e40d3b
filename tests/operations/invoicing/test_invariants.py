"""Each invariant of invoicing holds after real use, and notices the breach that it is there for."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.db import connection

from billing_project.core.sequences import take_number
from invoicing import invariants
from invoicing.invoices.operations import ManualLine, add_line, void_invoice
from invoicing.models import Invoice, InvoiceReason, VoidOutcome
from invoicing.payments.operations import record_payment
from tests.factories.core import NOON, TESTER
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
from tests.factories.subscriptions import find_breaches

pytestmark = pytest.mark.django_db

TABLES = ("invoice", "invoiceline", "invoicecoverage", "invoicetax", "payment")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def behind_the_back() -> Iterator[None]:
    """Write what triggers would refuse."""
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in TABLES:
        execute(f"ALTER TABLE invoicing_{table} DISABLE TRIGGER USER")
    yield
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in TABLES:
        execute(f"ALTER TABLE invoicing_{table} ENABLE TRIGGER USER")


def use_everything() -> None:
    """Draft, tax, make final, pay, void and balance."""
    contract = make_contract()
    tax_all()
    finalize(write(contract, make_line(contract)))
    other = make_contract()
    paid = finalize(write(other, make_line(other)))
    record_payment(
        invoice_id=paid.pk, amount_nanos=6 * DOLLAR, reference="", received_at=None, at=NOON, actor=TESTER
    )
    voided = make_contract()
    at = close(voided)
    period_end = finalize(write(voided, make_line(voided), reason=InvoiceReason.PERIOD_END, at=at), at=at)
    void_invoice(invoice_id=period_end.pk, reason="Wrong", then=VoidOutcome.FORGIVE, at=at, actor=TESTER)
    draft = write(contract, make_line(contract, -DOLLAR, quantity=Decimal(0)))
    add_line(invoice_id=draft.pk, line=ManualLine(description="Rest", amount_nanos=7), at=NOON, actor=TESTER)


class TestAll:
    def test_hold_after_real_use(self) -> None:
        use_everything()

        assert Invoice.objects.count() == 4
        assert find_breaches() == []


class TestNumbers:
    def test_have_no_gaps(self) -> None:
        contract = make_contract()
        make_final(contract)
        take_number("invoice")
        make_final(contract)

        assert list(invariants.check_numbers()) == [
            "Invoice number INV-000003 does not follow 1.",
            "3 invoice numbers were taken, and 2 invoices have one.",
        ]

    def test_begin_with_one(self) -> None:
        make_contract()
        take_number("invoice")

        assert list(invariants.check_numbers()) == ["1 invoice numbers were taken, and 0 invoices have one."]

    def test_hold_without_any(self) -> None:
        assert list(invariants.check_numbers()) == []


class TestTotals:
    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE invoicing_invoiceline SET charge_nanos = 1, amount_nanos = 1",
            "UPDATE invoicing_invoicetax SET amount_nanos = amount_nanos + 1",
            "DELETE FROM invoicing_invoicetax",
            "UPDATE invoicing_invoice SET carry_nanos = carry_nanos + 1",
        ],
    )
    def test_are_those_of_the_lines_and_tax_rows(self, change: str) -> None:
        contract = make_contract()
        tax_all()
        invoice = make_final(contract)
        assert list(invariants.check_totals()) == []

        with behind_the_back():
            execute(change)

        (breach,) = invariants.check_totals()
        assert breach.startswith(f"Invoice {invoice.pk} states lines {5 * DOLLAR}")

    @pytest.mark.parametrize("tax_behavior", ["Exclusive", "Inclusive"])
    def test_hold_whichever_way_prices_are_stated(self, tax_behavior: str) -> None:
        contract = make_contract()
        tax_all()
        make_final(contract, charges=[999 * CENT + 7, 4 * CENT // 10], tax_behavior=tax_behavior)

        assert list(invariants.check_totals()) == []


class TestMinorUnits:
    def test_are_whole(self) -> None:
        invoice = make_final(charges=[5 * DOLLAR])
        assert list(invariants.check_minor_units()) == []

        with behind_the_back():
            execute(
                "UPDATE invoicing_invoice SET lines_nanos = lines_nanos + 1, subtotal_nanos = subtotal_nanos + 1, "
                "total_nanos = total_nanos + 1, amount_due_nanos = amount_due_nanos + 1"
            )

        (breach,) = invariants.check_minor_units()
        assert breach.startswith(f"Invoice {invoice.pk} asks for fractions of a minor unit of USD")


class TestSteps:
    def test_explain_the_lines(self) -> None:
        contract = make_contract()
        write(contract, make_line(contract))
        assert list(invariants.check_steps()) == []

        five = {"key": "units", "amount_nanos": str(5 * DOLLAR)}
        write(contract, make_line(contract, 6 * DOLLAR, steps=(five,)))

        (breach,) = invariants.check_steps()
        assert breach.endswith(f"charges {6 * DOLLAR}; its steps come to {5 * DOLLAR}.")


class TestCoverage:
    @pytest.mark.parametrize(
        "change", ["is_draft = NOT is_draft", "is_void = true", "reason = 'PeriodStart'"]
    )
    def test_follows_the_invoice(self, change: str) -> None:
        invoice = make_final()
        assert list(invariants.check_coverage()) == []

        with behind_the_back():
            execute(f"UPDATE invoicing_invoicecoverage SET {change}")

        (breach,) = invariants.check_coverage()
        assert breach.endswith(f"does not follow invoice {invoice.pk}, which is Open.")

    def test_is_there(self) -> None:
        invoice = make_final()

        with behind_the_back():
            execute("DELETE FROM invoicing_invoicecoverage")

        assert list(invariants.check_coverage()) == [
            f"Invoice {invoice.pk} is for period {invoice.period_id}, which it does not cover."
        ]


class TestBilled:
    def test_follows_the_invoice(self) -> None:
        invoice = make_final()
        assert list(invariants.check_billed()) == []

        with behind_the_back():
            execute("UPDATE invoicing_invoiceline SET is_billed = false")

        (breach,) = invariants.check_billed()
        assert breach.endswith(f"does not count as billed; invoice {invoice.pk} is Open.")

    def test_happens_once(self) -> None:
        contract = make_contract()
        finalize(write(contract, make_line(contract)))
        assert list(invariants.check_billed_once()) == []

        finalize(write(contract, make_line(contract)))  # As if nothing had been billed before.

        assert list(invariants.check_billed_once()) == [
            f"Of {contract.key} a quantity of 200 was billed, and at most 100 was rated."
        ]


class TestClosed:
    def test_is_every_period_that_was_billed_at_its_end(self) -> None:
        contract = make_contract()
        at = close(contract)
        invoice = make_final(contract, reason=InvoiceReason.PERIOD_END, at=at)
        assert list(invariants.check_closed()) == []

        execute("SET CONSTRAINTS ALL IMMEDIATE")
        execute("ALTER TABLE subscriptions_period DISABLE TRIGGER USER")
        execute("UPDATE subscriptions_period SET closed_at = NULL")

        assert list(invariants.check_closed()) == [
            f"Invoice {invoice.pk} is final for the end of period {contract.period.pk}, which is open."
        ]


class TestPaid:
    def test_is_what_the_payments_say(self) -> None:
        invoice = make_final()
        record_payment(
            invoice_id=invoice.pk, amount_nanos=DOLLAR, reference="", received_at=None, at=NOON, actor=TESTER
        )
        assert list(invariants.check_paid()) == []

        with behind_the_back():
            execute("UPDATE invoicing_payment SET amount_nanos = amount_nanos + 1")

        assert list(invariants.check_paid()) == [
            f"Invoice {invoice.pk} says that {DOLLAR} was paid; its payments come to {DOLLAR + 1}."
        ]

    def test_is_in_the_currency_of_the_invoice(self) -> None:
        invoice = make_final()
        record_payment(
            invoice_id=invoice.pk, amount_nanos=DOLLAR, reference="", received_at=None, at=NOON, actor=TESTER
        )

        with behind_the_back():
            execute("UPDATE invoicing_payment SET currency = 'EUR'")

        assert len(list(invariants.check_paid())) == 1


class TestDrafts:
    def test_break_nothing(self) -> None:
        make_draft(charges=[])

        assert find_breaches() == []
