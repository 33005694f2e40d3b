"""Rollups: what the events of a segment add up to, by meter, hour and group."""

from django.db import models

from billing_project.core.fields import QuantityField


class UsageRollup(models.Model):
    """The running totals of one meter in one segment, hour of `billed_at` and group of properties.

    `stripe` spreads the writers of a hot customer over several rows, so that they do not queue for one;
    readers add the stripes up. Hash-partitioned by `customer_id` and without foreign keys: the migration
    makes it by hand. `group_key` is the canonical JSON of the meter's `group_by` values, empty where it has
    none.

    `moment` and the two `lead_` columns are there where the meter's aggregation keeps such a state: see
    `metering.aggregation.types.State`.
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
    moment = QuantityField(null=True)
    lead_rank = QuantityField(null=True)
    lead_value = QuantityField(null=True)

    class Meta:
        managed = False
        db_table = "metering_usagerollup"

    def __str__(self) -> str:
        return f"{self.meter_id} in {self.segment_id} at {self.hour_at}"


class UsageValue(models.Model):
    """How often one value of a property occurred in a segment, hour and group, for the meters that ask.

    Stored like a rollup, beside it. `value` is the value's text.
    """

    pk = models.CompositePrimaryKey(
        "customer_id", "segment_id", "meter_id", "hour_at", "group_key", "value", "stripe"
    )
    customer_id = models.UUIDField()
    segment_id = models.UUIDField()
    meter_id = models.UUIDField()
    hour_at = models.DateTimeField()
    group_key = models.TextField(default="")
    value = models.TextField()
    stripe = models.SmallIntegerField()
    event_count = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "metering_usagevalue"

    def __str__(self) -> str:
        return f"{self.value!r} on {self.meter_id} in {self.segment_id} at {self.hour_at}"
