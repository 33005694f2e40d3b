"""Billing periods and their segments, stored so that nothing has to be recomputed to know what was billed."""

from typing import TYPE_CHECKING

from django.db import models

from billing_project.core.fields import id_field
from billing_project.core.protection import frozen_when, frozen_with_parent
from catalog.models import PlanVersion
from subscriptions.models.subscriptions import Subscription

if TYPE_CHECKING:
    from uuid import UUID


class Period(models.Model):
    """One billing period of a subscription: half-open, made from the subscription's schedule by its number.

    The nominal bounds are those of the full period that a stub is part of: the denominator of proration.
    `closes_at` is the end plus grace. `closed_at` is set once, when no further event can enter it;
    `settled_at` once its period-end invoice is final, or was rightly skipped. `due_at` is the next instant at
    which a bill run has work on it; null when there is none left. A period that came to nothing, because the
    subscription ended before it began, has no length; what was used in it all the same is billed with it.
    """

    id = id_field()
    # Without an index of its own where a constraint or an index below begins with it; so throughout the app.
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="periods", db_index=False
    )
    number = models.PositiveIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    nominal_starts_at = models.DateTimeField()
    nominal_ends_at = models.DateTimeField()
    is_trial = models.BooleanField(default=False)
    timezone = models.CharField(max_length=64)
    closes_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        subscription_id: UUID

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "number"], name="period_number_is_unique"),
            models.UniqueConstraint(
                fields=["subscription", "starts_at"],
                condition=models.Q(ends_at__gt=models.F("starts_at")),
                name="period_start_is_unique",
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at__gte=models.F("starts_at")), name="period_ends_after_it_starts"
            ),
            models.CheckConstraint(
                condition=models.Q(closes_at__gte=models.F("ends_at")), name="period_closes_after_it_ends"
            ),
            models.CheckConstraint(
                condition=models.Q(settled_at__isnull=True) | models.Q(closed_at__isnull=False),
                name="period_is_settled_only_when_closed",
            ),
            models.CheckConstraint(
                condition=models.Q(settled_at__isnull=True, due_at__isnull=False)
                | models.Q(settled_at__isnull=False, due_at__isnull=True),
                name="period_is_due_until_settled",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="period_due", condition=models.Q(due_at__isnull=False)),
            models.Index(
                fields=["subscription", "number"],
                name="period_open",
                condition=models.Q(closed_at__isnull=True),
            ),
        ]
        triggers = [*frozen_when("OLD.closed_at IS NOT NULL", except_fields=["settled_at", "due_at"])]

    def __str__(self) -> str:
        return f"period {self.number} of {self.subscription_id}"

    @property
    def is_open(self) -> bool:
        """Whether usage events can still enter it."""
        return self.closed_at is None


class Segment(models.Model):
    """A stretch of a period under one plan version and one set of licensed quantities.

    `quantities` maps the id of each licensed item to its quantity, as a string; `overrides` the ids of items
    to prices that are the subscription's alone. While it is paused, no fees are due for it. Events, rollups
    and invoice lines refer to the segment, so its plan version never changes, and what a change takes the
    whole length from stays, without length.
    """

    id = id_field()
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="segments", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="segments")
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="segments")
    position = models.PositiveIntegerField(default=0)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    quantities = models.JSONField(default=dict)
    overrides = models.JSONField(default=dict, blank=True)
    is_paused = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        period_id: UUID
        subscription_id: UUID
        plan_version_id: UUID

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period", "position"], name="segment_position_is_unique"),
            models.CheckConstraint(
                condition=models.Q(ends_at__gte=models.F("starts_at")), name="segment_ends_after_it_starts"
            ),
        ]
        triggers = [
            *frozen_with_parent(
                table="subscriptions_period", link="period_id", condition="parent.closed_at IS NOT NULL"
            )
        ]

    def __str__(self) -> str:
        return f"segment {self.position} of period {self.period_id}"
