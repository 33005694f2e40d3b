"""Fills: counting, for a meter, the events that were stored before it began to count."""

from typing import TYPE_CHECKING

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field
from catalog.models import Meter

if TYPE_CHECKING:
    from uuid import UUID


class FillStatus(models.TextChoices):
    """How far a fill is."""

    PENDING = "Pending", "Pending"
    RUNNING = "Running", "Running"
    COMPLETED = "Completed", "Completed"


class MeterFill(models.Model):
    """One pass of a meter over the segments that have events, in the order of their ids.

    `cursor` is the last segment that is wholly done; `segment_id` is one that is done in part, up to
    `reached_at`. What is left follows from these, so any worker can go on at any time, and what was done
    twice is no different. `segment_count` is what was there to do when it began; a segment that had no event
    yet may have joined since.
    """

    id = id_field()
    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="fills")
    status = enum_field(FillStatus, default=FillStatus.PENDING)
    cursor = models.UUIDField(null=True, blank=True)
    segment_id = models.UUIDField(null=True, blank=True)
    reached_at = models.DateTimeField(null=True, blank=True)
    segment_count = models.PositiveIntegerField(default=0)
    done_count = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        meter_id: UUID

    class Meta:
        constraints = [
            choice_constraint(table="meterfill", field="status", choices=FillStatus),
            models.CheckConstraint(
                condition=models.Q(status=FillStatus.PENDING, started_at__isnull=True)
                | (~models.Q(status=FillStatus.PENDING) & models.Q(started_at__isnull=False)),
                name="meterfill_has_a_start_unless_pending",
            ),
            models.CheckConstraint(
                condition=models.Q(status=FillStatus.COMPLETED, completed_at__isnull=False)
                | (~models.Q(status=FillStatus.COMPLETED) & models.Q(completed_at__isnull=True)),
                name="meterfill_has_an_end_iff_completed",
            ),
            models.CheckConstraint(
                condition=models.Q(segment_id__isnull=True, reached_at__isnull=True)
                | models.Q(segment_id__isnull=False, reached_at__isnull=False),
                name="meterfill_is_somewhere_in_a_segment",
            ),
        ]
        indexes = [
            models.Index(
                fields=["meter"],
                name="meterfill_unfinished",
                condition=~models.Q(status=FillStatus.COMPLETED),
            ),
        ]

    def __str__(self) -> str:
        return f"fill of {self.meter_id}"

    @property
    def percent(self) -> int:
        """How much of the work is done, in whole per cent; all of it only at the end."""
        if self.status == FillStatus.COMPLETED:
            return 100
        return min(100 * self.done_count // max(self.segment_count, 1), 99)
