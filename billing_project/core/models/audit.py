"""The audit trail: who changed what, when and why. Rows are only ever added."""

from django.db import models

from billing_project.core.fields import id_field
from billing_project.core.protection import append_only


class AuditEntry(models.Model):
    """One change of one thing. `changes` maps a field to its value before and after.

    `occurred_at` is the time by which the change was made (a customer on a test clock has their own);
    `created_at` is when the entry was written.
    """

    id = id_field()
    action = models.CharField(max_length=64)
    subject_type = models.CharField(max_length=64)
    subject_id = models.CharField(max_length=64)
    customer_id = models.UUIDField(null=True, blank=True)
    changes = models.JSONField(default=dict)
    actor_kind = models.CharField(max_length=32)
    actor_id = models.CharField(max_length=64, blank=True, default="")
    actor_label = models.CharField(max_length=200, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    request_id = models.CharField(max_length=128, blank=True, default="")
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index("subject_type", "subject_id", models.F("id").desc(), name="auditentry_by_subject"),
            models.Index(
                "customer_id",
                models.F("id").desc(),
                condition=models.Q(customer_id__isnull=False),
                name="auditentry_by_customer",
            ),
            models.Index("action", models.F("id").desc(), name="auditentry_by_action"),
            models.Index("actor_id", models.F("id").desc(), name="auditentry_by_actor"),
            models.Index("created_at", name="auditentry_by_created_at"),
        ]
        triggers = [*append_only()]

    def __str__(self) -> str:
        return f"{self.action} {self.subject_type} {self.subject_id}"
