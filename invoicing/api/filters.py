"""Filters of the lists of invoices, payments and bill runs."""

import django_filters

from billing_project.core.api.filters import InstantFilter, StrictFilterSet
from invoicing.models import (
    BillRunItemStatus,
    BillRunStatus,
    BillRunTrigger,
    InvoiceReason,
    InvoiceStatus,
    InvoiceType,
    PaymentProvider,
    PaymentStatus,
    TaxStatus,
)


class InvoiceFilters(StrictFilterSet):
    """Filters of the list of invoices."""

    customer_id = django_filters.UUIDFilter()
    subscription_id = django_filters.UUIDFilter()
    period_id = django_filters.UUIDFilter()
    status = django_filters.ChoiceFilter(choices=InvoiceStatus.choices)
    invoice_type = django_filters.ChoiceFilter(choices=InvoiceType.choices)
    reason = django_filters.ChoiceFilter(choices=InvoiceReason.choices)
    tax_status = django_filters.ChoiceFilter(choices=TaxStatus.choices)
    currency = django_filters.CharFilter(min_length=3, max_length=3)
    invoice_number = django_filters.CharFilter(max_length=64)
    issued_after = InstantFilter(field_name="finalized_at", lookup_expr="gte")
    issued_before = InstantFilter(field_name="finalized_at", lookup_expr="lt")
    due_after = InstantFilter(field_name="due_at", lookup_expr="gte")
    due_before = InstantFilter(field_name="due_at", lookup_expr="lt")
    created_after = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_before = InstantFilter(field_name="created_at", lookup_expr="lt")


class PaymentFilters(StrictFilterSet):
    """Filters of the list of payments."""

    customer_id = django_filters.UUIDFilter()
    invoice_id = django_filters.UUIDFilter()
    provider = django_filters.ChoiceFilter(choices=PaymentProvider.choices)
    status = django_filters.ChoiceFilter(choices=PaymentStatus.choices)
    received_after = InstantFilter(field_name="received_at", lookup_expr="gte")
    received_before = InstantFilter(field_name="received_at", lookup_expr="lt")


class BillRunFilters(StrictFilterSet):
    """Filters of the list of bill runs."""

    status = django_filters.ChoiceFilter(choices=BillRunStatus.choices)
    trigger = django_filters.ChoiceFilter(choices=BillRunTrigger.choices)
    test_clock_id = django_filters.UUIDFilter()


class BillRunItemFilters(StrictFilterSet):
    """Filters of the list of what became of the subscriptions in a bill run."""

    subscription_id = django_filters.UUIDFilter()
    status = django_filters.ChoiceFilter(choices=BillRunItemStatus.choices)
