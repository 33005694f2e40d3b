"""Usage events, of one customer at a time: the table is too large, and partitioned, to be read otherwise."""

from typing import Any
from uuid import UUID

import msgspec
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from billing_project.core.admin.bases import BigTableMixin
from billing_project.core.admin.columns import make_badge
from billing_project.core.admin.details import make_link
from customers.admin.search import find_customer_ids
from customers.models import Customer
from metering.admin.corrections import RIGHT, CorrectableEventAdmin, annotate_void
from metering.admin.traces import list_facts, make_address, make_meter_table
from metering.models import UsageEvent
from metering.queries import EventTrace, trace_events

_NONE = "No customer is called that."
_NOT_ONE = "Several customers are called that: choose one on the page of customers."
_encoder = msgspec.json.Encoder(decimal_format="number")


@admin.register(UsageEvent)
class UsageEventAdmin(BigTableMixin, CorrectableEventAdmin):
    """The events of a customer, the latest received first. Each has a page, by its customer and its key."""

    list_display = (
        "shown_id",
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

    def get_urls(self) -> list[URLPattern]:
        """Add the page of an event."""
        view = self.admin_site.admin_view(self.trace_view)
        address = path("<uuid:customer_id>/<uuid:uid>/", view, name="metering_usageevent_trace")
        return [address, *super().get_urls()]

    def trace_view(self, request: HttpRequest, customer_id: UUID, uid: UUID) -> HttpResponse:
        """Show what became of an event."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        event = UsageEvent.objects.filter(customer_id=customer_id, uid=uid).first()
        if event is None:
            raise Http404
        (trace,) = trace_events([event])
        context = {
            **self.admin_site.each_context(request),
            "title": f"Event {event.event_id}",
            "opts": self.opts,
            "facts": list_facts(trace, customer=Customer.objects.get(pk=customer_id)),
            "tables": [make_meter_table(trace)],
            "corrections": self._list_corrections(request, trace),
        }
        return TemplateResponse(request, "admin/event.html", context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageEvent]:
        """Select nothing until a customer is chosen."""
        events = annotate_void(super().get_queryset(request))
        return events if _is_id(request.GET.get("customer_id", "")) else events.none()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> None:
        """Find none: without its customer, an event cannot be looked up."""

    @admin.display(description="Event")
    def shown_id(self, event: UsageEvent) -> SafeString:
        """Lead to the page of the event."""
        address = reverse("admin:metering_usageevent_trace", args=[event.customer_id, event.uid])
        return make_address(address, event.event_id)

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

    def _list_corrections(self, request: HttpRequest, trace: EventTrace) -> list[tuple[str, str]]:
        """List what can be done about an event, with the addresses, for those who may."""
        if trace.is_void or not request.user.has_perm(RIGHT):
            return []
        event = trace.event
        pages = {"Void": "void", "Amend": "amend"}
        found = [
            (title, reverse(f"admin:metering_usagecorrection_{name}", args=[event.customer_id, event.uid]))
            for title, name in pages.items()
        ]
        if event.is_matched:
            return found
        match = reverse("admin:metering_usagecorrection_match", args=[event.customer_id])
        return [*found, ("Match to a subscription", match)]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
