"""Notes on events that were sent and not stored, so that an integrator can see what went wrong."""

from django.db import models

from billing_project.core.fields import id_field


class IngestNote(models.Model):
    """Why an event of a request was not stored: it was refused, or it was there already.

    `code` is that of the refusal, or `duplicate`. What could not be read has no customer, and perhaps no id.
    Kept for some days, and only so many: see `metering.operations.notes`. No foreign keys, as ingest locks no
    domain row.
    """

    id = id_field()
    noted_at = models.DateTimeField()
    customer_id = models.UUIDField(null=True)
    event_id = models.CharField(max_length=255, blank=True, default="")
    event_type = models.CharField(max_length=200, blank=True, default="")
    timestamp = models.DateTimeField(null=True)
    properties = models.TextField(blank=True, default="")
    code = models.CharField(max_length=40)
    detail = models.TextField(blank=True, default="")

    class Meta:
        verbose_name = "refused or repeated event"
        verbose_name_plural = "refused and repeated events"
        indexes = [models.Index(fields=["customer_id", "id"], name="ingestnote_by_customer")]

    def __str__(self) -> str:
        return f"{self.code}: {self.event_id or 'unreadable'}"
