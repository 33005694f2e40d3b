"""The audit trail."""

from django.contrib import admin
from django.utils.safestring import SafeString

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import make_changes
from billing_project.core.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(BigTableMixin, ReadOnlyAdmin[AuditEntry]):
    """Who changed what, when and why."""

    list_display = (
        "created_at",
        "action",
        "actor_label",
        "actor_kind",
        "subject_type",
        "subject_id",
        "reason",
    )
    list_filter = ("actor_kind", "created_at")
    search_fields = ("=action", "=actor_id", "=request_id")
    search_id_fields = ("id", "customer_id", "subject_id")
    search_help_text = "An id, or a whole action, actor id or request id."
    ordering = ("-id",)
    fields = (
        ("action", "created_at", "occurred_at"),
        ("subject_type", "subject_id", "customer_id"),
        ("actor_kind", "actor_label", "actor_id"),
        ("request_id", "reason"),
        "shown_changes",
    )
    readonly_fields = ("shown_changes",)

    @admin.display(description="Changes")
    def shown_changes(self, entry: AuditEntry) -> SafeString:
        """Show each field before and after."""
        return make_changes(entry.changes)
