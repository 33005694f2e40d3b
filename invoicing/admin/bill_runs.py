"""Bill runs, and what became of each subscription in them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from billing_project.core.actors import Actor
from billing_project.core.admin.actions import dialog_action, run_for_each, run_for_one
from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge, make_badge
from billing_project.core.admin.details import DetailsAdmin, RelatedList, Table
from customers.admin.search import CustomerSearchAdmin
from invoicing.models import BillRun, BillRunItem, BillRunItemStatus
from invoicing.runs.bill_runs import release_parked_item

STATUS = badge("status", "Status")


class WaitingFilter(admin.SimpleListFilter):
    """Whether an item is parked and waits for somebody to release it."""

    title = "waiting"
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer those that wait."""
        return [("yes", "Parked, not released")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BillRunItem]) -> QuerySet[BillRunItem]:
        """Select those that wait."""
        if self.value() != "yes":
            return queryset
        return queryset.filter(status=BillRunItemStatus.PARKED, released_at__isnull=True)


@admin.register(BillRun)
class BillRunAdmin(BigTableMixin, DetailsAdmin[BillRun], ReadOnlyAdmin[BillRun]):
    """Passes over the subscriptions that were due."""

    list_display = ("at", STATUS, "trigger", "test_clock", "created_at", "completed_at")
    list_filter = ("status", "trigger")
    list_select_related = ("test_clock",)
    search_fields = ("id",)  # Shows the field to search in; an id is looked up in `search_id_fields`.
    search_id_fields = ("id", "test_clock_id")
    search_help_text = "Id of a run or a test clock"
    date_hierarchy = "at"
    ordering = ("-id",)
    fields = (("at", STATUS), ("trigger", "test_clock"), ("created_at", "completed_at"))
    readonly_fields = (STATUS,)
    related_lists = (RelatedList("All subscriptions in it", "invoicing_billrunitem", "run__id__exact"),)

    def make_tables(self, request: HttpRequest, row: BillRun) -> Sequence[Table]:
        """Show what became of its subscriptions."""
        counts = row.items.values("status").annotate(count=Count("pk"), invoices=Sum("invoice_count"))
        return [
            Table(
                title="Subscriptions",
                headers=("What became of them", "Subscriptions", "Invoices"),
                numeric=("Subscriptions", "Invoices"),
                rows=[
                    (make_badge(count["status"]), count["count"], count["invoices"])
                    for count in counts.order_by("status")
                ],
            )
        ]


@admin.register(BillRunItem)
class BillRunItemAdmin(
    BigTableMixin, CustomerSearchAdmin[BillRunItem], DetailsAdmin[BillRunItem], ReadOnlyAdmin[BillRunItem]
):
    """What became of each subscription in a run. A parked one waits until somebody has looked into it."""

    list_display = (
        "subscription",
        "state",
        "run",
        "invoice_count",
        "attempts",
        "problem",
        "finished_at",
        "released_at",
    )
    list_filter = ("status", WaitingFilter)
    search_id_fields = ("id", "subscription_id", "run_id")
    customer_path = "subscription__customer_id"
    ordering = ("-id",)
    fields = (
        ("subscription", "run"),
        ("state", "problem"),
        ("attempts", "lease_expires_at"),
        ("invoice_count", "finished_at"),
        ("released_at", "created_at"),
    )
    readonly_fields = ("state",)
    actions = ("release",)
    actions_detail = ("release_one",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BillRunItem]:
        """Select items with what names them."""
        names = ("run", "subscription__customer", "subscription__plan_version__plan")
        return super().get_queryset(request).select_related(*names)

    @admin.display(description="Status", ordering="status")
    def state(self, item: BillRunItem) -> SafeString:
        """Show the status, and that a parked item was released."""
        return make_badge("Released" if item.released_at is not None else item.status)

    def list_fitting_actions(self, row: BillRunItem) -> Collection[str]:
        """Offer to release what is parked."""
        is_waiting = row.status == BillRunItemStatus.PARKED and row.released_at is None
        return self.actions_detail if is_waiting else ()

    def has_release_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may let parked subscriptions be billed again."""
        return request.user.has_perm("invoicing.change_billrunitem")

    @admin.action(description="Release", permissions=["release"])
    def release(self, request: HttpRequest, chosen: QuerySet[BillRunItem]) -> None:
        """Let the chosen subscriptions take part in bill runs again."""
        row_ids = list(chosen.values_list("pk", flat=True))
        run_for_each(request, row_ids, _release, done="{} released for the next bill run.".format)

    @dialog_action(
        title="Release",
        explanation="The subscription takes part in bill runs again, from the next one on.",
        permission="release",
    )
    def release_one(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Let this subscription take part in bill runs again."""
        return run_for_one(request, object_id, _release, done="Released for the next bill run.")


def _release(row_id: UUID, *, at: datetime, actor: Actor) -> None:
    """Release a parked subscription."""
    release_parked_item(item_id=row_id, at=at, actor=actor)
