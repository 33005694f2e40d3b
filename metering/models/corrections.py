"""Corrections of usage: which events were taken back, by whom and why. Events themselves are never edited."""

from typing import TYPE_CHECKING

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field
from billing_project.core.protection import append_only
from customers.models import Customer
from metering.models.events import UsageEvent
from subscriptions.models import Subscription

if TYPE_CHECKING:
    from uuid import UUID


class CorrectionKind(models.TextChoices):
    """What was done to the events: taken back, or replaced by another."""

    VOID = "Void", "Void"
    AMEND = "Amend", "Amend"


class UsageCorrection(models.Model):
    """One decision of staff about events of a customer. Never changed, and never taken back itself.

    `subscription` is the one that all of the events count for; null where they count for several, or for
    none. `created_at` is in the customer's time.
    """

    id = id_field()
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="usage_corrections")
    subscription = models.ForeignKey(
        Subscription, null=True, blank=True, on_delete=models.PROTECT, related_name="usage_corrections"
    )
    kind = enum_field(CorrectionKind)
    reason = models.TextField()
    event_count = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    if TYPE_CHECKING:
        customer_id: UUID
        subscription_id: UUID | None

    class Meta:
        constraints = [
            choice_constraint(table="usagecorrection", field="kind", choices=CorrectionKind),
            models.CheckConstraint(condition=~models.Q(reason=""), name="usagecorrection_has_a_reason"),
            models.CheckConstraint(
                condition=models.Q(event_count__gt=0), name="usagecorrection_is_about_something"
            ),
        ]
        triggers = [*append_only()]

    def __str__(self) -> str:
        return f"{self.kind} of {self.event_count} events"


class EventVoid(models.Model):
    """That an event does not count any more. It stays stored, and so its id: sent again, it is a duplicate.

    `segment_id` is the event's; an unmatched event has none, and is not matched any more. No foreign keys to
    events, which are partitioned; the index of the constraint is what counting leaves voided events out by.
    """

    id = id_field()
    correction = models.ForeignKey(UsageCorrection, on_delete=models.PROTECT, related_name="voids")
    customer_id = models.UUIDField()
    event_id = models.CharField(max_length=255, db_collation="C")
    event_uid = models.UUIDField()
    segment_id = models.UUIDField(null=True)
    replacement_event_id = models.CharField(  # noqa: DJ001 (null: none; an id is never empty)
        max_length=255, db_collation="C", null=True
    )

    if TYPE_CHECKING:
        correction_id: UUID

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["customer_id", "event_id"], name="eventvoid_is_once_per_event"),
        ]
        indexes = [
            models.Index(
                fields=["segment_id"],
                name="eventvoid_of_segment",
                condition=models.Q(segment_id__isnull=False),
            ),
            models.Index(
                fields=["customer_id", "replacement_event_id"],
                name="eventvoid_by_replacement",
                condition=models.Q(replacement_event_id__isnull=False),
            ),
        ]
        triggers = [*append_only()]

    def __str__(self) -> str:
        return f"void of {self.event_id}"


def leave_out_voided(events: models.QuerySet[UsageEvent]) -> models.QuerySet[UsageEvent]:
    """Leave out the events that have been taken back; each is looked up by its key."""
    voids = EventVoid.objects.filter(
        customer_id=models.OuterRef("customer_id"), event_id=models.OuterRef("event_id")
    )
    return events.filter(~models.Exists(voids))
