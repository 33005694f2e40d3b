"""The seller."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import OperationAdmin
from billing_project.core.admin.columns import badge
from billing_project.core.models import Seller
from billing_project.core.seller import update_seller

MODE = badge("mode", "Mode")


@admin.register(Seller)
class SellerAdmin(OperationAdmin[Seller]):
    """Who sends the invoices, and how this install bills. Invoices that are final keep their copies."""

    list_display = ("legal_name", MODE, "currency", "timezone", "tax_engine")
    search_id_fields = ()
    fieldsets = (
        ("On invoices", {"fields": ("legal_name", "address", "tax_id", "email", "invoice_prefix")}),
        ("Defaults", {"fields": ("currency", "timezone", "locale", "default_payment_terms_days")}),
        ("Billing", {"fields": (MODE, "grace_seconds", "skip_zero_invoices")}),
        ("Tax", {"fields": ("tax_engine", "tax_flat_rate_bps")}),
    )
    readonly_fields = (MODE,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the set-up makes the only one."""
        return False

    def update_row(self, *, row: Seller, values: Mapping[str, Any], at: datetime, actor: Actor) -> Seller:
        """Change the seller."""
        return update_seller(values=values, at=at, actor=actor)
