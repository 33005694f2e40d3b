"""What is remembered of requests: the answers that are kept for repeats, and how many each key has sent."""

from django.contrib import admin

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.models import IdempotencyRecord, RateCounter


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(BigTableMixin, ReadOnlyAdmin[IdempotencyRecord]):
    """Answers of the last day, by their Idempotency-Key."""

    list_display = ("created_at", "key", "method", "path", "status", "caller")
    list_filter = ("method", "created_at")
    search_fields = ("=key",)
    search_help_text = "A whole key, or an id."
    ordering = ("-created_at",)
    fields = (("key", "caller"), ("method", "path", "status"), "created_at", "body")


@admin.register(RateCounter)
class RateCounterAdmin(BigTableMixin, ReadOnlyAdmin[RateCounter]):
    """How many requests each API key has sent in each minute of the last hour, if there is a limit."""

    list_display = ("window_at", "caller", "request_count")
    search_fields = ("=caller",)
    search_id_fields = ("caller",)
    ordering = ("-window_at", "-request_count")
