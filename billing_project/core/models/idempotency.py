"""Answers that are kept for repeats of the same request."""

from django.db import models

from billing_project.core.fields import id_field


class IdempotencyRecord(models.Model):
    """The 2xx answer to a request with an `Idempotency-Key`, committed together with what it changed."""

    id = id_field()
    caller = models.CharField(max_length=100)
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=500)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.TextField(blank=True, default="")
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint("key", "caller", "method", "path", name="idempotencyrecord_once"),
        ]
        indexes = [models.Index("created_at", name="idempotencyrecord_by_age")]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.key}"
