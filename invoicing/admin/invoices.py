"""The pages of invoices: what they say, what became of them, and what can be done with them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from billing_project.core.actors import Actor
from billing_project.core.admin.actions import dialog_action, run_for_one
from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge, make_badge, money
from billing_project.core.admin.details import DetailsAdmin, RelatedList, Table, make_history
from billing_project.core.clock import now
from customers.admin.search import CustomerSearchAdmin
from customers.queries import now_for
from invoicing.admin.filters import OverdueFilter, is_overdue
from invoicing.admin.forms import RecordPaymentForm, VoidForm
from invoicing.admin.tables import make_line_table, make_payment_table, make_tax_table
from invoicing.invoices.operations import TaxNotAssessed
from invoicing.invoices.queries import get_invoice
from invoicing.invoices.taxation import assess_tax
from invoicing.models import Invoice, InvoiceStatus, VoidOutcome
from invoicing.payments.operations import record_payment
from invoicing.runs.finalization import finalize, prepare_finalization
from invoicing.runs.voiding import void

STATUS = badge("status", "Status")
TAX_STATUS = badge("tax_status", "Tax status")
TOTAL = money("total_nanos", "Total")
DUE = money("amount_due_nanos", "Due")
PAID = money("amount_paid_nanos", "Paid")

MAIN = {
    "fields": (
        ("invoice_number", "state"),
        ("customer", "subscription"),
        ("period_start", "period_end"),
        ("invoice_type", "reason"),
        (TOTAL, DUE),
        ("currency", TAX_STATUS),
        ("finalized_at", "due_at"),
        ("paid_at", "created_at"),
    )
}
ACTIONS_BY_STATUS: dict[str, tuple[str, ...]] = {
    InvoiceStatus.DRAFT: ("finalize", "calculate_tax"),
    InvoiceStatus.OPEN: ("record_payment", "void"),
    InvoiceStatus.UNCOLLECTIBLE: ("record_payment", "void"),
}


@admin.register(Invoice)
class InvoiceAdmin(
    BigTableMixin, CustomerSearchAdmin[Invoice], DetailsAdmin[Invoice], ReadOnlyAdmin[Invoice]
):
    """What was asked for. A Draft changes by being billed anew; a final invoice never does."""

    list_display = (
        "number",
        "customer",
        "state",
        "reason",
        TAX_STATUS,
        TOTAL,
        DUE,
        "finalized_at",
        "due_at",
    )
    list_filter = ("status", OverdueFilter, "tax_status", "reason", "invoice_type")
    list_select_related = ("customer__test_clock",)
    search_id_fields = ("id", "customer_id", "subscription_id", "period_id")
    search_help_text = "Number, customer or id"
    date_hierarchy = "finalized_at"
    ordering = ("-id",)
    readonly_fields = ("state", TAX_STATUS, TOTAL, DUE)
    related_lists = (
        RelatedList("Periods covered", "invoicing_invoicecoverage", "invoice__id__exact"),
        RelatedList("Lines in detail", "invoicing_invoiceline", "invoice__id__exact"),
    )
    actions_detail = ("calculate_tax", "finalize", "record_payment", "void")

    def find_also(self, text: str) -> Q:
        """Find an invoice by its number."""
        return Q(invoice_number=text)

    def get_fieldsets(self, request: HttpRequest, obj: Invoice | None = None) -> Any:
        """Leave out what does not concern the invoice."""
        shown: list[Any] = [(None, MAIN)]
        if obj is not None and obj.tax_problem:
            shown.append(("Problem", {"fields": ("tax_problem",)}))
        if obj is not None and obj.status == InvoiceStatus.VOID:
            shown.append(("Void", {"fields": (("voided_at", "void_outcome"), "voided_reason")}))
        return shown

    @admin.display(description="Number", ordering="invoice_number")
    def number(self, invoice: Invoice) -> str:
        """Show the number; a Draft has none yet."""
        return invoice.invoice_number or "Draft"

    @admin.display(description="Status", ordering="status")
    def state(self, invoice: Invoice) -> SafeString:
        """Show the status, and that an open invoice is overdue."""
        return make_badge("Overdue" if is_overdue(invoice, real_now=now()) else invoice.status)

    def list_fitting_actions(self, row: Invoice) -> Collection[str]:
        """Offer what the status lets be done."""
        return ACTIONS_BY_STATUS.get(row.status, ())

    def make_tables(self, request: HttpRequest, row: Invoice) -> Sequence[Table]:
        """Show the lines, what they come to, the payments and the history."""
        return [
            make_line_table(row),
            make_tax_table(row),
            make_payment_table(row),
            make_history(row, currency=row.currency),
        ]

    def has_bill_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may tax invoices, make them final and call them off."""
        return request.user.has_perm("invoicing.change_invoice")

    def has_collect_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may record payments."""
        return request.user.has_perm("invoicing.add_payment")

    @dialog_action(
        title="Calculate tax",
        explanation="The tax is calculated for the lines as they are now, in place of what was there.",
        permission="bill",
    )
    def calculate_tax(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Have the tax of this Draft calculated."""
        return run_for_one(request, object_id, _calculate_tax, done="The tax was calculated.")

    @dialog_action(
        title="Finalise",
        explanation="The invoice gets its number and asks for money. From then on nothing on it can change.",
        permission="bill",
    )
    def finalize(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Make this Draft final."""
        return run_for_one(request, object_id, _finalize, done="The invoice is final.")

    @dialog_action(
        title="Record payment",
        explanation="Money that has come in for this invoice, in full or in part.",
        permission="collect",
        form_class=RecordPaymentForm,
    )
    def record_payment(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Record money that has come in."""
        values = form.cleaned_data

        def run(row_id: UUID, *, at: datetime, actor: Actor) -> None:
            record_payment(
                invoice_id=row_id,
                amount_nanos=values["amount"],
                reference=values["reference"],
                received_at=values["received_at"],
                at=_read_time(row_id, at=at),
                actor=actor,
            )

        return run_for_one(request, object_id, run, done="The payment was recorded.")

    @dialog_action(
        title="Void",
        explanation="The invoice keeps its number, and nothing is due on it any more. This cannot be undone.",
        permission="bill",
        form_class=VoidForm,
    )
    def void(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Call this invoice off."""
        reason, then = form.cleaned_data["reason"], form.cleaned_data.get("then")

        def run(row_id: UUID, *, at: datetime, actor: Actor) -> None:
            void(
                invoice_id=row_id,
                reason=reason,
                then=VoidOutcome(then) if then else None,
                at=_read_time(row_id, at=at),
                actor=actor,
            )

        return run_for_one(request, object_id, run, done="The invoice is void.", reason=reason)


def _calculate_tax(row_id: UUID, *, at: datetime, actor: Actor) -> None:
    """Have the tax of a Draft calculated; an engine that does not answer is an error to whoever asked."""
    outcome = assess_tax(invoice_id=row_id, at=_read_time(row_id, at=at), actor=actor)
    if outcome.is_pending:
        raise TaxNotAssessed(f"The tax is pending: {outcome.invoice.tax_problem}")


def _finalize(row_id: UUID, *, at: datetime, actor: Actor) -> None:
    """Make a Draft final, in its two parts."""
    at = _read_time(row_id, at=at)
    prepare_finalization(invoice_id=row_id, at=at, actor=actor)
    finalize(invoice_id=row_id, at=at, actor=actor)


def _read_time(invoice_id: UUID, *, at: datetime) -> datetime:
    """Read what time it is for the customer of an invoice."""
    return now_for(customer_id=get_invoice(invoice_id).customer_id, real_now=at)
