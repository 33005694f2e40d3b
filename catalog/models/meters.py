"""Meters: how usage events become a quantity. Only the definition is here; the counting is in metering."""

from collections.abc import Iterable
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models

from billing_project.core.fields import QuantityField, choice_constraint, enum_field, id_field
from billing_project.core.protection import frozen_when
from catalog.models.products import CatalogStatus

MAX_PERCENTILE = 100


class Aggregation(models.TextChoices):
    """How a meter turns many events into one quantity."""

    SUM = "Sum", "Sum of a property"
    COUNT = "Count", "Number of events"
    MAX = "Max", "Greatest value of a property"
    MIN = "Min", "Least value of a property"
    AVERAGE = "Average", "Average of a property"
    UNIQUE_COUNT = "UniqueCount", "Number of different values of a property"
    LATEST = "Latest", "Latest value of a property"
    WEIGHTED_SUM = "WeightedSum", "Sum of a property's changes, weighted by time"
    PERCENTILE = "Percentile", "Percentile of a property"


class Meter(models.Model):
    """A definition of a quantity: which events count, which of their properties, and how.

    The definition never changes once made: a number that was shown must stay explicable. `filters` are those
    of `catalog.property_filters`, all of which an event has to pass. A weighted sum that carries over begins
    each period at the level with which the last one ended.
    """

    id = id_field()
    code = models.CharField(max_length=401, unique=True)  # Has room for `{event_type}.{property}`.
    display_name = models.CharField(max_length=200, blank=True, default="")
    event_type = models.CharField(max_length=200)
    property = models.CharField(max_length=200, blank=True, default="")
    aggregation = enum_field(Aggregation)
    percentile = QuantityField[Decimal | None, Decimal | None](null=True, blank=True)
    carries_over = models.BooleanField(default=False)
    filters = models.JSONField(default=list, blank=True)
    group_by = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    unit = models.CharField(max_length=64, blank=True, default="")
    status = enum_field(CatalogStatus, default=CatalogStatus.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            choice_constraint(table="meter", field="aggregation", choices=Aggregation),
            choice_constraint(table="meter", field="status", choices=CatalogStatus),
            models.CheckConstraint(
                condition=models.Q(aggregation=Aggregation.COUNT, property="")
                | (~models.Q(aggregation=Aggregation.COUNT) & ~models.Q(property="")),
                name="meter_has_a_property_unless_it_counts",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    aggregation=Aggregation.PERCENTILE,
                    percentile__isnull=False,
                    percentile__gt=0,
                    percentile__lte=MAX_PERCENTILE,
                )
                | (~models.Q(aggregation=Aggregation.PERCENTILE) & models.Q(percentile__isnull=True)),
                name="meter_has_a_percentile_if_it_is_one",
            ),
            models.CheckConstraint(
                condition=models.Q(carries_over=False) | models.Q(aggregation=Aggregation.WEIGHTED_SUM),
                name="meter_carries_over_only_a_weighted_sum",
            ),
        ]
        indexes = [models.Index(fields=["event_type"], name="meter_event_type")]
        triggers = [*frozen_when("TRUE", except_fields=["display_name", "unit", "status"])]

    def __str__(self) -> str:
        return self.code

    def adds_up(self) -> bool:
        """Tell whether the usage of several groups together is the sum of theirs."""
        return self.aggregation in {Aggregation.SUM, Aggregation.COUNT}

    def list_lacking(self, names: Iterable[str]) -> list[str]:
        """List those of some properties by which it does not group usage."""
        return [name for name in names if name not in self.group_by]
