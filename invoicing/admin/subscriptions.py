"""The page of a subscription, with its invoices and the action that bills it now."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from billing_project.core.admin.actions import dialog_action, read_actor, show_again
from billing_project.core.admin.bases import as_refusal
from billing_project.core.admin.columns import make_badge, write_money
from billing_project.core.admin.details import RelatedList, Table, make_link
from billing_project.core.clock import now
from billing_project.core.errors import BillingError
from invoicing.models import Invoice
from invoicing.runs.billing import bill_period
from metering.admin.usage import USAGE_LINK, UsageMixin
from subscriptions.admin import SubscriptionAdmin
from subscriptions.admin.moves import read_time
from subscriptions.models import Subscription

INVOICES_SHOWN = 12


@admin.register(Subscription)
class BilledSubscriptionAdmin(UsageMixin, SubscriptionAdmin):
    """Who follows which plan, what they have used, and what was asked for."""

    actions_detail = ("bill_now", *SubscriptionAdmin.actions_detail)
    related_lists = (
        USAGE_LINK,
        RelatedList("Invoices", "invoicing_invoice", "subscription__id__exact"),
        RelatedList("In bill runs", "invoicing_billrunitem", "subscription__id__exact"),
        *SubscriptionAdmin.related_lists,
    )

    def has_bill_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may make and change invoices."""
        return request.user.has_perms(["invoicing.add_invoice", "invoicing.change_invoice"])

    def list_fitting_actions(self, row: Subscription) -> Collection[str]:
        """Offer a bill while there is a period to bill."""
        return ("bill_now", *super().list_fitting_actions(row))

    def make_tables(self, request: HttpRequest, row: Subscription) -> Sequence[Table]:
        """Show the latest invoices after what is in it."""
        items, *rest = super().make_tables(request, row)
        if not request.user.has_perm("invoicing.view_invoice"):
            return [items, *rest]
        invoices = Invoice.objects.filter(subscription=row).order_by("-pk")[:INVOICES_SHOWN]
        return [items, make_invoice_table(invoices), *rest]

    @dialog_action(
        title="Bill now",
        explanation="The Draft of the current period is made, or refreshed, from what was used so far.",
        permission="bill",
    )
    def bill_now(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Make or refresh the Draft of the current period, and show it."""
        try:
            invoice, is_new = bill_period(
                subscription_id=object_id,
                period_id=None,
                at=read_time(object_id, at=now()),
                actor=read_actor(request),
            )
        except (BillingError, DatabaseError) as error:
            messages.error(request, as_refusal(error).detail)
            return show_again(request)
        messages.success(request, "The Draft was made." if is_new else "The Draft was refreshed.")
        return show_again(request, reverse("admin:invoicing_invoice_change", args=[invoice.pk]))


def make_invoice_table(invoices: Iterable[Invoice]) -> Table:
    """Make a table of invoices, in the order given."""
    return Table(
        title="Latest invoices",
        headers=("Invoice", "Status", "Why", "From", "To", "Total", "Due"),
        numeric=("Total", "Due"),
        rows=[
            (
                make_link("invoicing_invoice", invoice.pk, invoice.invoice_number or "Draft"),
                make_badge(invoice.status),
                invoice.get_reason_display(),
                invoice.period_start,
                invoice.period_end,
                write_money(invoice.total_nanos, invoice.currency),
                write_money(invoice.amount_due_nanos, invoice.currency),
            )
            for invoice in invoices
        ],
    )
