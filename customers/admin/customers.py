"""Customers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import BigTableMixin, OperationAdmin, OperationForm
from billing_project.core.admin.columns import badge
from billing_project.core.admin.details import DetailsAdmin, RelatedList
from billing_project.core.currencies import list_currencies
from billing_project.core.periods import is_timezone
from customers.models import AccountType, Consolidation, Customer
from customers.models.customers import MAX_PAYMENT_TERMS_DAYS
from customers.operations import CustomerChanges, CustomerProfile, create_customer, update_customer
from customers.queries import now_for, now_on

ADDRESS_FIELDS = ("line1", "line2", "city", "region", "postal_code", "country")
ADDRESS_PREFIX = "address_"
ADDRESS_ROWS = (
    ("address_line1", "address_line2"),
    ("address_city", "address_region"),
    ("address_postal_code", "address_country"),
)


class CustomerForm(OperationForm[Customer]):
    """What is known about a customer, with a field for each line of the address."""

    currency = forms.ChoiceField(
        choices=[(code, code) for code in list_currencies()], widget=UnfoldAdminSelectWidget
    )
    timezone = forms.ChoiceField(
        choices=[(name, name) for name in sorted(filter(is_timezone, available_timezones()))],
        initial="UTC",
        widget=UnfoldAdminSelectWidget,
    )
    payment_terms_days = forms.IntegerField(
        min_value=0,
        max_value=MAX_PAYMENT_TERMS_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="How many days after an invoice is final it is due.",
    )
    address_line1 = forms.CharField(required=False, label="Line 1", widget=UnfoldAdminTextInputWidget)
    address_line2 = forms.CharField(required=False, label="Line 2", widget=UnfoldAdminTextInputWidget)
    address_city = forms.CharField(required=False, label="City", widget=UnfoldAdminTextInputWidget)
    address_region = forms.CharField(required=False, label="Region", widget=UnfoldAdminTextInputWidget)
    address_postal_code = forms.CharField(
        required=False, label="Postal code", widget=UnfoldAdminTextInputWidget
    )
    address_country = forms.CharField(
        required=False,
        label="Country",
        max_length=2,
        widget=UnfoldAdminTextInputWidget,
        help_text="Two letters, such as DE.",
    )

    class Meta:
        model = Customer
        fields = (
            "display_name",
            "legal_name",
            "email",
            "external_id",
            "account_type",
            "status",
            "currency",
            "timezone",
            "payment_terms_days",
            "tax_id",
            "parent",
            "consolidation",
            "test_clock",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ADDRESS_FIELDS:
            self.initial[ADDRESS_PREFIX + name] = self.instance.billing_address.get(name, "")
        if self.instance._state.adding and "payment_terms_days" in self.fields:
            self.initial["payment_terms_days"] = None
            self.fields["payment_terms_days"].required = False
            self.fields["payment_terms_days"].help_text = "The seller's default if it is left empty."


@admin.register(Customer)
class CustomerAdmin(BigTableMixin, DetailsAdmin[Customer], OperationAdmin[Customer]):
    """Who is billed. Invoices that are final keep the names and addresses that they were made with."""

    form = CustomerForm
    list_display = (
        "display_name",
        badge("status", "Status"),
        "email",
        "external_id",
        "account_type",
        "currency",
        "test_clock",
        "created_at",
    )
    list_filter = ("status", "account_type")
    list_select_related = ("test_clock",)
    search_fields = ("display_name", "legal_name", "=email", "external_id__exact")
    search_help_text = "Name, e-mail, external id or id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    autocomplete_fields = ("parent", "test_clock")
    related_lists = (
        RelatedList("Subscriptions", "subscriptions_subscription", "customer__id__exact"),
        RelatedList("Invoices", "invoicing_invoice", "customer__id__exact"),
        RelatedList("Payments", "invoicing_payment", "customer__id__exact"),
        RelatedList("Usage events", "metering_usageevent", "customer_id"),
        RelatedList("Audit trail", "core_auditentry", "customer_id"),
        RelatedList("Subsidiaries", "customers_customer", "parent__id__exact"),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Customer | None = None) -> Any:
        """Ask for a clock when the customer is made, and for a status later."""
        later = () if obj is None else ("status",)
        address: tuple[object, ...] = ADDRESS_ROWS
        if obj is not None and not self.has_change_permission(request, obj):
            address = ("shown_address",)
        return (
            (None, {"fields": (("display_name", "legal_name"), ("email", "external_id"), *later)}),
            ("Billing", {"fields": (("currency", "timezone"), ("payment_terms_days", "tax_id"))}),
            ("Address", {"fields": address}),
            ("Group", {"fields": ("account_type", ("parent", "consolidation"))}),
            ("Time", {"fields": ("test_clock",) if obj is None else (("test_clock", "created_at"),)}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Customer | None = None) -> Any:
        """Fix the customer's time once there is a customer."""
        return () if obj is None else ("test_clock", "created_at")

    @admin.display(description="Address")
    def shown_address(self, customer: Customer) -> str:
        """Show the lines of the address to those who only look."""
        lines = (customer.billing_address.get(name, "") for name in ADDRESS_FIELDS)
        return ", ".join(line for line in lines if line)

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> Customer:
        """Add a customer."""
        clock = values["test_clock"]
        test_clock_id = None if clock is None else clock.pk
        profile = CustomerProfile(
            display_name=values["display_name"],
            legal_name=values["legal_name"],
            email=values["email"],
            external_id=values["external_id"] or None,
            currency=values["currency"],
            timezone=values["timezone"],
            payment_terms_days=values["payment_terms_days"],
            tax_id=values["tax_id"],
            billing_address=_read_address(values),
            account_type=AccountType(values["account_type"]),
            parent_id=None if values["parent"] is None else values["parent"].pk,
            consolidation=Consolidation(values["consolidation"]),
        )
        at = now_on(test_clock_id=test_clock_id, real_now=at)
        return create_customer(profile=profile, test_clock_id=test_clock_id, at=at, actor=actor)

    def update_row(self, *, row: Customer, values: Mapping[str, Any], at: datetime, actor: Actor) -> Customer:
        """Change a customer."""
        changes = {name: value for name, value in values.items() if not name.startswith(ADDRESS_PREFIX)}
        if len(changes) < len(values):
            before = {ADDRESS_PREFIX + name: text for name, text in row.billing_address.items()}
            changes["billing_address"] = _read_address({**before, **values})
        if "external_id" in changes:
            changes["external_id"] = changes["external_id"] or None
        if "parent" in changes:
            parent = changes.pop("parent")
            changes["parent_id"] = None if parent is None else parent.pk
        return update_customer(
            customer_id=row.pk,
            changes=cast("CustomerChanges", changes),
            at=now_for(customer_id=row.pk, real_now=at),
            actor=actor,
        )


def _read_address(values: Mapping[str, Any]) -> dict[str, str]:
    """Read the lines of an address that say something."""
    lines = {name: values.get(ADDRESS_PREFIX + name, "") for name in ADDRESS_FIELDS}
    return {name: text for name, text in lines.items() if text}
