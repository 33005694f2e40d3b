"""Changes of a subscription: what is different from an instant on. A row, not a status."""

from typing import TYPE_CHECKING

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field
from catalog.models import PlanVersion
from subscriptions.models.subscriptions import Subscription

if TYPE_CHECKING:
    from uuid import UUID


class ChangeKind(models.TextChoices):
    """What changes."""

    CANCEL = "Cancel", "Cancel"
    CHANGE = "Change", "Change of plan, quantities or prices"
    PAUSE = "Pause", "Pause"
    RESUME = "Resume", "Resume"
    TIMEZONE = "Timezone", "Change of time zone"


class PlannedChange(models.Model):
    """A change that takes effect at `effective_at`, unless it is withdrawn before.

    What it changes is laid into the stored periods when it is planned, and into each that is made later.
    `applied_at` says when the subscription's own columns followed: at once, where a change takes effect at
    once, and else when a bill run came by. Of a Change, `plan_version` is null where the plan stays.
    `quantities` maps the ids of items to licensed quantities; with a plan version it names all that is
    licensed in it, and null there stands for what was licensed before. `overrides` maps the ids of items to
    prices that are this subscription's alone, and null gives the plan's price back.
    """

    id = id_field()
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="planned_changes")
    kind = enum_field(ChangeKind)
    effective_at = models.DateTimeField()
    plan_version = models.ForeignKey(
        PlanVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="planned_changes"
    )
    quantities = models.JSONField(default=dict, blank=True)
    overrides = models.JSONField(default=dict, blank=True)
    timezone = models.CharField(max_length=64, blank=True, default="")
    applied_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        subscription_id: UUID
        plan_version_id: UUID | None

    class Meta:
        constraints = [
            choice_constraint(table="plannedchange", field="kind", choices=ChangeKind),
            models.UniqueConstraint(
                fields=["subscription", "kind"],
                condition=models.Q(
                    kind__in=[ChangeKind.CANCEL, ChangeKind.TIMEZONE],
                    applied_at__isnull=True,
                    withdrawn_at__isnull=True,
                ),
                name="plannedchange_cancel_or_timezone_is_pending_once",
            ),
            models.CheckConstraint(
                condition=models.Q(applied_at__isnull=True) | models.Q(withdrawn_at__isnull=True),
                name="plannedchange_is_not_both_applied_and_withdrawn",
            ),
            models.CheckConstraint(
                condition=models.Q(kind=ChangeKind.CHANGE)
                | models.Q(plan_version__isnull=True, quantities={}, overrides={}),
                name="plannedchange_has_terms_only_if_change",
            ),
            models.CheckConstraint(
                condition=(models.Q(kind=ChangeKind.TIMEZONE) & ~models.Q(timezone=""))
                | (~models.Q(kind=ChangeKind.TIMEZONE) & models.Q(timezone="")),
                name="plannedchange_has_timezone_iff_timezone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subscription_id} at {self.effective_at:%Y-%m-%d %H:%M}"

    @property
    def is_pending(self) -> bool:
        """Whether it has yet to come: neither applied nor withdrawn."""
        return self.applied_at is None and self.withdrawn_at is None
