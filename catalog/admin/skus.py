"""SKUs and their prices."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.decorators import action

from billing_project.core.actors import Actor
from billing_project.core.admin.actions import read_actor
from billing_project.core.admin.bases import OperationAdmin, ReadOnlyAdmin, as_refusal
from billing_project.core.admin.columns import badge
from billing_project.core.admin.details import DetailsAdmin, Table
from billing_project.core.clock import now
from billing_project.core.errors import BillingError
from catalog.admin.cells import (
    MAX_FIELDS,
    Grid,
    SheetForm,
    lay_out,
    list_unit_choices,
    make_grid_table,
    read_typed,
    read_units,
)
from catalog.admin.price_books import NewPriceBookForm, create_price_book
from catalog.admin.prices import describe_price, link_version, make_price_table
from catalog.models import CatalogStatus, Price, PricingModel, Sku
from catalog.operations import import_cells, update_sku
from catalog.operations.skus import SkuChanges
from catalog.pricing.price_book import AMOUNT
from catalog.queries import NoCells, export_cells, get_matrix_price


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
    autocomplete_fields = ("plan",)
    actions_detail = ("edit_cells",)

    def get_form(
        self,
        request: HttpRequest,
        obj: Sku | None = None,
        change: bool = False,  # noqa: FBT001, FBT002 (Django's own)
        **kwargs: Any,
    ) -> Any:
        """Ask for a new price book: other SKUs are added over the API."""
        if obj is None:
            kwargs["form"] = NewPriceBookForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Sku | None = None) -> Any:
        """Ask for all of a new price book."""
        if obj is not None:
            return ("name", "status", "plan", "created_at")
        return (
            ("plan", "name"),
            ("currency", "default_amount"),
            "meter_code",
            ("meter_event_type", "meter_property"),
            ("first_dimension", "second_dimension"),
            ("first_values", "second_values"),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Sku | None = None) -> Any:
        """Fix the plan."""
        return () if obj is None else ("plan", "created_at")

    def response_add(
        self, request: HttpRequest, obj: Sku, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Lead on to the grid, where the prices are typed in."""
        return HttpResponseRedirect(reverse("admin:catalog_sku_cells", args=[obj.pk]))

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of the cells of a Matrix price."""
        pages = {"cells/": ("cells", self.cells_view), "cells.csv": ("sheet", self.sheet_view)}
        added = [
            path(f"<uuid:sku_id>/{address}", self.admin_site.admin_view(view), name=f"catalog_sku_{name}")
            for address, (name, view) in pages.items()
        ]
        return [*added, *super().get_urls()]

    def list_fitting_actions(self, row: Sku) -> Collection[str]:
        """Offer the grid where there is one."""
        prices = Price.objects.filter(sku=row).order_by("-plan_version__number")
        latest = prices.values_list("pricing_model", flat=True).first()
        is_sold = row.status == CatalogStatus.ACTIVE
        return ("edit_cells",) if is_sold and latest == PricingModel.MATRIX else ()

    @action(description="Edit prices", permissions=["change"])  # type: ignore[untyped-decorator] # Ships no types.
    def edit_cells(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lead to the grid."""
        return HttpResponseRedirect(reverse("admin:catalog_sku_cells", args=[object_id]))

    def cells_view(self, request: HttpRequest, sku_id: UUID) -> HttpResponse:
        """Show the cells in a grid, and save them: as they were typed in, or from a sheet."""
        price = self._find_price(request, sku_id, may=self.has_change_permission(request))
        grid = lay_out(price.params, units=read_units(request.GET))
        sheet_form = SheetForm()
        is_saved = False
        if "amount" in request.POST:
            typed = read_typed(grid.dimensions, request.POST)
            if typed is None:
                grid.problems.append("Not all of the grid came in. Try again, or use a sheet.")
            else:
                grid = typed
                is_saved = self._take_grid(request, sku_id, grid)
        elif request.method == "POST":
            sheet_form = SheetForm(request.POST, request.FILES)
            is_saved = self._take_sheet(request, sku_id, sheet_form)
        if is_saved:
            messages.success(request, "The prices were saved.")
            return HttpResponseRedirect(reverse("admin:catalog_sku_change", args=[sku_id]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Prices of {price.sku}",
            "opts": self.opts,
            "original": price.sku,
            "price": price,
            "grid": grid,
            "is_too_large": grid.field_count > MAX_FIELDS,
            "unit_choices": list_unit_choices(),
            "sheet_form": sheet_form,
            "sheet_address": reverse("admin:catalog_sku_sheet", args=[sku_id]),
            "sheet_columns": ",".join([*grid.dimensions, AMOUNT]),
        }
        return TemplateResponse(request, "admin/price_cells.html", context)

    def sheet_view(self, request: HttpRequest, sku_id: UUID) -> HttpResponse:
        """Download the cells as a sheet."""
        self._find_price(request, sku_id, may=self.has_view_permission(request))
        headers = {"Content-Disposition": f'attachment; filename="{sku_id}.csv"'}
        return HttpResponse(export_cells(sku_id), content_type="text/csv; charset=utf-8", headers=headers)

    def make_tables(self, request: HttpRequest, row: Sku) -> Sequence[Table]:
        """Show what it costs in each version of its plan."""
        prices = row.prices.select_related("plan_version__plan", "meter").order_by("-plan_version__number")
        table = make_price_table(prices, title="Prices", of="Version", name=link_version)
        grids = [make_grid_table(price) for price in prices[:1] if price.pricing_model == PricingModel.MATRIX]
        return [table, *grids]

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> Sku:
        """Add a price book."""
        return create_price_book(values=values, at=at, actor=actor)

    def update_row(self, *, row: Sku, values: Mapping[str, Any], at: datetime, actor: Actor) -> Sku:
        """Change a SKU."""
        return update_sku(sku_id=row.pk, changes=cast("SkuChanges", values), at=at, actor=actor)

    def _find_price(self, request: HttpRequest, sku_id: UUID, *, may: bool) -> Price:
        """Find the price whose cells are asked for.

        Raises: PermissionDenied; Http404.
        """
        if not may:
            raise PermissionDenied
        if not Sku.objects.filter(pk=sku_id).exists():
            raise Http404
        try:
            return get_matrix_price(sku_id)
        except NoCells:
            raise Http404 from None

    def _take_grid(self, request: HttpRequest, sku_id: UUID, grid: Grid) -> bool:
        """Save what was typed in, or note in the grid what is wrong."""
        params = grid.read()
        if grid.problems:
            return False
        try:
            update_sku(sku_id=sku_id, changes={"params": params}, at=now(), actor=read_actor(request))
        except (BillingError, DatabaseError) as error:
            grid.problems.append(as_refusal(error).detail)
        return not grid.problems

    def _take_sheet(self, request: HttpRequest, sku_id: UUID, form: SheetForm) -> bool:
        """Save the cells of a sheet, or note in the form what is wrong."""
        if not form.is_valid():
            return False
        text = form.cleaned_data["sheet"]
        try:
            import_cells(sku_id=sku_id, text=text, at=now(), actor=read_actor(request))
        except (BillingError, DatabaseError) as error:
            form.add_error("sheet", as_refusal(error).detail)
        return form.is_valid()


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
