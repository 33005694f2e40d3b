"""The outbox: domain events, written with the change they tell of, and their hand-over to each handler."""

from typing import TYPE_CHECKING, Any

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field
from billing_project.core.ids import make_id
from billing_project.core.protection import append_only

if TYPE_CHECKING:
    from uuid import UUID


class OutboxEvent(models.Model):
    """Something that has happened. Never changed.

    `position` orders the events of one subject: operations that emit for a subject hold its lock, so that a
    later event takes a later position. Across subjects it says nothing.
    """

    position = models.BigAutoField(primary_key=True)
    id: "models.UUIDField[Any, UUID]" = models.UUIDField(unique=True, default=make_id, editable=False)
    name = models.CharField(max_length=64)
    subject_type = models.CharField(max_length=64)
    subject_id = models.UUIDField()
    customer_id = models.UUIDField(null=True, blank=True)
    payload = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index("subject_type", "subject_id", "position", name="outboxevent_by_subject"),
            models.Index(
                "customer_id",
                "position",
                condition=models.Q(customer_id__isnull=False),
                name="outboxevent_by_customer",
            ),
        ]
        triggers = [*append_only()]

    def __str__(self) -> str:
        return f"{self.name} {self.subject_id}"


class DeliveryStatus(models.TextChoices):
    """Where the hand-over of an event to a handler stands."""

    PENDING = "Pending", "Pending"
    DELIVERED = "Delivered", "Delivered"
    PARKED = "Parked", "Parked"
    SKIPPED = "Skipped", "Skipped"


class OutboxDelivery(models.Model):
    """The hand-over of one event to one handler.

    While Pending it is due at `due_at`. Claiming it moves `due_at` past the lease, so that a crash makes it
    due again. The subject is repeated here, since the order is kept for each handler and subject.
    """

    id = models.BigAutoField(primary_key=True)
    event = models.ForeignKey(OutboxEvent, on_delete=models.PROTECT, related_name="deliveries")
    handler = models.CharField(max_length=100)
    subject_type = models.CharField(max_length=64)
    subject_id = models.UUIDField()
    status = enum_field(DeliveryStatus, default=DeliveryStatus.PENDING)
    attempt_count = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField()
    last_error = models.TextField(blank=True, default="")
    delivered_at = models.DateTimeField(null=True, blank=True)

    if TYPE_CHECKING:
        event_id: int

    class Meta:
        verbose_name_plural = "outbox deliveries"
        constraints = [
            models.UniqueConstraint("event", "handler", name="outboxdelivery_once_for_each_handler"),
            choice_constraint(table="outboxdelivery", field="status", choices=DeliveryStatus),
            models.CheckConstraint(
                condition=models.Q(status=DeliveryStatus.DELIVERED, delivered_at__isnull=False)
                | (~models.Q(status=DeliveryStatus.DELIVERED) & models.Q(delivered_at__isnull=True)),
                name="outboxdelivery_has_a_time_iff_delivered",
            ),
        ]
        indexes = [
            models.Index(
                "due_at",
                "id",
                condition=models.Q(status=DeliveryStatus.PENDING),
                name="outboxdelivery_due",
            ),
            models.Index(
                "handler",
                "subject_id",
                "subject_type",
                "id",
                condition=models.Q(status__in=[DeliveryStatus.PENDING, DeliveryStatus.PARKED]),
                name="outboxdelivery_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.handler} {self.status}"
