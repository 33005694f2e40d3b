"""Marks for usage that reached a closed period of a subscription that has ended."""

from django.db import models

from billing_project.core.fields import id_field


class LateUsage(models.Model):
    """A closed period, after its subscription's end, that must be billed once more.

    It received events, or some were taken back, in it or in an earlier one. Written by ingest and by
    corrections, taken by a bill run once the grace has passed, so that one bill takes many late events.
    `noted_at` is in the customer's time. No foreign keys, as ingest locks no domain row.
    """

    id = id_field()
    subscription_id = models.UUIDField()
    period_id = models.UUIDField(unique=True)
    noted_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "late usage"

    def __str__(self) -> str:
        return f"late usage in period {self.period_id}"
