"""Billing periods and their segments."""

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import make_badge, pretty
from billing_project.core.admin.details import DetailsAdmin, RelatedList, Table, make_link
from customers.admin.search import CustomerSearchAdmin
from subscriptions.models import Period, Segment

QUANTITIES = pretty("quantities", "Licensed quantities")
OVERRIDES = pretty("overrides", "Prices of its own, by item")


@admin.register(Period)
class PeriodAdmin(BigTableMixin, CustomerSearchAdmin[Period], DetailsAdmin[Period], ReadOnlyAdmin[Period]):
    """Billing periods: made from the schedule, closed once no event can enter them, settled once billed."""

    list_display = ("subscription", "number", "state", "starts_at", "ends_at", "is_trial", "due_at")
    list_filter = (("closed_at", admin.EmptyFieldListFilter), ("settled_at", admin.EmptyFieldListFilter))
    search_id_fields = ("id", "subscription_id")
    customer_path = "subscription__customer_id"
    ordering = ("-id",)
    fields = (
        ("subscription", "number"),
        ("state", "is_trial"),
        ("starts_at", "ends_at"),
        ("nominal_starts_at", "nominal_ends_at"),
        ("closes_at", "closed_at"),
        ("settled_at", "due_at"),
        ("timezone", "created_at"),
    )
    readonly_fields = ("state",)
    related_lists = (RelatedList("Invoices", "invoicing_invoice", "period__id__exact"),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Period]:
        """Select periods with what names their subscription."""
        names = ("subscription__customer", "subscription__plan_version__plan")
        return super().get_queryset(request).select_related(*names)

    @admin.display(description="State")
    def state(self, period: Period) -> SafeString:
        """Show how far it has come."""
        return make_badge(name_state(period))

    def make_tables(self, request: HttpRequest, row: Period) -> Sequence[Table]:
        """Show the segments."""
        return [make_segment_table(row.segments.select_related("plan_version__plan").order_by("position"))]


@admin.register(Segment)
class SegmentAdmin(BigTableMixin, CustomerSearchAdmin[Segment], ReadOnlyAdmin[Segment]):
    """Stretches of periods, each under one plan version and one set of licensed quantities."""

    list_display = ("subscription", "plan_version", "position", "starts_at", "ends_at")
    search_id_fields = ("id", "period_id", "subscription_id")
    customer_path = "subscription__customer_id"
    ordering = ("-id",)
    fields = (
        ("subscription", "period"),
        ("plan_version", "position"),
        ("starts_at", "ends_at"),
        QUANTITIES,
        OVERRIDES,
        ("is_paused", "created_at"),
    )
    readonly_fields = (QUANTITIES, OVERRIDES)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Segment]:
        """Select segments with what names them."""
        names = ("period", "plan_version__plan", "subscription__customer", "subscription__plan_version__plan")
        return super().get_queryset(request).select_related(*names)


def name_state(period: Period) -> str:
    """Say how far a period has come."""
    if period.settled_at is not None:
        return "Settled"
    return "Open" if period.is_open else "Closed"


def make_period_table(periods: Sequence[Period], *, limit: int) -> Table:
    """Make a table of the periods of a subscription."""
    return Table(
        title="Periods",
        headers=("Period", "State", "From", "To", "Closed", "Next billing work"),
        rows=[
            (
                make_link("subscriptions_period", period.pk, _name_period(period)),
                make_badge(name_state(period)),
                period.starts_at,
                period.ends_at,
                period.closed_at,
                period.due_at,
            )
            for period in periods
        ],
        note=f"The last {limit}." if len(periods) == limit else "",
    )


def make_segment_table(segments: QuerySet[Segment]) -> Table:
    """Make a table of the segments of a period."""
    return Table(
        title="Segments",
        headers=("Segment", "Plan version", "From", "To"),
        rows=[
            (
                make_link("subscriptions_segment", segment.pk, f"Segment {segment.position + 1}"),
                make_link("catalog_planversion", segment.plan_version_id, segment.plan_version),
                segment.starts_at,
                segment.ends_at,
            )
            for segment in segments
        ],
    )


def _name_period(period: Period) -> str:
    return f"{period.number} (trial)" if period.is_trial else str(period.number)
