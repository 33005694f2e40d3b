"""SKUs and their prices."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import OperationAdmin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge
from billing_project.core.admin.details import DetailsAdmin, Table
from catalog.admin.prices import describe_price, link_version, make_price_table
from catalog.models import Price, Sku
from catalog.operations import update_sku
from catalog.operations.skus import SkuChanges


@admin.register(Sku)
class SkuAdmin(DetailsAdmin[Sku], OperationAdmin[Sku]):
    """What plans charge for. Archiving one ends it for new subscriptions, and cannot be undone."""

    list_display = ("name", badge("status", "Status"), "plan", "created_at")
    list_filter = ("status",)
    list_select_related = ("plan",)
    search_fields = ("name", "plan__name")
    search_id_fields = ("id", "plan_id")
    search_help_text = "SKU, plan or id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = ("name", "status", "plan", "created_at")
    readonly_fields = ("plan", "created_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a SKU is added to a plan with its price, over the API."""
        return False

    def make_tables(self, request: HttpRequest, row: Sku) -> Sequence[Table]:
        """Show what it costs in each version of its plan."""
        prices = row.prices.select_related("plan_version__plan", "meter").order_by("-plan_version__number")
        return [make_price_table(prices, title="Prices", of="Version", name=link_version)]

    def update_row(self, *, row: Sku, values: Mapping[str, Any], at: datetime, actor: Actor) -> Sku:
        """Change a SKU."""
        return update_sku(sku_id=row.pk, changes=cast("SkuChanges", values), at=at, actor=actor)


@admin.register(Price)
class PriceAdmin(ReadOnlyAdmin[Price]):
    """What SKUs cost in the versions of plans."""

    list_display = ("sku", "plan_version", "pricing_model", "shown_price", "currency", "billing_timing")
    list_filter = ("pricing_model", "billing_timing", "tax_behavior")
    search_fields = ("sku__name", "plan_version__plan__name")
    search_id_fields = ("id", "sku_id", "plan_version_id", "meter_id")
    search_help_text = "SKU, plan or id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = (
        ("sku", "plan_version"),
        ("pricing_model", "currency"),
        "shown_price",
        ("meter", "billing_timing"),
        ("tax_behavior", "tax_category"),
        ("starts_at", "created_at"),
    )
    readonly_fields = ("shown_price",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        """Select prices with what names them."""
        return super().get_queryset(request).select_related("sku", "plan_version__plan", "meter")

    @admin.display(description="Price")
    def shown_price(self, price: Price) -> SafeString:
        """Show the price in words."""
        return describe_price(price)
