"""What the database refuses by itself, tried with plain SQL; without its triggers it would not."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, models, transaction

from customers.models import Customer
from invoicing.invoices.operations import void_invoice
from invoicing.invoices.states import TRANSITIONS
from invoicing.models import (
    Invoice,
    InvoiceCoverage,
    InvoiceLine,
    InvoiceStatus,
    InvoiceTax,
    Payment,
    VoidOutcome,
)
from invoicing.payments.operations import record_payment
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.invoicing import DOLLAR, close, finalize, make_contract, make_draft, make_final, tax_all

pytestmark = pytest.mark.django_db

TABLES = [
    "invoicing_invoice",
    "invoicing_invoiceline",
    "invoicing_invoicecoverage",
    "invoicing_invoicetax",
    "invoicing_payment",
]
MAY_CHANGE = {
    "status",
    "amount_paid_nanos",
    "amount_due_nanos",
    "paid_at",
    "voided_at",
    "voided_reason",
    "void_outcome",
}
GUARDED = [field.column for field in Invoice._meta.concrete_fields if field.name not in MAY_CHANGE]


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def assert_refused(statement: str, *, because: str) -> None:
    """Run a statement that must fail for this reason, and leave nothing behind."""
    with pytest.raises(IntegrityError, match=because), transaction.atomic():
        execute(statement)


@contextmanager
def without_triggers() -> Iterator[None]:
    """Take the triggers away, as a control: what they refuse must go through without them."""
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    for table in TABLES:
        execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    for table in TABLES:
        execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def make_taxed_invoice() -> Invoice:
    """Make a final invoice that has a row in every table, payments apart."""
    contract = make_contract()
    tax_all()
    return make_final(contract)


def change_of(column: str) -> str:
    """Write another value than a column has, in SQL."""
    field = next(field for field in Invoice._meta.concrete_fields if field.column == column)
    if column == "customer_id":
        return f"'{make_customer(external_id='other').pk}'"
    if isinstance(field, models.ForeignKey | models.UUIDField):
        return "NULL" if field.null and column != "applies_to_id" else "gen_random_uuid()"
    if isinstance(field, models.DateTimeField):
        return f"coalesce({column}, now()) + interval '1 day'"
    if isinstance(field, models.JSONField):
        return """'{"legal_name": "Somebody else"}'"""
    if isinstance(field, models.CharField | models.TextField):
        return "'X'"
    return f"{column} + 1"


class TestFinalInvoices:
    @pytest.mark.parametrize("column", GUARDED)
    def test_keep_every_column_but_those_of_payment_and_voiding(self, column: str) -> None:
        make_taxed_invoice()

        assert_refused(
            f"UPDATE invoicing_invoice SET {column} = {change_of(column)}",
            because="invoicing_invoice is frozen",
        )

    def test_keep_columns_that_a_draft_may_change(self) -> None:
        make_draft()

        execute("UPDATE invoicing_invoice SET currency = 'EUR'")

        assert Invoice.objects.get().currency == "EUR"

    def test_are_not_deleted(self) -> None:
        make_taxed_invoice()

        assert_refused("DELETE FROM invoicing_invoice", because="invoicing_invoice is frozen")

    @pytest.mark.parametrize("table", TABLES)
    def test_are_not_truncated(self, table: str) -> None:
        assert_refused(f"TRUNCATE {table} CASCADE", because="TRUNCATE is refused")

    def test_would_change_and_vanish_without_the_triggers(self) -> None:
        make_taxed_invoice()

        with without_triggers():
            execute("UPDATE invoicing_invoice SET currency = 'EUR', seller_details = '{}'")
            assert Invoice.objects.get().currency == "EUR"
            for table in reversed(TABLES):
                execute(f"DELETE FROM {table}")
            assert not Invoice.objects.exists()

    def test_do_not_come_from_nowhere(self) -> None:
        invoice = make_final()
        columns = [field.column for field in Invoice._meta.concrete_fields]
        copied = (
            ", ".join(columns).replace("invoice_number", "'INV-9'", 1).replace("id", "gen_random_uuid()", 1)
        )
        insert = (
            f"INSERT INTO invoicing_invoice ({', '.join(columns)}) "
            f"SELECT {copied} FROM invoicing_invoice WHERE id = '{invoice.pk}'"
        )

        assert_refused(insert, because="begins as a Draft")

        with without_triggers():
            execute(insert)
        assert Invoice.objects.count() == 2


class TestStatuses:
    REACHED_BY = {
        InvoiceStatus.DRAFT: "status = 'Draft'",
        InvoiceStatus.OPEN: "status = 'Open', paid_at = NULL, amount_paid_nanos = 0, "
        "amount_due_nanos = total_nanos, voided_at = NULL, voided_reason = '', void_outcome = ''",
        InvoiceStatus.PAID: "status = 'Paid', paid_at = now(), amount_paid_nanos = total_nanos, "
        "amount_due_nanos = 0, voided_at = NULL, voided_reason = '', void_outcome = ''",
        InvoiceStatus.VOID: "status = 'Void', paid_at = NULL, voided_at = now(), voided_reason = 'Wrong'",
        InvoiceStatus.UNCOLLECTIBLE: "status = 'Uncollectible', paid_at = NULL, amount_paid_nanos = 0, "
        "amount_due_nanos = total_nanos, voided_at = NULL, voided_reason = '', void_outcome = ''",
    }
    FINAL = "invoice_number = 'INV-1', finalized_at = now(), due_at = now()"

    @pytest.mark.parametrize("after", InvoiceStatus)
    @pytest.mark.parametrize("before", InvoiceStatus)
    def test_move_as_the_table_says(self, before: InvoiceStatus, after: InvoiceStatus) -> None:
        make_draft() if before == InvoiceStatus.DRAFT else make_final()
        if before not in {InvoiceStatus.DRAFT, InvoiceStatus.OPEN}:
            execute(f"UPDATE invoicing_invoice SET {self.REACHED_BY[before]}")
        values = self.REACHED_BY[after]
        if before == InvoiceStatus.DRAFT != after:
            values = f"{values}, {self.FINAL}"
        move = f"UPDATE invoicing_invoice SET {values}"

        if after == before or after in TRANSITIONS[before]:
            execute(move)
            assert Invoice.objects.get().status == after
        else:
            assert_refused(move, because="does not move like this")
            assert Invoice.objects.get().status == before


class TestLines:
    COPY = "INSERT INTO invoicing_invoiceline ({columns}) SELECT {values} FROM invoicing_invoiceline LIMIT 1"

    def write_copy(self, **changes: str) -> str:
        columns = [field.column for field in InvoiceLine._meta.concrete_fields]
        values = [{"id": "gen_random_uuid()", "key": "'copy'", **changes}.get(name, name) for name in columns]
        return self.COPY.format(columns=", ".join(columns), values=", ".join(values))

    @pytest.mark.parametrize(
        "change",
        ["amount_nanos = 1, charge_nanos = 1", "description = 'X'", "key = 'other'", "steps = '[1]'"],
    )
    def test_of_final_invoices_stay_as_they_are(self, change: str) -> None:
        make_final()

        assert_refused(
            f"UPDATE invoicing_invoiceline SET {change}", because="invoicing_invoiceline belongs to a frozen"
        )
        with without_triggers():
            execute(f"UPDATE invoicing_invoiceline SET {change}")

    def test_of_final_invoices_stay(self) -> None:
        make_final()

        assert_refused("DELETE FROM invoicing_invoiceline", because="belongs to a frozen parent")
        with without_triggers():
            execute("DELETE FROM invoicing_invoiceline")
        assert not InvoiceLine.objects.exists()

    def test_of_final_invoices_get_no_company(self) -> None:
        make_final()

        assert_refused(self.write_copy(), because="belongs to a frozen parent")
        with without_triggers():
            execute(self.write_copy())
        assert InvoiceLine.objects.count() == 2

    def test_of_drafts_do_not_move_to_final_invoices(self) -> None:
        contract = make_contract()
        invoice = make_final(contract)
        draft = make_draft(contract)
        move = (
            f"UPDATE invoicing_invoiceline SET invoice_id = '{invoice.pk}', key = 'moved', is_billed = true "
            f"WHERE invoice_id = '{draft.pk}'"
        )

        assert_refused(move, because="belongs to a frozen parent")
        with without_triggers():
            execute(move)

    def test_of_drafts_change(self) -> None:
        make_draft()

        execute("UPDATE invoicing_invoiceline SET description = 'X'")
        execute(self.write_copy())
        execute("DELETE FROM invoicing_invoiceline WHERE key = 'copy'")

        assert InvoiceLine.objects.get().description == "X"

    def test_count_as_billed_if_their_invoice_is_final(self) -> None:
        make_final()

        assert_refused(
            "UPDATE invoicing_invoiceline SET is_billed = false", because="disagrees with its invoice"
        )
        with without_triggers():
            execute("UPDATE invoicing_invoiceline SET is_billed = false")

    def test_do_not_count_as_billed_on_a_draft(self) -> None:
        make_draft()

        assert_refused(
            "UPDATE invoicing_invoiceline SET is_billed = true", because="disagrees with its invoice"
        )
        assert_refused(self.write_copy(is_billed="true"), because="disagrees with its invoice")

    @pytest.mark.parametrize("then", VoidOutcome)
    def test_of_void_invoices_count_as_billed_if_forgiven(self, then: VoidOutcome) -> None:
        contract = make_contract()
        at = close(contract)
        invoice = make_final(contract, at=at)
        void_invoice(invoice_id=invoice.pk, reason="Wrong", then=then, at=at, actor=TESTER)

        is_billed = then == VoidOutcome.FORGIVE
        assert InvoiceLine.objects.get().is_billed is is_billed
        assert_refused(
            f"UPDATE invoicing_invoiceline SET is_billed = {not is_billed}",
            because="disagrees with its invoice",
        )


class TestTaxRows:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE invoicing_invoicetax SET amount_nanos = 1",
            "DELETE FROM invoicing_invoicetax",
            "INSERT INTO invoicing_invoicetax SELECT (jsonb_populate_record(tax, "
            "jsonb_build_object('id', gen_random_uuid(), 'position', 9))).* FROM invoicing_invoicetax tax",
        ],
    )
    def test_of_final_invoices_stay_as_they_are(self, statement: str) -> None:
        make_taxed_invoice()
        assert InvoiceTax.objects.count() == 1

        assert_refused(statement, because="invoicing_invoicetax belongs to a frozen parent")
        with without_triggers():
            execute(statement)


class TestCoverage:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE invoicing_invoicecoverage SET reason = 'PeriodEnd'",
            "DELETE FROM invoicing_invoicecoverage",
        ],
    )
    def test_of_final_invoices_stays_as_it_is(self, statement: str) -> None:
        make_final()

        assert_refused(statement, because="invoicing_invoicecoverage belongs to a frozen parent")
        with without_triggers():
            execute(statement)

    @pytest.mark.parametrize("change", ["is_draft = NOT is_draft", "is_void = NOT is_void"])
    def test_follows_the_status(self, change: str) -> None:
        make_final()

        assert_refused(f"UPDATE invoicing_invoicecoverage SET {change}", because="disagrees with its invoice")
        with without_triggers():
            execute(f"UPDATE invoicing_invoicecoverage SET {change}")
        assert InvoiceCoverage.objects.get()


class TestPayments:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE invoicing_payment SET amount_nanos = 1",
            "UPDATE invoicing_payment SET reference = 'X'",
            "DELETE FROM invoicing_payment",
        ],
    )
    def test_are_only_added(self, statement: str) -> None:
        invoice = make_final()
        record_payment(
            invoice_id=invoice.pk,
            amount_nanos=DOLLAR,
            reference="Transfer 1",
            received_at=NOON,
            at=NOON,
            actor=TESTER,
        )

        assert_refused(statement, because="invoicing_payment is append-only")
        assert Payment.objects.get().amount_nanos == DOLLAR
        with without_triggers():
            execute(statement)


class TestConstraints:
    def test_keep_a_customer_with_invoices(self) -> None:
        invoice = finalize(make_draft())

        with pytest.raises(models.ProtectedError):
            Customer.objects.filter(pk=invoice.customer_id).delete()
