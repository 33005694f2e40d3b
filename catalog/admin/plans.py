"""Plans and their versions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import Max, QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import OperationAdmin, OperationForm, ReadOnlyAdmin
from billing_project.core.admin.columns import badge
from billing_project.core.admin.details import DetailsAdmin, RelatedList, Table, make_link
from catalog.admin.comparisons import make_comparison_table
from catalog.admin.prices import link_sku, make_price_table
from catalog.models import Anchor, BillingCadence, Plan, PlanVersion, TrialUsage
from catalog.models.plans import MAX_TRIAL_DAYS
from catalog.operations import PlanTerms, create_plan, update_plan
from catalog.operations.plans import PlanChanges
from catalog.queries import compare_versions, read_plan_details, read_prices


class NewPlanForm(OperationForm[Plan]):
    """A new plan, with the terms of its first version."""

    billing_cadence = forms.ChoiceField(
        choices=BillingCadence.choices, initial=BillingCadence.MONTHLY, widget=UnfoldAdminSelectWidget
    )
    anchor = forms.ChoiceField(
        choices=Anchor.choices,
        initial=Anchor.ANNIVERSARY,
        widget=UnfoldAdminSelectWidget,
        help_text="What the periods follow: the subscription's own date, or the calendar.",
    )
    trial_days = forms.IntegerField(
        min_value=0, max_value=MAX_TRIAL_DAYS, initial=0, widget=UnfoldAdminIntegerFieldWidget
    )
    trial_usage = forms.ChoiceField(
        choices=TrialUsage.choices,
        initial=TrialUsage.BILLED,
        widget=UnfoldAdminSelectWidget,
        help_text="Fixed fees are free during a trial in any case.",
    )

    class Meta:
        model = Plan
        fields = ("name", "description", "product")


@admin.register(Plan)
class PlanAdmin(DetailsAdmin[Plan], OperationAdmin[Plan]):
    """Ways to buy. What is called how is edited here; terms and prices change over the API."""

    list_display = ("name", badge("status", "Status"), "product", "latest_version", "created_at")
    list_filter = ("status",)
    list_select_related = ("product",)
    search_fields = ("name",)
    search_help_text = "Name or id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    autocomplete_fields = ("product",)
    related_lists = (
        RelatedList("SKUs", "catalog_sku", "plan__id__exact"),
        RelatedList("Subscriptions", "subscriptions_subscription", "plan_version__plan__id__exact"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        """Select plans with the number of their latest version."""
        return super().get_queryset(request).annotate(version_number=Max("versions__number"))

    def get_form(
        self,
        request: HttpRequest,
        obj: Plan | None = None,
        change: bool = False,  # noqa: FBT001, FBT002 (Django's own)
        **kwargs: Any,
    ) -> Any:
        """Ask for the terms of a new plan only."""
        if obj is None:
            kwargs["form"] = NewPlanForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Plan | None = None) -> Any:
        """Ask for the terms of a new plan only."""
        fields = ("name", "description", "product")
        if obj is None:
            return (*fields, ("billing_cadence", "anchor"), ("trial_days", "trial_usage"))
        return (*fields, "status", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> Any:
        """Show when it was made."""
        return () if obj is None else ("created_at",)

    @admin.display(description="Version", ordering="version_number")
    def latest_version(self, plan: Plan) -> int:
        """Show the number of the latest version."""
        return int(plan.version_number)  # type: ignore[attr-defined]

    def make_tables(self, request: HttpRequest, row: Plan) -> Sequence[Table]:
        """Show the latest prices, and all versions."""
        (details,) = read_plan_details([row])
        prices = [sku.price for sku in details.skus if sku.price is not None]
        return [
            make_price_table(
                prices, title=f"Prices of version {details.version.number}", of="SKU", name=link_sku
            ),
            make_version_table(row.versions.order_by("-number")),
        ]

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> Plan:
        """Add a plan."""
        return create_plan(
            name=values["name"],
            description=values["description"],
            product_id=None if values["product"] is None else values["product"].pk,
            terms=PlanTerms(
                billing_cadence=BillingCadence(values["billing_cadence"]),
                anchor=Anchor(values["anchor"]),
                trial_days=values["trial_days"],
                trial_usage=TrialUsage(values["trial_usage"]),
            ),
            at=at,
            actor=actor,
        )

    def update_row(self, *, row: Plan, values: Mapping[str, Any], at: datetime, actor: Actor) -> Plan:
        """Change a plan."""
        changes = dict(values)
        if "product" in changes:
            product = changes.pop("product")
            changes["product_id"] = None if product is None else product.pk
        return update_plan(plan_id=row.pk, changes=cast("PlanChanges", changes), at=at, actor=actor)


@admin.register(PlanVersion)
class PlanVersionAdmin(DetailsAdmin[PlanVersion], ReadOnlyAdmin[PlanVersion]):
    """The terms of plans. A published version never changes."""

    list_display = ("plan", "number", "billing_cadence", "anchor", "trial_days", "published_at", "created_at")
    list_filter = ("billing_cadence", "anchor")
    list_select_related = ("plan",)
    search_fields = ("plan__name",)
    search_id_fields = ("id", "plan_id")
    search_help_text = "Plan or id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = (
        ("plan", "number"),
        ("billing_cadence", "anchor"),
        ("trial_days", "trial_usage"),
        ("published_at", "created_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        """Select versions with their plan, which names them."""
        return super().get_queryset(request).select_related("plan")

    def make_tables(self, request: HttpRequest, row: PlanVersion) -> Sequence[Table]:
        """Show the prices, and in what they and the terms differ from those of the version before."""
        prices = make_price_table(read_prices([row.pk])[row.pk], title="Prices", of="SKU", name=link_sku)
        if row.number == 1:
            return [prices]
        comparison = compare_versions(plan_id=row.plan_id, from_number=row.number - 1, to_number=row.number)
        return [prices, make_comparison_table(comparison)]


def make_version_table(versions: QuerySet[PlanVersion]) -> Table:
    """Make a table of the versions of a plan."""
    return Table(
        title="Versions",
        headers=("Version", "Billed", "Periods follow", "Trial", "Published"),
        rows=[
            (
                make_link("catalog_planversion", version.pk, f"Version {version.number}"),
                version.get_billing_cadence_display(),
                version.get_anchor_display(),
                f"{version.trial_days} days, usage {version.trial_usage}" if version.trial_days else "None",
                version.published_at or "Not yet: it can still change",
            )
            for version in versions
        ],
    )
