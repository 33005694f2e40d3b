"""Bill runs: one pass over the subscriptions that were due, with an outcome for each."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from billing_project.core.fields import choice_constraint, enum_field, id_field
from customers.models import TestClock
from subscriptions.models import Subscription

if TYPE_CHECKING:
    from uuid import UUID


class BillRunTrigger(models.TextChoices):
    """Who started it."""

    BEAT = "Beat", "Schedule"
    COMMAND = "Command", "Command"
    CLOCK = "Clock", "Test clock"
    EVENT = "Event", "New subscription"
    STAFF = "Staff", "Staff"


class BillRunStatus(models.TextChoices):
    """Whether it still has items to work on."""

    RUNNING = "Running", "Running"
    COMPLETED = "Completed", "Completed"


class BillRunItemStatus(models.TextChoices):
    """What became of one subscription in a run."""

    PENDING = "Pending", "Pending"
    CLAIMED = "Claimed", "Claimed"
    SUCCEEDED = "Succeeded", "Succeeded"
    PARKED = "Parked", "Parked"


class BillRun(models.Model):
    """One pass. `at` is the time that it bills up to: real time, or the time of a test clock."""

    id = id_field()
    trigger = enum_field(BillRunTrigger)
    status = enum_field(BillRunStatus, default=BillRunStatus.RUNNING)
    at = models.DateTimeField()
    test_clock = models.ForeignKey(
        TestClock, null=True, blank=True, on_delete=models.PROTECT, related_name="bill_runs"
    )
    completed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            choice_constraint(table="billrun", field="trigger", choices=BillRunTrigger),
            choice_constraint(table="billrun", field="status", choices=BillRunStatus),
        ]
        indexes = [
            models.Index(fields=["id"], name="billrun_running", condition=Q(status=BillRunStatus.RUNNING)),
        ]

    def __str__(self) -> str:
        return f"Bill run at {self.at:%Y-%m-%d %H:%M}"


class BillRunItem(models.Model):
    """One subscription in a run.

    A subscription is in at most one unfinished item at a time. A claim holds until `lease_expires_at`; after
    that another worker may take the item. A parked item keeps its subscription out of later runs until it is
    released.
    """

    id = id_field()
    run = models.ForeignKey(BillRun, on_delete=models.CASCADE, related_name="items")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="bill_run_items")
    status = enum_field(BillRunItemStatus, default=BillRunItemStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    invoice_count = models.PositiveIntegerField(default=0)
    problem = models.TextField(blank=True, default="")
    finished_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        run_id: UUID
        subscription_id: UUID

    class Meta:
        constraints = [
            choice_constraint(table="billrunitem", field="status", choices=BillRunItemStatus),
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(status__in=[BillRunItemStatus.PENDING, BillRunItemStatus.CLAIMED])
                | Q(status=BillRunItemStatus.PARKED, released_at__isnull=True),
                name="billrunitem_is_the_only_unfinished_one",
            ),
        ]
        indexes = [models.Index(fields=["run", "status", "id"], name="billrunitem_of_run")]

    def __str__(self) -> str:
        return f"{self.subscription_id} in {self.run_id}"
