"""Rollups: what the events of a segment add up to, by meter, hour and group."""

from django.db import models

from billing_project.core.fields import QuantityField


class UsageRollup(models.Model):
    """The running totals of one meter in one segment, hour of `billed_at` and group of properties.

    `stripe` spreads the writers of a hot customer over several rows, so that they do not queue for one;
    readers add the stripes up. Hash-partitioned by `customer_id` and without foreign keys: the migration
    makes it by hand. `group_key` is the canonical JSON of the meter's `group_by` values, empty where it has
    none.
    """

    pk = models.CompositePrimaryKey("customer_id", "segment_id", "meter_id", "hour_at", "group_key", "stripe")
    customer_id = models.UUIDField()
    segment_id = models.UUIDField()
    meter_id = models.UUIDField()
    hour_at = models.DateTimeField()
    group_key = models.TextField(default="")
    stripe = models.SmallIntegerField()
    total = QuantityField()
    event_count = models.BigIntegerField()
    late_total = QuantityField()
    late_count = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "metering_usagerollup"

    def __str__(self) -> str:
        return f"{self.meter_id} in {self.segment_id} at {self.hour_at}"
