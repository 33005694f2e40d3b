"""Notes on events that were not stored: what an integrator did wrong, or sent twice."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import make_badge
from billing_project.core.admin.details import make_link
from metering.models import IngestNote


@admin.register(IngestNote)
class IngestNoteAdmin(BigTableMixin, ReadOnlyAdmin[IngestNote]):
    """Events that were refused or sent again, the last first. They are kept for some days."""

    list_display = ("noted_at", "outcome", "detail", "event_id", "event_type", "customer", "timestamp")
    list_filter = ("code", "event_type")
    search_fields = ("event_id__exact",)
    search_id_fields = ("id", "customer_id")
    search_help_text = "Id of an event or of a customer"
    ordering = ("-id",)
    sortable_by = ()
    fields = (
        ("noted_at", "outcome"),
        "detail",
        ("event_id", "event_type"),
        ("customer", "timestamp"),
        "sent",
    )
    readonly_fields = ("outcome", "customer", "sent")

    @admin.display(description="Outcome")
    def outcome(self, note: IngestNote) -> SafeString:
        """Show the code in words."""
        return make_badge(note.code.replace("_", " ").capitalize())

    @admin.display(description="Customer")
    def customer(self, note: IngestNote) -> SafeString | None:
        """Lead to the customer."""
        if note.customer_id is None:
            return None
        return make_link("customers_customer", note.customer_id, str(note.customer_id)[:8])

    @admin.display(description="Properties")
    def sent(self, note: IngestNote) -> SafeString:
        """Show the beginning of the properties as they came."""
        return format_html('<code class="billing-json">{}</code>', note.properties)
