"""Which invoices are overdue, by their customers' own time."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest

from billing_project.core.clock import now
from invoicing.models import Invoice, InvoiceStatus


class OverdueFilter(admin.SimpleListFilter):
    """Whether an open invoice should have been paid by now."""

    title = "overdue"
    parameter_name = "overdue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the overdue ones."""
        return [("yes", "Overdue")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Invoice]) -> QuerySet[Invoice]:
        """Select the overdue ones."""
        return queryset.filter(select_overdue(now())) if self.value() == "yes" else queryset


def select_overdue(real_now: datetime) -> Q:
    """Select open invoices whose due time has passed; a customer on a test clock lives by that."""
    by_real_time = Q(customer__test_clock__isnull=True, due_at__lt=real_now)
    by_clock = Q(customer__test_clock__isnull=False, due_at__lt=F("customer__test_clock__now_at"))
    return Q(status=InvoiceStatus.OPEN) & (by_real_time | by_clock)


def is_overdue(invoice: Invoice, *, real_now: datetime) -> bool:
    """Tell whether an invoice should have been paid by now."""
    if invoice.status != InvoiceStatus.OPEN or invoice.due_at is None:
        return False
    clock = invoice.customer.test_clock
    return bool(invoice.due_at < (real_now if clock is None else clock.now_at))
