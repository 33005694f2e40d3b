"""SKUs and their prices. A SKU is the lasting identity; a price is what it costs in one plan version."""

from typing import TYPE_CHECKING

from django.db import models

from billing_project.core.fields import choice_constraint, currency_field, enum_field, id_field
from billing_project.core.protection import frozen_with_parent
from catalog.models.meters import Meter
from catalog.models.plans import Plan, PlanVersion
from catalog.models.products import CatalogStatus

if TYPE_CHECKING:
    from uuid import UUID


class PricingModel(models.TextChoices):
    """How a quantity becomes an amount. Each value names a class in `catalog.pricing.registry`."""

    FLAT = "Flat", "Flat fee"
    PER_UNIT = "PerUnit", "Per unit"
    GRADUATED = "Graduated", "Graduated tiers"
    VOLUME = "Volume", "Volume tiers"
    PACKAGE = "Package", "Packages"
    COMMITTED = "Committed", "Commitment with overage"
    PERCENTAGE = "Percentage", "Percentage"
    MATRIX = "Matrix", "Matrix of properties"


class BillingTiming(models.TextChoices):
    """When a fee falls due: before its period, or after it. Metered SKUs are always in arrears."""

    ADVANCE = "Advance", "In advance"
    ARREARS = "Arrears", "In arrears"


class TaxBehavior(models.TextChoices):
    """Whether a price is stated before tax or with the tax inside."""

    EXCLUSIVE = "Exclusive", "Tax is added"
    INCLUSIVE = "Inclusive", "Tax is inside"


class Sku(models.Model):
    """A charge on a plan, the same one through all versions of the plan."""

    id = id_field()
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="skus")
    name = models.CharField(max_length=200)
    status = enum_field(CatalogStatus, default=CatalogStatus.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        plan_id: UUID

    class Meta:
        constraints = [choice_constraint(table="sku", field="status", choices=CatalogStatus)]

    def __str__(self) -> str:
        return self.name


class Price(models.Model):
    """What a SKU costs in one plan version; frozen with it.

    `params` are the pricing model's own, in the one form of its `to_params()`: every number is a string.
    `starts_at` is null for a SKU's first price, which has applied from the beginning of time.
    A price with a meter is metered; one without takes the quantity that the subscription holds (licensed).
    """

    id = id_field()
    plan_version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="prices")
    sku = models.ForeignKey(Sku, on_delete=models.PROTECT, related_name="prices")
    starts_at = models.DateTimeField(null=True, blank=True)
    position = models.PositiveIntegerField(default=0)
    pricing_model = enum_field(PricingModel)
    params = models.JSONField()
    currency = currency_field()
    meter = models.ForeignKey(Meter, null=True, blank=True, on_delete=models.PROTECT, related_name="prices")
    billing_timing = enum_field(BillingTiming, default=BillingTiming.ARREARS)
    tax_behavior = enum_field(TaxBehavior, default=TaxBehavior.EXCLUSIVE)
    tax_category = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        plan_version_id: UUID
        sku_id: UUID
        meter_id: UUID | None

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["plan_version", "sku", "starts_at"],
                nulls_distinct=False,
                name="price_is_unique_for_version_sku_and_start",
            ),
            choice_constraint(table="price", field="pricing_model", choices=PricingModel),
            choice_constraint(table="price", field="billing_timing", choices=BillingTiming),
            choice_constraint(table="price", field="tax_behavior", choices=TaxBehavior),
            models.CheckConstraint(
                condition=models.Q(meter__isnull=True) | models.Q(billing_timing=BillingTiming.ARREARS),
                name="price_of_a_meter_is_in_arrears",
            ),
        ]
        triggers = [
            *frozen_with_parent(
                table="catalog_planversion",
                link="plan_version_id",
                condition="parent.published_at IS NOT NULL",
            )
        ]

    def __str__(self) -> str:
        return f"{self.sku} in {self.plan_version}"

    @property
    def is_metered(self) -> bool:
        """Whether the quantity comes from usage events."""
        return self.meter_id is not None
