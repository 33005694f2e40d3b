"""Subscriptions, their items and what is planned for them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from billing_project.core.actors import Actor
from billing_project.core.admin.actions import dialog_action, run_for_one
from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge, pretty, quantity, write_quantity
from billing_project.core.admin.details import DetailsAdmin, RelatedList, Table, make_history, make_link
from customers.admin.search import CustomerSearchAdmin
from subscriptions.admin.moves import EndForm, MoveForm, TermsForm, ask_for_move, page_action, read_time
from subscriptions.admin.periods import make_period_table
from subscriptions.models import (
    PlannedChange,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from subscriptions.operations import (
    cancel_subscription,
    change_subscription,
    pause_subscription,
    resume_subscription,
    uncancel_subscription,
    withdraw_change,
)
from subscriptions.queries import list_items, list_pending_changes

PERIODS_SHOWN = 12
STATUS = badge("status", "Status")
QUANTITY = quantity("quantity", "Quantity")
CHANGED_QUANTITIES = pretty("quantities", "Quantities, by item")
OVERRIDES = pretty("overrides", "Prices of its own, by item")


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
    actions_detail: tuple[str, ...] = ("change_terms", "pause", "resume", "cancel", "uncancel")
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
        """Offer what can be done: to end what runs, or to take the end back, to pause or to resume."""
        if row.status == SubscriptionStatus.CANCELLED:
            return ()
        pausing = "resume" if row.status == SubscriptionStatus.PAUSED else "pause"
        ending = ("uncancel", "cancel") if row.is_ending else ("cancel",)
        return ("change_terms", pausing, *ending)

    def make_tables(self, request: HttpRequest, row: Subscription) -> Sequence[Table]:
        """Show what is in it, its periods and its history."""
        periods = row.periods.order_by("-number")[:PERIODS_SHOWN]
        return [
            make_item_table(list_items(row.pk)),
            make_change_table(list_pending_changes(row.pk)),
            make_period_table(list(periods), limit=PERIODS_SHOWN),
            make_history(row),
        ]

    @page_action(title="Change", permission="end")
    def change_terms(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Change plan or quantities, after a look at the money."""
        return ask_for_move(
            self,
            request,
            object_id,
            title="Change subscription",
            explanation="Fees are charged and credited by the day, on the invoice of the period's end. "
            "A plan of another cadence ends the period, and begins periods of its own.",
            form_class=TermsForm,
            operation=change_subscription,
        )

    @page_action(title="Pause", permission="end")
    def pause(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Pause this subscription, after a look at the money."""
        return ask_for_move(
            self,
            request,
            object_id,
            title="Pause subscription",
            explanation="No fees are due while it is paused; those billed in advance are credited. Usage is "
            "billed as ever.",
            form_class=MoveForm,
            operation=pause_subscription,
        )

    @page_action(title="Resume", permission="end")
    def resume(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Let this subscription go on, after a look at the money."""
        return ask_for_move(
            self,
            request,
            object_id,
            title="Resume subscription",
            explanation="Fees for the rest of the period are on the invoice of its end.",
            form_class=MoveForm,
            operation=resume_subscription,
        )

    @page_action(title="Cancel subscription", permission="end")
    def cancel(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """End this subscription, after a look at the money."""
        return ask_for_move(
            self,
            request,
            object_id,
            title="Cancel subscription",
            explanation="The subscription ends; its last invoice follows after the grace. Fees that "
            "were billed in advance for the time after the end are credited on it.",
            form_class=EndForm,
            operation=cancel_subscription,
        )

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
class PlannedChangeAdmin(
    BigTableMixin,
    CustomerSearchAdmin[PlannedChange],
    DetailsAdmin[PlannedChange],
    ReadOnlyAdmin[PlannedChange],
):
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
        ("plan_version", "timezone"),
        CHANGED_QUANTITIES,
        OVERRIDES,
    )
    readonly_fields = (CHANGED_QUANTITIES, OVERRIDES)
    actions_detail = ("withdraw",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlannedChange]:
        """Select changes with what names their subscription."""
        names = ("plan_version__plan", "subscription__customer", "subscription__plan_version__plan")
        return super().get_queryset(request).select_related(*names)

    def has_end_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may change subscriptions."""
        return request.user.has_perm("subscriptions.change_subscription")

    def list_fitting_actions(self, row: PlannedChange) -> Collection[str]:
        """Offer to take back what has not come."""
        return ("withdraw",) if row.is_pending else ()

    @dialog_action(
        title="Withdraw",
        explanation="The subscription goes on as if the change had not been planned.",
        permission="end",
    )
    def withdraw(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Take the change back."""
        return run_for_one(request, object_id, _withdraw, done="The change was withdrawn.")


def make_change_table(changes: Sequence[PlannedChange]) -> Table:
    """Make a table of what is planned."""
    return Table(
        title="Planned",
        headers=("What", "When", "Plan version"),
        rows=[
            (
                make_link("subscriptions_plannedchange", change.pk, change.get_kind_display()),
                change.effective_at,
                change.plan_version,
            )
            for change in changes
        ],
        empty="Nothing is planned.",
    )


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


def _uncancel(row_id: UUID, *, at: datetime, actor: Actor) -> None:
    """Take the planned end of a subscription back."""
    uncancel_subscription(subscription_id=row_id, at=read_time(row_id, at=at), actor=actor)


def _withdraw(row_id: UUID, *, at: datetime, actor: Actor) -> None:
    """Take a planned change back."""
    subscription_id = PlannedChange.objects.values_list("subscription_id", flat=True).get(pk=row_id)
    at = read_time(subscription_id, at=at)
    withdraw_change(subscription_id=subscription_id, change_id=row_id, at=at, actor=actor)
