"""The table of the plain baseline: events as Django would store them by default."""

from django.db import models


class PlainEvent(models.Model):
    """An event in one table of its own, without partitions, meters or periods."""

    customer_id = models.UUIDField()
    event_id = models.CharField(max_length=255)
    event_type = models.CharField(max_length=200)
    subscription_id = models.UUIDField()
    timestamp = models.DateTimeField()
    properties = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer_id", "event_id"], name="plainevent_once")]

    def __str__(self) -> str:
        return self.event_id
