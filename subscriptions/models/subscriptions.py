"""Subscriptions and their items."""

from typing import TYPE_CHECKING

from django.db import models

from billing_project.core.fields import (
    QuantityField,
    choice_constraint,
    currency_field,
    enum_field,
    id_field,
)
from catalog.models import PlanVersion, Sku
from customers.models import Customer

if TYPE_CHECKING:
    from uuid import UUID


class SubscriptionStatus(models.TextChoices):
    """Where a subscription stands. The moves between these are in `subscriptions.states`."""

    TRIALING = "Trialing", "Trialing"
    ACTIVE = "Active", "Active"
    PAST_DUE = "PastDue", "Past due"
    PAUSED = "Paused", "Paused"
    CANCELLED = "Cancelled", "Cancelled"


class Subscription(models.Model):
    """A customer following a plan version.

    `epochs` is the schedule of its periods, written down: what has been, and what is planned. `timezone` is
    the zone in which its boundaries are local midnights now, `anchor_date` the local date from which they
    are counted. Plan version, status, time zone and anchor follow a change that was planned when a bill run
    comes by; what is charged when is in the segments. `ends_at` is null while it runs on without an end; it
    is set once an end is planned or has come, and from then on every period up to it is stored.
    """

    id = id_field()
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="subscriptions", db_index=False
    )
    plan_version = models.ForeignKey(
        PlanVersion, on_delete=models.PROTECT, related_name="subscriptions", db_index=False
    )
    status = enum_field(SubscriptionStatus)
    currency = currency_field()
    timezone = models.CharField(max_length=64)
    trial_days = models.PositiveIntegerField(default=0)
    anchor_date = models.DateField()
    epochs = models.JSONField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        customer_id: UUID
        plan_version_id: UUID

    class Meta:
        constraints = [
            choice_constraint(table="subscription", field="status", choices=SubscriptionStatus),
            models.CheckConstraint(
                condition=models.Q(status=SubscriptionStatus.CANCELLED, cancelled_at__isnull=False)
                | (~models.Q(status=SubscriptionStatus.CANCELLED) & models.Q(cancelled_at__isnull=True)),
                name="subscription_has_cancelled_at_iff_cancelled",
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at__isnull=True) | models.Q(ends_at__gte=models.F("starts_at")),
                name="subscription_ends_after_it_starts",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=SubscriptionStatus.CANCELLED) | models.Q(ends_at__isnull=False),
                name="subscription_has_an_end_if_cancelled",
            ),
        ]
        indexes = [
            models.Index("customer", models.F("id").desc(), name="subscription_by_customer"),
            models.Index("plan_version", models.F("id").desc(), name="subscription_by_plan_version"),
            models.Index("status", models.F("id").desc(), name="subscription_by_status"),
        ]

    def __str__(self) -> str:
        return f"{self.customer} on {self.plan_version}"

    @property
    def is_ending(self) -> bool:
        """Whether it runs now, and an end is planned."""
        return self.ends_at is not None and self.status != SubscriptionStatus.CANCELLED


class SubscriptionItem(models.Model):
    """One SKU of a subscription. `quantity` is what is licensed; null where the SKU is metered."""

    id = id_field()
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="items", db_index=False
    )
    sku = models.ForeignKey(Sku, on_delete=models.PROTECT, related_name="items")
    quantity = QuantityField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        subscription_id: UUID
        sku_id: UUID

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "sku"], name="subscriptionitem_is_unique"),
            models.CheckConstraint(
                condition=models.Q(quantity__isnull=True) | models.Q(quantity__gte=0),
                name="subscriptionitem_quantity_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku} of {self.subscription_id}"
