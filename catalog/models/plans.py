"""Plans and their versions. What a subscription follows is a version, never the plan."""

from typing import TYPE_CHECKING

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field
from billing_project.core.protection import frozen_when
from catalog.models.products import CatalogStatus, Product

if TYPE_CHECKING:
    from uuid import UUID

MAX_TRIAL_DAYS = 730

# The terms that a plan's versions differ in, apart from the prices.
VERSION_FIELDS = ("billing_cadence", "anchor", "trial_days", "trial_usage")


class BillingCadence(models.TextChoices):
    """How long a billing period is."""

    DAILY = "Daily", "Daily"
    WEEKLY = "Weekly", "Weekly"
    MONTHLY = "Monthly", "Monthly"
    QUARTERLY = "Quarterly", "Quarterly"
    SEMI_ANNUAL = "SemiAnnual", "Every six months"
    ANNUAL = "Annual", "Annual"


class Anchor(models.TextChoices):
    """What the boundaries of the periods follow: the subscription's own date, or the calendar."""

    ANNIVERSARY = "Anniversary", "Anniversary"
    CALENDAR = "Calendar", "Calendar"


class TrialUsage(models.TextChoices):
    """What happens to usage during a trial. Fixed fees are free during it in any case."""

    BILLED = "Billed", "Billed"
    FREE = "Free", "Free"


class Plan(models.Model):
    """A way to buy; its terms are in its versions."""

    id = id_field()
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    product = models.ForeignKey(
        Product, null=True, blank=True, on_delete=models.PROTECT, related_name="plans"
    )
    status = enum_field(CatalogStatus, default=CatalogStatus.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        product_id: UUID | None

    class Meta:
        constraints = [choice_constraint(table="plan", field="status", choices=CatalogStatus)]

    def __str__(self) -> str:
        return self.name


class PlanVersion(models.Model):
    """The terms of a plan: edited freely until its first subscription, then published and frozen.

    A change to a published plan makes the next version; new subscriptions take the latest.
    """

    id = id_field()
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    billing_cadence = enum_field(BillingCadence)
    anchor = enum_field(Anchor, default=Anchor.ANNIVERSARY)
    trial_days = models.PositiveIntegerField(default=0)
    trial_usage = enum_field(TrialUsage, default=TrialUsage.BILLED)
    published_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        plan_id: UUID

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="planversion_number_is_unique"),
            choice_constraint(table="planversion", field="billing_cadence", choices=BillingCadence),
            choice_constraint(table="planversion", field="anchor", choices=Anchor),
            choice_constraint(table="planversion", field="trial_usage", choices=TrialUsage),
            models.CheckConstraint(
                condition=models.Q(trial_days__lte=MAX_TRIAL_DAYS), name="planversion_trial_is_bounded"
            ),
        ]
        triggers = [*frozen_when("OLD.published_at IS NOT NULL", except_fields=[])]

    def __str__(self) -> str:
        return f"{self.plan} v{self.number}"

    @property
    def is_published(self) -> bool:
        """Whether a subscription has followed this version, so that it can no longer change."""
        return self.published_at is not None
