"""Archives of events: which files there are, and how far each is."""

from django.contrib import admin

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge
from metering.models import EventArchive

STATUS = badge("status", "Status")


@admin.register(EventArchive)
class EventArchiveAdmin(BigTableMixin, ReadOnlyAdmin[EventArchive]):
    """Files into which `archive_events` has moved the events of settled periods."""

    list_display = ("number", STATUS, "format", "ended_by", "event_count", "removed_count", "file_name")
    list_filter = ("status", "format")
    search_fields = ("file_name",)
    search_id_fields = ("id",)
    search_help_text = "Name of a file, or id of an archive"
    ordering = ("-id",)
    fields = (
        ("number", STATUS, "format"),
        ("ended_by", "event_count", "removed_count"),
        ("file_name", "file_bytes"),
        "file_hash",
        ("manifest_name", "manifest_hash"),
        ("created_at", "verified_at", "removed_at"),
    )
    readonly_fields = (STATUS,)
