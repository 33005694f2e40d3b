"""Products."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import OperationAdmin
from billing_project.core.admin.columns import badge
from billing_project.core.admin.details import DetailsAdmin, RelatedList
from catalog.models import Product
from catalog.operations import create_product, update_product
from catalog.operations.products import ProductChanges


@admin.register(Product)
class ProductAdmin(DetailsAdmin[Product], OperationAdmin[Product]):
    """What is sold."""

    list_display = ("name", badge("status", "Status"), "tags", "created_at")
    list_filter = ("status",)
    search_fields = ("name",)
    search_help_text = "Name or id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    related_lists = (RelatedList("Plans", "catalog_plan", "product__id__exact"),)

    def get_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        """Ask for a new product's name; a status comes later."""
        fields = ("name", "description", "tags")
        return fields if obj is None else (*fields, "status", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Product | None = None) -> Any:
        """Show when it was made."""
        return () if obj is None else ("created_at",)

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> Product:
        """Add a product."""
        return create_product(
            name=values["name"],
            description=values["description"],
            tags=values["tags"] or [],
            at=at,
            actor=actor,
        )

    def update_row(self, *, row: Product, values: Mapping[str, Any], at: datetime, actor: Actor) -> Product:
        """Change a product."""
        return update_product(product_id=row.pk, changes=cast("ProductChanges", values), at=at, actor=actor)
