"""The tables of events and rollups, made by hand: partitioned, without foreign keys, and events append-only."""

from django.db import migrations, models

import billing_project.core.fields
import billing_project.core.ids
import metering.models.events

PARTITION_COUNT = 16

# Ids are only ever compared for equality, so they sort by their bytes: faster, and the same on every machine.
EVENTS = """
    CREATE TABLE metering_usageevent (
        uid uuid NOT NULL,
        customer_id uuid NOT NULL,
        subscription_id uuid,
        segment_id uuid,
        "timestamp" timestamptz NOT NULL,
        billed_at timestamptz,
        received_at timestamptz NOT NULL,
        is_late boolean NOT NULL,
        event_id varchar(255) COLLATE "C" NOT NULL,
        event_type varchar(200) COLLATE "C" NOT NULL,
        content_hash bytea NOT NULL,
        properties jsonb NOT NULL,
        PRIMARY KEY (customer_id, event_id),
        CONSTRAINT usageevent_is_matched_whole_or_not_at_all CHECK (
            (segment_id IS NULL AND subscription_id IS NULL AND billed_at IS NULL AND NOT is_late)
            OR (segment_id IS NOT NULL AND subscription_id IS NOT NULL
                AND billed_at IS NOT NULL AND billed_at >= "timestamp")
        )
    ) PARTITION BY HASH (customer_id);
    CREATE INDEX usageevent_by_uid ON metering_usageevent (customer_id, uid);
    CREATE INDEX usageevent_unmatched ON metering_usageevent (customer_id, event_id) WHERE segment_id IS NULL;
"""

ROLLUPS = """
    CREATE TABLE metering_usagerollup (
        customer_id uuid NOT NULL,
        segment_id uuid NOT NULL,
        meter_id uuid NOT NULL,
        hour_at timestamptz NOT NULL,
        event_count bigint NOT NULL,
        late_count bigint NOT NULL,
        stripe smallint NOT NULL,
        group_key text COLLATE "C" NOT NULL,
        total numeric NOT NULL,
        late_total numeric NOT NULL,
        PRIMARY KEY (customer_id, segment_id, meter_id, hour_at, group_key, stripe)
    ) PARTITION BY HASH (customer_id);
"""

# Rollups are updated over and over, in columns that no index has: with room left in the page, the new version of a
# row stays in it and no index is touched. The room is cleaned up by later updates themselves.
ROLLUP_STORAGE = "WITH (fillfactor = 70)"

# A row trigger on a partitioned table is on each partition, too. Nothing here fires on INSERT.
PROTECTION = """
    CREATE FUNCTION metering_usageevent_protect() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' AND OLD.segment_id IS NULL AND NEW.segment_id IS NOT NULL AND
            ROW(NEW.uid, NEW.customer_id, NEW.event_id, NEW.event_type, NEW."timestamp", NEW.received_at,
                NEW.properties, NEW.content_hash)
            IS NOT DISTINCT FROM
            ROW(OLD.uid, OLD.customer_id, OLD.event_id, OLD.event_type, OLD."timestamp", OLD.received_at,
                OLD.properties, OLD.content_hash)
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'restrict_violation',
            MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);
    END;
    $$;
    CREATE TRIGGER usageevent_protect BEFORE UPDATE OR DELETE ON metering_usageevent
        FOR EACH ROW EXECUTE FUNCTION metering_usageevent_protect();
    CREATE TRIGGER usageevent_no_truncate BEFORE TRUNCATE ON metering_usageevent
        FOR EACH STATEMENT EXECUTE FUNCTION metering_usageevent_protect();
"""

NO_TRUNCATE = """
    CREATE TRIGGER usageevent_no_truncate BEFORE TRUNCATE ON {partition}
        FOR EACH STATEMENT EXECUTE FUNCTION metering_usageevent_protect();
"""


def make_partitions(table: str, storage: str = "") -> str:
    """Write the statements that make the partitions of a table."""
    return "".join(
        f"CREATE TABLE {table}_{number:02} PARTITION OF {table} "
        f"FOR VALUES WITH (MODULUS {PARTITION_COUNT}, REMAINDER {number}) {storage};\n"
        for number in range(PARTITION_COUNT)
    )


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="UsageEvent",
            fields=[
                (
                    "uid",
                    models.UUIDField(
                        default=billing_project.core.ids.make_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("customer_id", models.UUIDField()),
                ("event_id", models.CharField(max_length=255)),
                ("event_type", models.CharField(max_length=200)),
                ("subscription_id", models.UUIDField(null=True)),
                ("segment_id", models.UUIDField(null=True)),
                ("timestamp", models.DateTimeField()),
                ("billed_at", models.DateTimeField(null=True)),
                ("is_late", models.BooleanField(default=False)),
                ("received_at", models.DateTimeField()),
                ("properties", models.JSONField(decoder=metering.models.events.ExactDecoder)),
                ("content_hash", models.BinaryField(max_length=16)),
            ],
            options={"db_table": "metering_usageevent", "managed": False},
        ),
        migrations.CreateModel(
            name="UsageRollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "customer_id",
                        "segment_id",
                        "meter_id",
                        "hour_at",
                        "group_key",
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
                ("stripe", models.SmallIntegerField()),
                ("total", billing_project.core.fields.QuantityField()),
                ("event_count", models.BigIntegerField()),
                ("late_total", billing_project.core.fields.QuantityField()),
                ("late_count", models.BigIntegerField()),
            ],
            options={"db_table": "metering_usagerollup", "managed": False},
        ),
        migrations.CreateModel(
            name="LateUsage",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=billing_project.core.ids.make_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("subscription_id", models.UUIDField()),
                ("period_id", models.UUIDField(unique=True)),
                ("noted_at", models.DateTimeField()),
            ],
            options={"verbose_name_plural": "late usage"},
        ),
        migrations.RunSQL(
            sql=EVENTS + make_partitions("metering_usageevent"),
            reverse_sql="DROP TABLE metering_usageevent;",
        ),
        migrations.RunSQL(
            sql=ROLLUPS + make_partitions("metering_usagerollup", ROLLUP_STORAGE),
            reverse_sql="DROP TABLE metering_usagerollup;",
        ),
        migrations.RunSQL(
            sql=PROTECTION
            + "".join(
                NO_TRUNCATE.format(partition=f"metering_usageevent_{number:02}")
                for number in range(PARTITION_COUNT)
            ),
            reverse_sql="DROP FUNCTION metering_usageevent_protect() CASCADE;",
        ),
    ]
