"""Subscriptions, their items and what is planned for them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminRadioSelectWidget

from billing_project.core.actors import Actor
from billing_project.core.admin.actions import DialogForm, dialog_action, run_for_one
from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge, quantity, write_quantity
from billing_project.core.admin.details import DetailsAdmin, RelatedList, Table, make_history, make_link
from customers.admin.search import CustomerSearchAdmin
from customers.queries import now_for
from subscriptions.admin.periods import make_period_table
from subscriptions.models import (
    PlannedChange,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from subscriptions.operations import CancelWhen, cancel_subscription, uncancel_subscription
from subscriptions.queries import get_subscription, list_items

PERIODS_SHOWN = 12
STATUS = badge("status", "Status")
QUANTITY = quantity("quantity", "Quantity")


class CancelForm(DialogForm):
    """When a subscription is to end."""

    when = forms.ChoiceField(
        choices=CancelWhen.choices,
        initial=CancelWhen.PERIOD_END,
        widget=UnfoldAdminRadioSelectWidget,
        help_text="Ending now bills what was used so far; fees already paid in advance are not given back.",
    )


class SubscriptionAdmin(
    BigTableMixin, CustomerSearchAdmin[Subscription], DetailsAdmin[Subscription], ReadOnlyAdmin[Subscription]
):
    """Who follows which plan.

    Not registered here: invoicing adds what has to do with bills, and registers it.
    """

    list_display = ("customer", "plan_version", STATUS, "currency", "starts_at", "ends_at", "created_at")
    list_filter = ("status",)
    search_id_fields = ("id", "customer_id", "plan_version_id")
    ordering = ("-id",)
    fields = (
        ("customer", "plan_version"),
        (STATUS, "currency"),
        ("starts_at", "ends_at"),
        ("trial_days", "cancelled_at"),
        ("anchor_date", "timezone"),
        ("id", "created_at"),
    )
    readonly_fields = (STATUS,)
    actions_detail: tuple[str, ...] = ("cancel", "uncancel")
    related_lists: tuple[RelatedList, ...] = (
        RelatedList("Planned changes", "subscriptions_plannedchange", "subscription__id__exact"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        """Select subscriptions with what names them."""
        return super().get_queryset(request).select_related("customer", "plan_version__plan")

    def has_end_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may end subscriptions."""
        return request.user.has_perm("subscriptions.change_subscription")

    def list_fitting_actions(self, row: Subscription) -> Collection[str]:
        """Offer an end to what runs, and to take it back where one is planned."""
        if row.status == SubscriptionStatus.CANCELLED:
            return ()
        return ("uncancel", "cancel") if row.is_ending else ("cancel",)

    def make_tables(self, request: HttpRequest, row: Subscription) -> Sequence[Table]:
        """Show what is in it, its periods and its history."""
        periods = row.periods.order_by("-number")[:PERIODS_SHOWN]
        return [
            make_item_table(list_items(row.pk)),
            make_period_table(list(periods), limit=PERIODS_SHOWN),
            make_history(row),
        ]

    @dialog_action(
        title="Cancel subscription",
        explanation="The subscription ends; its last invoice follows after the grace.",
        permission="end",
        form_class=CancelForm,
    )
    def cancel(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """End this subscription."""
        when = CancelWhen(form.cleaned_data["when"])

        def run(row_id: UUID, *, at: datetime, actor: Actor) -> None:
            cancel_subscription(subscription_id=row_id, when=when, at=read_time(row_id, at=at), actor=actor)

        done = "The subscription has ended." if when is CancelWhen.NOW else "It ends with its period."
        return run_for_one(request, object_id, run, done=done)

    @dialog_action(
        title="Undo cancellation",
        explanation="The subscription runs on as if no end had been planned.",
        permission="end",
    )
    def uncancel(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Take the planned end back."""
        return run_for_one(request, object_id, _uncancel, done="The subscription runs on.")


@admin.register(SubscriptionItem)
class SubscriptionItemAdmin(
    BigTableMixin, CustomerSearchAdmin[SubscriptionItem], ReadOnlyAdmin[SubscriptionItem]
):
    """The SKUs of subscriptions, with the quantities that are licensed."""

    list_display = ("sku", QUANTITY, "subscription", "created_at")
    search_id_fields = ("id", "subscription_id", "sku_id")
    customer_path = "subscription__customer_id"
    ordering = ("-id",)
    fields = (("sku", QUANTITY), ("subscription", "created_at"))
    readonly_fields = (QUANTITY,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SubscriptionItem]:
        """Select items with what names them."""
        names = ("sku", "subscription__customer", "subscription__plan_version__plan")
        return super().get_queryset(request).select_related(*names)


@admin.register(PlannedChange)
class PlannedChangeAdmin(BigTableMixin, CustomerSearchAdmin[PlannedChange], ReadOnlyAdmin[PlannedChange]):
    """What will happen to subscriptions at a later time, and what came of it."""

    list_display = ("kind", "subscription", "effective_at", "applied_at", "withdrawn_at", "created_at")
    list_filter = ("kind",)
    search_id_fields = ("id", "subscription_id")
    customer_path = "subscription__customer_id"
    ordering = ("-id",)
    fields = (
        ("kind", "subscription"),
        ("effective_at", "applied_at"),
        ("withdrawn_at", "created_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlannedChange]:
        """Select changes with what names their subscription."""
        names = ("subscription__customer", "subscription__plan_version__plan")
        return super().get_queryset(request).select_related(*names)


def make_item_table(items: Sequence[SubscriptionItem]) -> Table:
    """Make a table of what is in a subscription."""
    return Table(
        title="Items",
        headers=("SKU", "Quantity"),
        numeric=("Quantity",),
        rows=[
            (
                make_link("catalog_sku", item.sku_id, item.sku),
                "as metered" if item.quantity is None else write_quantity(item.quantity),
            )
            for item in items
        ],
        empty="The plan charges for nothing.",
    )


def read_time(subscription_id: UUID, *, at: datetime) -> datetime:
    """Read what time it is for the customer of a subscription."""
    return now_for(customer_id=get_subscription(subscription_id).customer_id, real_now=at)


def _uncancel(row_id: UUID, *, at: datetime, actor: Actor) -> None:
    """Take the planned end of a subscription back."""
    uncancel_subscription(subscription_id=row_id, at=read_time(row_id, at=at), actor=actor)
