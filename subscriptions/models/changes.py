"""Planned changes: what will happen to a subscription at a later instant. A row, not a status."""

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field
from subscriptions.models.subscriptions import Subscription


class ChangeKind(models.TextChoices):
    """What is planned."""

    CANCEL = "Cancel", "Cancel"


class PlannedChange(models.Model):
    """A change that takes effect at `effective_at`, unless it is withdrawn before."""

    id = id_field()
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="planned_changes")
    kind = enum_field(ChangeKind)
    effective_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            choice_constraint(table="plannedchange", field="kind", choices=ChangeKind),
            models.UniqueConstraint(
                fields=["subscription", "kind"],
                condition=models.Q(applied_at__isnull=True, withdrawn_at__isnull=True),
                name="plannedchange_of_a_kind_is_pending_once",
            ),
            models.CheckConstraint(
                condition=models.Q(applied_at__isnull=True) | models.Q(withdrawn_at__isnull=True),
                name="plannedchange_is_not_both_applied_and_withdrawn",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subscription_id} at {self.effective_at:%Y-%m-%d %H:%M}"
