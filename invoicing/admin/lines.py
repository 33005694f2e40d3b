"""What belongs to invoices: lines, tax rows and the periods that they cover."""

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import money, quantity
from billing_project.core.admin.details import DetailsAdmin, Table
from customers.admin.search import CustomerSearchAdmin
from invoicing.admin.tables import make_step_table
from invoicing.models import InvoiceCoverage, InvoiceLine, InvoiceTax

CURRENCY = "invoice__currency"
QUANTITY = quantity("quantity", "Quantity")
RATED_QUANTITY = quantity("rated_quantity", "Quantity so far")
LATE_QUANTITY = quantity("late_quantity", "Late part")
UNIT_PRICE = money("unit_amount_nanos", "Unit price", currency=CURRENCY, exact=True)
AMOUNT = money("amount_nanos", "Amount", currency=CURRENCY, exact=True)
CHARGE = money("charge_nanos", "As priced", currency=CURRENCY, exact=True)
GROSS = money("gross_nanos", "With tax", currency=CURRENCY, exact=True)
BILLED = money("billed_nanos", "Billed before", currency=CURRENCY, exact=True)
TAX_BASE = money("base_nanos", "On", currency=CURRENCY, exact=True)
TAX_AMOUNT = money("amount_nanos", "Amount", currency=CURRENCY)
TAX_RATE = quantity("rate", "Rate")


@admin.register(InvoiceLine)
class InvoiceLineAdmin(
    BigTableMixin, CustomerSearchAdmin[InvoiceLine], DetailsAdmin[InvoiceLine], ReadOnlyAdmin[InvoiceLine]
):
    """The lines of invoices, each with what explains it."""

    list_display = ("description", "invoice", "kind", QUANTITY, "unit", AMOUNT, "is_billed")
    list_filter = ("kind",)
    search_id_fields = ("id", "invoice_id", "subscription_id", "segment_id")
    customer_path = "invoice__customer_id"
    ordering = ("-id",)
    fields = (
        ("invoice", "kind"),
        ("description", "is_billed"),
        (QUANTITY, "unit"),
        (UNIT_PRICE, AMOUNT),
        (RATED_QUANTITY, LATE_QUANTITY),
        (BILLED, CHARGE),
        (GROSS, "tax_behavior"),
        ("tax_category", "meter"),
        ("sku", "subscription"),
        ("segment", "key"),
        ("period_start", "period_end"),
    )
    readonly_fields = (QUANTITY, UNIT_PRICE, AMOUNT, RATED_QUANTITY, LATE_QUANTITY, BILLED, CHARGE, GROSS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[InvoiceLine]:
        """Select lines with what names them."""
        names = ("invoice", "meter", "sku", "segment", "subscription__customer")
        return super().get_queryset(request).select_related(*names, "subscription__plan_version__plan")

    def make_tables(self, request: HttpRequest, row: InvoiceLine) -> Sequence[Table]:
        """Show how the amount was computed."""
        return [make_step_table(row, currency=row.invoice.currency)]


@admin.register(InvoiceTax)
class InvoiceTaxAdmin(BigTableMixin, CustomerSearchAdmin[InvoiceTax], ReadOnlyAdmin[InvoiceTax]):
    """The tax on invoices, a row for each rate."""

    list_display = ("description", "invoice", "code", "jurisdiction", TAX_RATE, TAX_BASE, TAX_AMOUNT)
    list_select_related = ("invoice",)
    search_id_fields = ("id", "invoice_id")
    customer_path = "invoice__customer_id"
    ordering = ("-id",)
    fields = (
        ("invoice", "description"),
        ("code", "jurisdiction"),
        (TAX_RATE, "tax_behavior"),
        (TAX_BASE, TAX_AMOUNT),
        "legal_text",
    )
    readonly_fields = (TAX_RATE, TAX_BASE, TAX_AMOUNT)


@admin.register(InvoiceCoverage)
class InvoiceCoverageAdmin(
    BigTableMixin, CustomerSearchAdmin[InvoiceCoverage], ReadOnlyAdmin[InvoiceCoverage]
):
    """Which periods invoices cover, and why."""

    list_display = ("invoice", "subscription", "period_number", "reason", "is_draft", "is_void")
    list_filter = ("reason", "invoice_type")
    search_id_fields = ("id", "invoice_id", "subscription_id", "period_id")
    customer_path = "invoice__customer_id"
    ordering = ("-id",)
    fields = (
        ("invoice", "reason", "invoice_type"),
        ("subscription", "period"),
        ("is_draft", "is_void"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[InvoiceCoverage]:
        """Select rows with what names them."""
        names: tuple[str, ...] = ("invoice", "period", "subscription__customer")
        return super().get_queryset(request).select_related(*names, "subscription__plan_version__plan")

    @admin.display(description="Period")
    def period_number(self, coverage: InvoiceCoverage) -> int:
        """Show which period of the subscription it is."""
        return coverage.period.number
