"""Imports of files of events, and how far each has come."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from metering.models import EventImport


@admin.register(EventImport)
class EventImportAdmin(BigTableMixin, ReadOnlyAdmin[EventImport]):
    """What `import_events` has been given. One that is not finished has stopped, or is at it."""

    list_display = (
        *("name", "format", "accepted_count", "duplicate_count", "rejected_count"),
        *("started_at", "finished_at"),
    )
    list_filter = ("format",)
    search_fields = ("name",)
    search_id_fields = ("id",)
    search_help_text = "Name of a file, or id of an import"
    ordering = ("-id",)
    fields = (
        ("name", "format", "size_bytes"),
        ("accepted_count", "duplicate_count", "rejected_count"),
        ("started_at", "finished_at", "next_line"),
    )
    readonly_fields = ("next_line",)

    @admin.display(description="Next line")
    def next_line(self, row: EventImport) -> SafeString:
        """Show which line the import goes on with."""
        return format_html("{}", "none" if row.is_finished else f"{row.line:,}")
