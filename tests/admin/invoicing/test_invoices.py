"""An invoice on the staff pages: what it shows, and what can be done with it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from billing_project.core.models import AuditEntry
from billing_project.core.seller import update_seller
from catalog.models import Meter
from invoicing.invoices.operations import ManualLine, create_one_off
from invoicing.models import Invoice, InvoiceLine, InvoiceReason, Payment
from invoicing.runs.billing import bill_period
from invoicing.tax.types import TaxAssessment, TaxRequest, TaxUnavailable
from tests.admin.core.conftest import MakeStaff
from tests.factories.core import LONG_AFTER, NOON, TESTER
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.invoicing import (
    DOLLAR,
    Contract,
    close,
    make_contract,
    make_draft,
    make_final,
    make_line,
    tax_all,
    write,
)
from tests.factories.subscriptions import find_breaches, utc

CONFIRM = {"_form_submitted": "true"}
INVOICES = "/admin/invoicing/invoice/"
CHARGES = [9955000000000, 7485000000000]  # $9.955 and $7.485: the walkthrough's.
ACTIONS = ("calculate_tax", "finalize", "record_payment", "void")


class DownEngine:
    """A tax engine whose service does not answer."""

    def assess(self, request: TaxRequest) -> TaxAssessment:
        raise TaxUnavailable("The tax service did not answer.")


@pytest.fixture
def contract(db: None) -> Contract:
    """A contract of a customer for whom it is noon."""
    return make_contract(customer=make_customer(test_clock_id=make_test_clock().pk))


@pytest.fixture
def draft(contract: Contract) -> Invoice:
    return make_draft(contract, charges=CHARGES)


@pytest.fixture
def final(contract: Contract) -> Invoice:
    return make_final(contract, charges=CHARGES)


def act(client: Client, invoice: Invoice, action: str, **values: str) -> Any:
    """Send a dialog."""
    address = f"{INVOICES}{invoice.pk}/{action}/"
    answer = client.post(address, {**CONFIRM, **values}, headers={"HX-Request": "true"})
    invoice.refresh_from_db()
    return answer


def read(client: Client, invoice: Invoice) -> str:
    """Read the text of an invoice's page, in which its messages are, too."""
    content = client.get(f"{INVOICES}{invoice.pk}/change/").content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content)).replace("&ndash;", "-")


def list_buttons(client: Client, invoice: Invoice) -> list[str]:
    """List the actions that the page offers."""
    content = client.get(f"{INVOICES}{invoice.pk}/change/").content.decode()
    return [name for name in ACTIONS if f'hx-get="{INVOICES}{invoice.pk}/{name}/"' in content]


def count_queries(client: Client, invoice: Invoice) -> int:
    """Count how often the page asks the database."""
    with CaptureQueriesContext(connection) as queries:
        read(client, invoice)
    return len(queries)


class TestPage:
    def test_shows_each_amount_to_its_last_digit_and_what_they_come_to(
        self, staff: Client, draft: Invoice
    ) -> None:
        text = read(staff, draft)

        assert "100 token $0.09955 $9.955" in text
        assert "100 token $0.07485 $7.485" in text
        assert "Subtotal $17.44 Tax $0.00 Total $17.44" in text
        assert "Rounding" not in text
        assert "The tax has not been calculated." in text

    def test_shows_the_rounding_where_there_is_some(self, staff: Client, contract: Contract) -> None:
        text = read(staff, make_draft(contract, charges=[9955000000000]))

        assert "Sum of the lines $9.955 Rounding $0.005 Subtotal $9.96 Tax $0.00 Total $9.96" in text

    def test_shows_taxes_and_payments(self, staff: Client, contract: Contract) -> None:
        tax_all(bps=850)
        invoice = make_final(contract, charges=CHARGES)
        act(staff, invoice, "record_payment", amount="8.92", reference="SEPA 7")

        text = read(staff, invoice)

        assert "Tax 8.5% - 8.5 % $17.44 $1.48" in text
        assert "Subtotal $17.44 Tax $1.48 Total $18.92 Paid -$8.92 Due $10.00" in text
        assert "2026-02-28 12:00 SEPA 7 Recorded by staff Succeeded $8.92" in text

    def test_shows_its_history_with_amounts_as_money(self, staff: Client, final: Invoice) -> None:
        text = read(staff, final)

        for action in ("invoice.drafted", "invoice.tax_assessed", "invoice.finalized"):
            assert action in text
        assert "total_nanos $0.00 $17.44" in text
        assert "17440000000000" not in text

    def test_offers_what_the_status_lets_be_done(
        self, staff: Client, draft: Invoice, contract: Contract
    ) -> None:
        assert list_buttons(staff, draft) == ["calculate_tax", "finalize"]
        act(staff, draft, "finalize")
        assert list_buttons(staff, draft) == ["record_payment", "void"]
        act(staff, draft, "record_payment", amount="17.44")
        assert list_buttons(staff, draft) == []

    def test_asks_the_database_as_often_for_many_lines(self, staff: Client, contract: Contract) -> None:
        meter = Meter.objects.get()
        counts = []
        for length in (2, 40):
            lines = [
                make_line(contract, DOLLAR, key=f"{contract.key}:{number}", meter_id=meter.pk)
                for number in range(length)
            ]
            invoice = write(contract, *lines)
            read(staff, invoice)
            counts.append(count_queries(staff, invoice))

        assert counts[0] == counts[1]

    def test_escapes_what_people_have_written(self, staff: Client, final: Invoice) -> None:
        act(staff, final, "record_payment", amount="1", reference="<b>bank</b>")

        content = staff.get(f"{INVOICES}{final.pk}/change/").content
        assert b"<b>bank</b>" not in content
        assert b"&lt;b&gt;bank&lt;/b&gt;" in content


class TestCalculateTax:
    def test_puts_the_tax_on_the_draft(self, staff: Client, contract: Contract) -> None:
        tax_all(bps=850)
        draft = make_draft(contract, charges=CHARGES)

        answer = act(staff, draft, "calculate_tax")

        assert answer["HX-Redirect"] == ".."
        assert (draft.tax_status, draft.tax_nanos, draft.total_nanos) == (
            "Current",
            1480000000000,
            18920000000000,
        )
        entry = AuditEntry.objects.get(action="invoice.tax_assessed")
        assert (entry.actor_kind, entry.actor_label, entry.occurred_at) == ("Staff", "ada", NOON)

    def test_says_that_the_engine_did_not_answer(
        self, staff: Client, draft: Invoice, settings: Settings
    ) -> None:
        settings.TAX_ENGINES = {**settings.TAX_ENGINES, "Down": f"{__name__}.DownEngine"}
        update_seller(values={"tax_engine": "Down"}, at=NOON, actor=TESTER)

        act(staff, draft, "calculate_tax")

        assert draft.tax_status == "Pending"
        text = read(staff, draft)
        assert "The tax is pending: The tax service did not answer." in text
        assert "Tax problem" in text

    def test_tells_why_a_final_invoice_cannot(self, staff: Client, final: Invoice) -> None:
        act(staff, final, "calculate_tax")

        assert "is Open" in read(staff, final)
        assert AuditEntry.objects.filter(action="invoice.tax_assessed").count() == 1


class TestFinalize:
    def test_gives_the_draft_its_number(self, staff: Client, draft: Invoice) -> None:
        act(staff, draft, "finalize")

        assert (draft.status, draft.invoice_number, draft.finalized_at) == ("Open", "INV-000001", NOON)
        assert (draft.total_nanos, draft.tax_status) == (17440000000000, "Current")
        assert draft.due_at == NOON + timedelta(days=30)
        assert "The invoice is final." in read(staff, draft)
        assert find_breaches() == []

    def test_asks_before_it_does(self, staff: Client, draft: Invoice) -> None:
        answer = staff.get(f"{INVOICES}{draft.pk}/finalize/")

        assert "From then on nothing on it can change." in answer.content.decode()
        draft.refresh_from_db()
        assert draft.status == "Draft"

    def test_tells_why_a_period_that_runs_cannot_be_ended(self, staff: Client, contract: Contract) -> None:
        draft = make_draft(contract, reason=InvoiceReason.PERIOD_END)

        act(staff, draft, "finalize")

        assert draft.status == "Draft"
        assert "Period 0 ends at 2026-03-28 00:00 UTC." in read(staff, draft)

    @pytest.mark.django_db(transaction=True)
    def test_closes_and_settles_the_period_that_it_ends(self, staff: Client) -> None:
        ended_at = utc(2026, 3, 28, 0, 30)  # Within the grace.
        customer = make_customer(test_clock_id=make_test_clock(now_at=ended_at).pk)
        contract = make_contract(customer=customer)
        draft, _ = bill_period(
            subscription_id=contract.subscription.pk,
            period_id=contract.period.pk,
            at=ended_at,
            actor=TESTER,
        )

        act(staff, draft, "finalize")

        assert (draft.reason, draft.status, draft.finalized_at) == ("PeriodEnd", "Paid", ended_at)
        contract.period.refresh_from_db()
        assert (contract.period.closed_at, contract.period.settled_at) == (ended_at, ended_at)

    def test_does_not_do_it_twice(self, staff: Client, final: Invoice) -> None:
        act(staff, final, "finalize")

        assert final.invoice_number == "INV-000001"
        assert "is Open" in read(staff, final)


class TestRecordPayment:
    def test_takes_a_part(self, staff: Client, final: Invoice) -> None:
        act(
            staff,
            final,
            "record_payment",
            amount="12.50",
            reference="SEPA 7",
            received_at="2026-02-27T09:30",
        )

        payment = Payment.objects.get()
        assert (payment.amount_nanos, payment.currency, payment.reference) == (
            12500000000000,
            "USD",
            "SEPA 7",
        )
        assert payment.received_at == NOON - timedelta(hours=26, minutes=30)
        assert (final.status, final.amount_due_nanos) == ("Open", 4940000000000)
        assert "The payment was recorded." in read(staff, final)

    def test_takes_the_rest(self, staff: Client, final: Invoice) -> None:
        act(staff, final, "record_payment", amount="12.5")
        act(staff, final, "record_payment", amount="4.94")

        assert (final.status, final.amount_due_nanos, final.paid_at) == ("Paid", 0, NOON)
        assert Payment.objects.get(amount_nanos=4940000000000).received_at == NOON
        assert find_breaches() == []

    @pytest.mark.parametrize(
        ("amount", "reason"),
        [
            ("17.45", "Only $17.44 is due."),
            ("0", "A payment is above zero."),
            ("-1", "A payment is above zero."),
            ("12.505", "The smallest amount of USD is $0.01."),
            ("12,50", "Enter an amount with digits and a point, such as 12.50."),
            ("NaN", "Enter an amount with digits and a point, such as 12.50."),
            ("1" * 40, "Enter an amount with digits and a point, such as 12.50."),
            ("", "This field is required."),
        ],
    )
    def test_refuses_an_amount_in_the_dialog(
        self, staff: Client, final: Invoice, amount: str, reason: str
    ) -> None:
        answer = act(staff, final, "record_payment", amount=amount)

        assert reason in answer.content.decode()
        assert not Payment.objects.exists()

    def test_says_what_is_due(self, staff: Client, final: Invoice) -> None:
        content = staff.get(f"{INVOICES}{final.pk}/record_payment/").content.decode()

        assert "In USD, such as 12.50. $17.44 is due." in content

    def test_refuses_money_from_the_customers_future(self, staff: Client, final: Invoice) -> None:
        act(staff, final, "record_payment", amount="1", received_at="2026-03-01T00:00")

        assert "A payment that has come in did so before now." in read(staff, final)
        assert not Payment.objects.exists()


class TestVoid:
    def test_takes_the_amounts_back_to_be_billed_again(
        self, staff: Client, final: Invoice, contract: Contract
    ) -> None:
        act(staff, final, "void", reason="Wrong customer", then="Regenerate")

        assert (final.status, final.voided_reason, final.void_outcome) == (
            "Void",
            "Wrong customer",
            "Regenerate",
        )
        assert not InvoiceLine.objects.filter(invoice=final, is_billed=True).exists()
        assert AuditEntry.objects.get(action="invoice.voided").reason == "Wrong customer"
        text = read(staff, final)
        assert "The invoice is void." in text
        assert "Bill again" in text

    def test_forgives(self, staff: Client, contract: Contract) -> None:
        final = make_final(contract, charges=CHARGES)
        close(contract)

        act(staff, final, "void", reason="Goodwill", then="Forgive")

        assert (final.status, final.void_outcome) == ("Void", "Forgive")
        assert InvoiceLine.objects.filter(invoice=final, is_billed=True).count() == 2

    @pytest.mark.parametrize(
        "values",
        [{}, {"reason": "", "then": "Forgive"}, {"reason": "x"}, {"reason": "x", "then": "Perhaps"}],
    )
    def test_asks_why_and_what_then(self, staff: Client, final: Invoice, values: dict[str, str]) -> None:
        answer = act(staff, final, "void", **values)

        assert answer.status_code == 200
        assert "HX-Redirect" not in answer
        assert final.status == "Open"

    def test_asks_only_why_where_there_is_no_period(self, staff: Client, contract: Contract) -> None:
        one_off = create_one_off(
            customer_id=contract.subscription.customer_id,
            currency=None,
            lines=[ManualLine(description="Training", amount_nanos=DOLLAR)],
            at=NOON,
            actor=TESTER,
        )
        act(staff, one_off, "finalize")
        assert b'name="then"' not in staff.get(f"{INVOICES}{one_off.pk}/void/").content

        act(staff, one_off, "void", reason="Not ordered")

        assert (one_off.status, one_off.void_outcome) == ("Void", "")

    def test_tells_why_a_paid_one_cannot(self, staff: Client, final: Invoice) -> None:
        act(staff, final, "record_payment", amount="1")

        act(staff, final, "void", reason="Goodwill", then="Forgive")

        assert final.status == "Open"
        assert "has payments." in read(staff, final)


class TestRights:
    @pytest.mark.parametrize("action", ["calculate_tax", "finalize"])
    def test_to_see_do_not_let_a_draft_be_changed(
        self, make_staff: MakeStaff, draft: Invoice, action: str
    ) -> None:
        client = make_staff("view_invoice", "add_invoice", "add_payment")

        assert act(client, draft, action).status_code == 403
        assert client.get(f"{INVOICES}{draft.pk}/{action}/").status_code == 403
        assert (draft.status, draft.tax_status) == ("Draft", "NotAssessed")

    @pytest.mark.parametrize(
        ("action", "rights"),
        [("void", ["view_invoice", "add_payment"]), ("record_payment", ["view_invoice", "change_invoice"])],
    )
    def test_to_one_thing_do_not_let_another_be_done(
        self, make_staff: MakeStaff, final: Invoice, action: str, rights: list[str]
    ) -> None:
        client = make_staff(*rights)

        answer = act(client, final, action, reason="x", then="Forgive", amount="1")

        assert answer.status_code == 403
        assert final.status == "Open"
        assert not Payment.objects.exists()
        assert action not in list_buttons(client, final)

    @pytest.mark.parametrize("action", ACTIONS)
    @pytest.mark.parametrize("row_id", ["0192aaaa-0000-7000-8000-000000000000", "nonsense"])
    def test_reach_no_invoice_that_is_not_there(
        self, staff: Client, db: None, action: str, row_id: str
    ) -> None:
        for method in (staff.get, staff.post):
            assert method(f"{INVOICES}{row_id}/{action}/", CONFIRM).status_code == 404


class TestList:
    def test_finds_by_number_and_by_customer(self, staff: Client, contract: Contract) -> None:
        final = make_final(contract, charges=CHARGES)
        address = f"{INVOICES}{final.pk}/change/"

        for text in ("INV-000001", "neuralworks", "billing@neuralworks.example", str(final.customer_id)):
            assert address in staff.get(INVOICES, {"q": text}).content.decode(), text
        for text in ("INV-000002", "Somebody else", str(contract.item.pk)):
            assert address not in staff.get(INVOICES, {"q": text}).content.decode(), text

    def test_shows_what_is_overdue_by_the_customers_time(self, staff: Client, contract: Contract) -> None:
        clocked = make_final(contract, charges=CHARGES)  # Due in March; for its customer it is February.
        late = make_final(make_contract(customer=make_customer()), charges=CHARGES)
        ahead = make_customer(test_clock_id=make_test_clock(now_at=LONG_AFTER - timedelta(days=1)).pk)
        early = make_final(make_contract(customer=ahead), charges=CHARGES, at=LONG_AFTER - timedelta(days=40))

        content = staff.get(INVOICES, {"overdue": "yes"}).content.decode()

        assert f"{late.pk}/change/" in content
        assert f"{early.pk}/change/" in content
        assert f"{clocked.pk}/change/" not in content
        assert content.count(">Overdue</span>") == 2
