"""Fills of meters, and how far each is."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge
from billing_project.core.admin.details import make_link
from metering.models import MeterFill

STATUS = badge("status", "Status")


@admin.register(MeterFill)
class MeterFillAdmin(BigTableMixin, ReadOnlyAdmin[MeterFill]):
    """Meters that count the events which came before them. Billing waits for those that are not done."""

    list_display = ("meter", STATUS, "progress", "created_at", "started_at", "completed_at")
    list_filter = ("status",)
    search_fields = ("meter__code",)
    search_id_fields = ("id", "meter_id")
    search_help_text = "Code or id of a meter, or id of a fill"
    ordering = ("-id",)
    fields = (("meter_link", STATUS), "progress", ("created_at", "started_at", "completed_at"))
    readonly_fields = ("meter_link", STATUS, "progress")

    def get_queryset(self, request: HttpRequest) -> QuerySet[MeterFill]:
        """Select fills with their meters."""
        return super().get_queryset(request).select_related("meter")

    @admin.display(description="Progress")
    def progress(self, fill: MeterFill) -> SafeString:
        """Show how much is done."""
        return format_html(
            '<progress max="100" value="{}" aria-label="Progress"></progress> '
            '<span class="whitespace-nowrap">{} %, {} of {} segments</span>',
            fill.percent,
            fill.percent,
            f"{fill.done_count:,}",
            f"{max(fill.segment_count, fill.done_count):,}",
        )

    @admin.display(description="Meter")
    def meter_link(self, fill: MeterFill) -> SafeString:
        """Lead to the meter."""
        return make_link("catalog_meter", fill.meter_id, fill.meter.code)
