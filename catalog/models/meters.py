"""Meters: how usage events become a quantity. Only the definition is here; the counting is in metering."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field
from billing_project.core.protection import frozen_when
from catalog.models.products import CatalogStatus


class Aggregation(models.TextChoices):
    """How a meter turns many events into one quantity."""

    SUM = "Sum", "Sum of a property"
    COUNT = "Count", "Number of events"


class Meter(models.Model):
    """A definition of a quantity: which events count, which of their properties, and how.

    The definition never changes once made: a number that was shown must stay explicable.
    """

    id = id_field()
    code = models.CharField(max_length=401, unique=True)  # Has room for `{event_type}.{property}`.
    display_name = models.CharField(max_length=200, blank=True, default="")
    event_type = models.CharField(max_length=200)
    property = models.CharField(max_length=200, blank=True, default="")
    aggregation = enum_field(Aggregation)
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
        ]
        indexes = [models.Index(fields=["event_type"], name="meter_event_type")]
        triggers = [*frozen_when("TRUE", except_fields=["display_name", "unit", "status"])]

    def __str__(self) -> str:
        return self.code
