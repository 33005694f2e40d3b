"""What the other aggregations keep: moments, leaders and values; and the events of a segment in order of time."""

import importlib

from django.db import migrations, models

import billing_project.core.fields

first = importlib.import_module("metering.migrations.0001_initial")

COLUMNS = """
    ALTER TABLE metering_usagerollup
        ADD COLUMN moment numeric,
        ADD COLUMN lead_rank numeric,
        ADD COLUMN lead_value numeric;
"""

NO_COLUMNS = """
    ALTER TABLE metering_usagerollup
        DROP COLUMN moment,
        DROP COLUMN lead_rank,
        DROP COLUMN lead_value;
"""

VALUES = """
    CREATE TABLE metering_usagevalue (
        customer_id uuid NOT NULL,
        segment_id uuid NOT NULL,
        meter_id uuid NOT NULL,
        hour_at timestamptz NOT NULL,
        event_count bigint NOT NULL,
        stripe smallint NOT NULL,
        group_key text COLLATE "C" NOT NULL,
        value text COLLATE "C" NOT NULL,
        PRIMARY KEY (customer_id, segment_id, meter_id, hour_at, group_key, value, stripe)
    ) PARTITION BY HASH (customer_id);
"""

# Rebuilding, verifying and listing read the events of a segment for a stretch of time.
EVENTS_BY_SEGMENT = """
    CREATE INDEX usageevent_by_segment ON metering_usageevent (customer_id, segment_id, billed_at)
        WHERE segment_id IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql=COLUMNS,
            reverse_sql=NO_COLUMNS,
            state_operations=[
                migrations.AddField(
                    model_name="usagerollup",
                    name=name,
                    field=billing_project.core.fields.QuantityField(null=True),
                )
                for name in ("moment", "lead_rank", "lead_value")
            ],
        ),
        migrations.CreateModel(
            name="UsageValue",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "customer_id",
                        "segment_id",
                        "meter_id",
                        "hour_at",
                        "group_key",
                        "value",
                        "stripe",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("customer_id", models.UUIDField()),
                ("segment_id", models.UUIDField()),
                ("meter_id", models.UUIDField()),
                ("hour_at", models.DateTimeField()),
                ("group_key", models.TextField(default="")),
                ("value", models.TextField()),
                ("stripe", models.SmallIntegerField()),
                ("event_count", models.BigIntegerField()),
            ],
            options={"db_table": "metering_usagevalue", "managed": False},
        ),
        migrations.RunSQL(
            sql=VALUES + first.make_partitions("metering_usagevalue", first.ROLLUP_STORAGE),
            reverse_sql="DROP TABLE metering_usagevalue;",
        ),
        migrations.RunSQL(sql=EVENTS_BY_SEGMENT, reverse_sql="DROP INDEX usageevent_by_segment;"),
    ]
