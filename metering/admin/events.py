"""Usage events, of one customer at a time: the table is too large, and partitioned, to be read otherwise."""

from typing import Any
from uuid import UUID

import msgspec
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from billing_project.core.admin.bases import BigTableMixin
from billing_project.core.admin.columns import make_badge
from billing_project.core.admin.details import make_link
from customers.admin.search import find_customer_ids
from metering.admin.corrections import CorrectableEventAdmin, annotate_void
from metering.models import UsageEvent

_NONE = "No customer is called that."
_NOT_ONE = "Several customers are called that: choose one on the page of customers."
_encoder = msgspec.json.Encoder(decimal_format="number")


@admin.register(UsageEvent)
class UsageEventAdmin(BigTableMixin, CorrectableEventAdmin):
    """The events of a customer, the latest received first. They have no pages of their own."""

    list_display = (
        "event_id",
        "event_type",
        "timestamp",
        "state",
        "shown_properties",
        "shown_subscription",
        "billed_at",
        "received_at",
    )
    list_display_links = None
    search_fields = ("event_id__exact",)
    search_help_text = "Customer, then an event id"
    list_before_template = "admin/choose_customer.html"
    ordering = ("-uid",)
    sortable_by = ()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the events of a customer; as long as none is chosen, a search chooses one."""
        text = request.GET.get("q", "").strip()
        if text and "customer_id" not in request.GET:
            customer_ids = [UUID(text)] if _is_id(text) else find_customer_ids(text)
            if len(customer_ids) == 1:
                return HttpResponseRedirect(
                    f"{request.path}?{urlencode({'customer_id': str(customer_ids[0])})}"
                )
            messages.warning(request, _NOT_ONE if customer_ids else _NONE)
        return super().changelist_view(request, extra_context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageEvent]:
        """Select nothing until a customer is chosen."""
        events = annotate_void(super().get_queryset(request))
        return events if _is_id(request.GET.get("customer_id", "")) else events.none()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> None:
        """Find none: without its customer, an event cannot be looked up."""

    @admin.display(description="State")
    def state(self, event: UsageEvent) -> SafeString:
        """Show whether it counts for a subscription, and whether it missed its period."""
        if event.is_void:  # type: ignore[attr-defined] # Annotated above.
            return make_badge("Void")
        if not event.is_matched:
            return make_badge("Unmatched")
        return make_badge("Late" if event.is_late else "Matched")

    @admin.display(description="Properties")
    def shown_properties(self, event: UsageEvent) -> SafeString:
        """Show the properties as they came, with every digit."""
        text = _encoder.encode(event.properties).decode()
        return format_html('<code class="billing-json">{}</code>', text)

    @admin.display(description="Subscription")
    def shown_subscription(self, event: UsageEvent) -> SafeString | None:
        """Lead to the subscription."""
        if event.subscription_id is None:
            return None
        return make_link("subscriptions_subscription", event.subscription_id, str(event.subscription_id)[:8])


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
