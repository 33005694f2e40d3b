"""The staff pages as a whole: what the navigation shows, in which groups."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

# Group -> its pages: (title, app and model, icon). What is not here is reached from the pages that are.
GROUPS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Billing": (
        ("Invoices", "invoicing.invoice", "receipt_long"),
        ("Payments", "invoicing.payment", "payments"),
        ("Bill runs", "invoicing.billrun", "sync"),
        ("Bill run items", "invoicing.billrunitem", "checklist"),
    ),
    "Customers": (
        ("Customers", "customers.customer", "group"),
        ("Subscriptions", "subscriptions.subscription", "autorenew"),
        ("Periods", "subscriptions.period", "date_range"),
        ("Usage events", "metering.usageevent", "bolt"),
        ("Usage corrections", "metering.usagecorrection", "undo"),
        ("Refused and repeated events", "metering.ingestnote", "report"),
        ("Imports of events", "metering.eventimport", "upload_file"),
        ("Archives of events", "metering.eventarchive", "archive"),
        ("Test clocks", "customers.testclock", "schedule"),
    ),
    "Catalogue": (
        ("Products", "catalog.product", "category"),
        ("Plans", "catalog.plan", "sell"),
        ("SKUs", "catalog.sku", "qr_code"),
        ("Meters", "catalog.meter", "speed"),
        ("Meter fills", "metering.meterfill", "hourglass"),
    ),
    "Settings": (
        ("Seller", "core.seller", "storefront"),
        ("API keys", "core.apikey", "key"),
        ("Staff", "auth.user", "badge"),
        ("Groups", "auth.group", "groups"),
    ),
    "Operations": (
        ("Audit trail", "core.auditentry", "history"),
        ("Events", "core.outboxevent", "outbox"),
        ("Deliveries", "core.outboxdelivery", "forward_to_inbox"),
        ("Schedule", "django_celery_beat.periodictask", "alarm"),
        ("Number sequences", "core.numbersequence", "pin"),
        ("Idempotency records", "core.idempotencyrecord", "repeat"),
    ),
}


def build_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Build the navigation of a member of staff: the pages that they may see."""
    first = {"title": "Overview", "icon": "dashboard", "link": reverse("admin:index")}
    groups = [(title, list(_list_items(request, pages))) for title, pages in GROUPS.items()]
    return [
        {"items": [first]},
        *({"title": title, "separator": True, "items": items} for title, items in groups if items),
    ]


def find_styles(_request: HttpRequest) -> str:
    """Find the style sheet that the platform adds to the admin's own."""
    return static("billing/admin.css")


def _list_items(request: HttpRequest, pages: tuple[tuple[str, str, str], ...]) -> Iterator[dict[str, Any]]:
    for title, page, icon in pages:
        app_label, model_name = page.split(".")
        rights = [f"{app_label}.{right}_{model_name}" for right in ("view", "change")]
        if any(request.user.has_perm(right) for right in rights):
            link = reverse(f"admin:{app_label}_{model_name}_changelist")
            yield {"title": title, "icon": icon, "link": link}
