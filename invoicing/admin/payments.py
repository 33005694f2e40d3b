"""Payments."""

from django.contrib import admin
from django.db.models import Q

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge, money
from customers.admin.search import CustomerSearchAdmin
from invoicing.models import Payment

STATUS = badge("status", "Status")
AMOUNT = money("amount_nanos", "Amount")


@admin.register(Payment)
class PaymentAdmin(BigTableMixin, CustomerSearchAdmin[Payment], ReadOnlyAdmin[Payment]):
    """Money that has come in. A payment is recorded on the page of its invoice, and never changed."""

    list_display = ("received_at", "customer", "invoice", AMOUNT, STATUS, "provider", "reference")
    list_filter = ("status", "provider")
    list_select_related = ("customer", "invoice")
    search_id_fields = ("id", "customer_id", "invoice_id")
    search_help_text = "Invoice number, customer or id"
    date_hierarchy = "received_at"
    ordering = ("-id",)
    fields = (
        ("customer", "invoice"),
        (AMOUNT, STATUS),
        ("received_at", "reference"),
        ("provider", "created_at"),
    )
    readonly_fields = (AMOUNT, STATUS)

    def find_also(self, text: str) -> Q:
        """Find the payments of an invoice by its number."""
        return Q(invoice__invoice_number=text)
