"""Archives of events, and the ids that stay when events have gone into one. Who may remove them, and when.

The tables that only grow, and those that are changed over and over, are also told how often they are to be
cleaned up and measured: PostgreSQL's own settings wait for a fifth of a table, which here is a month's work.
"""

import importlib

import billing_project.core.ids
import billing_project.core.protection
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

first = importlib.import_module("metering.migrations.0001_initial")

# The order of the columns leaves no gaps.
ARCHIVED_EVENTS = """
    CREATE TABLE metering_archivedevent (
        customer_id uuid NOT NULL,
        archive_number integer NOT NULL,
        event_id varchar(255) COLLATE "C" NOT NULL,
        content_hash bytea NOT NULL,
        PRIMARY KEY (customer_id, event_id)
    ) PARTITION BY HASH (customer_id);
"""

ARCHIVED_EVENTS_PROTECTION = """
    CREATE FUNCTION metering_archivedevent_protect() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING ERRCODE = 'restrict_violation',
            MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);
    END;
    $$;
    CREATE TRIGGER archivedevent_protect BEFORE UPDATE OR DELETE ON metering_archivedevent
        FOR EACH ROW EXECUTE FUNCTION metering_archivedevent_protect();
    CREATE TRIGGER archivedevent_no_truncate BEFORE TRUNCATE ON metering_archivedevent
        FOR EACH STATEMENT EXECUTE FUNCTION metering_archivedevent_protect();
"""

ARCHIVED_EVENTS_NO_TRUNCATE = """
    CREATE TRIGGER archivedevent_no_truncate BEFORE TRUNCATE ON {partition}
        FOR EACH STATEMENT EXECUTE FUNCTION metering_archivedevent_protect();
"""

# As it was, but for what the role `billing_archiver` may remove: an event of a segment whose id and content are
# kept, while its archive, which was read back from the disk, is not yet all that there is. The role need not
# exist. Whoever owns the table, and a superuser, is held to it like anybody.
PROTECTION = """
    CREATE OR REPLACE FUNCTION metering_usageevent_protect() RETURNS trigger LANGUAGE plpgsql AS $$
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
        IF TG_OP = 'DELETE' AND current_user = 'billing_archiver' AND OLD.segment_id IS NOT NULL AND EXISTS (
            SELECT 1
            FROM metering_archivedevent AS kept
            JOIN metering_eventarchive AS archive ON archive.number = kept.archive_number
            JOIN metering_archivedsegment AS segment ON segment.archive_id = archive.id
            WHERE kept.customer_id = OLD.customer_id AND kept.event_id = OLD.event_id
            AND kept.content_hash = OLD.content_hash
            AND archive.status = 'Verified' AND segment.segment_id = OLD.segment_id
        ) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'restrict_violation',
            MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);
    END;
    $$;
"""

EARLIER_PROTECTION = first.PROTECTION.partition("CREATE TRIGGER")[0].replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)

# A billion events are 60 million to a partition. Those that come are made known to index-only scans, and frozen
# for good, with every 5 %; what an archive has removed is cleaned up after 2 %.
EVENTS_UPKEEP = """
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05,
    autovacuum_freeze_min_age = 0
"""

# The rollups of the hours that are under way are changed with each batch. Most of what that leaves behind is
# cleaned up on the way; what is left bloats only these few pages, so they are looked after often.
ROLLUPS_UPKEEP = """
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05
"""

UPKEEP = {
    "metering_usageevent": EVENTS_UPKEEP,
    "metering_archivedevent": EVENTS_UPKEEP,
    "metering_usagerollup": ROLLUPS_UPKEEP,
    "metering_usagevalue": ROLLUPS_UPKEEP,
}


def set_upkeep() -> str:
    """Write the statements that set it, for each partition: a partitioned table has none of its own."""
    return "".join(
        f"ALTER TABLE {table}_{number:02} SET ({options});\n"
        for table, options in UPKEEP.items()
        for number in range(first.PARTITION_COUNT)
    )


def reset_upkeep() -> str:
    """Write the statements that take it back."""
    return "".join(
        f"ALTER TABLE {table}_{number:02} RESET ({', '.join(_list_names(options))});\n"
        for table, options in UPKEEP.items()
        for number in range(first.PARTITION_COUNT)
    )


def _list_names(options: str) -> list[str]:
    return [option.partition("=")[0].strip() for option in options.split(",")]


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0005_imports"),
        ("subscriptions", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ArchivedEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "customer_id",
                        "event_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("customer_id", models.UUIDField()),
                ("archive_number", models.IntegerField()),
                ("event_id", models.CharField(max_length=255)),
                ("content_hash", models.BinaryField(max_length=16)),
            ],
            options={
                "db_table": "metering_archivedevent",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="EventArchive",
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
                ("number", models.PositiveIntegerField(unique=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("Writing", "Writing"), ("Verified", "Verified"), ("Removed", "Removed")],
                        default="Writing",
                        max_length=32,
                    ),
                ),
                (
                    "format",
                    models.CharField(
                        choices=[("JsonLines", "JSON lines, gzip"), ("Parquet", "Parquet")], max_length=32
                    ),
                ),
                ("ended_by", models.DateTimeField()),
                ("file_name", models.CharField(max_length=100)),
                ("file_hash", models.CharField(blank=True, max_length=64)),
                ("file_bytes", models.BigIntegerField(blank=True, null=True)),
                ("manifest_name", models.CharField(max_length=100)),
                ("manifest_hash", models.CharField(blank=True, max_length=64)),
                ("event_count", models.BigIntegerField(blank=True, null=True)),
                ("removed_count", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("verified_at", models.DateTimeField(blank=True, null=True)),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["Writing", "Verified", "Removed"])),
                        name="eventarchive_status_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("format__in", ["JsonLines", "Parquet"])),
                        name="eventarchive_format_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("event_count__isnull", True),
                                ("file_bytes__isnull", True),
                                ("file_hash", ""),
                                ("manifest_hash", ""),
                                ("removed_count", 0),
                                ("status", "Writing"),
                                ("verified_at__isnull", True),
                            ),
                            models.Q(
                                models.Q(("status", "Writing"), _negated=True),
                                models.Q(("file_hash", ""), _negated=True),
                                models.Q(("manifest_hash", ""), _negated=True),
                                ("event_count__isnull", False),
                                ("file_bytes__isnull", False),
                                ("verified_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="eventarchive_is_known_once_verified",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("removed_at__isnull", False),
                                ("removed_count", models.F("event_count")),
                                ("status", "Removed"),
                            ),
                            models.Q(
                                models.Q(("status", "Removed"), _negated=True), ("removed_at__isnull", True)
                            ),
                            _connector="OR",
                        ),
                        name="eventarchive_is_removed_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ArchivedSegment",
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
                ("customer_id", models.UUIDField()),
                ("event_count", models.BigIntegerField(default=0)),
                ("sums", models.JSONField(default=dict)),
                (
                    "segment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="archives",
                        to="subscriptions.segment",
                    ),
                ),
                (
                    "archive",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="segments",
                        to="metering.eventarchive",
                    ),
                ),
            ],
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="eventarchive",
            trigger=pgtrigger.compiler.Trigger(
                name="frozen_update",
                sql=billing_project.core.protection.StrictTriggerSql(
                    condition='WHEN ((OLD.status = \'Removed\') AND ROW(OLD."id", OLD."number", OLD."status", OLD."format", OLD."ended_by", OLD."file_name", OLD."file_hash", OLD."file_bytes", OLD."manifest_name", OLD."manifest_hash", OLD."event_count", OLD."removed_count", OLD."created_at", OLD."verified_at", OLD."removed_at") IS DISTINCT FROM ROW(NEW."id", NEW."number", NEW."status", NEW."format", NEW."ended_by", NEW."file_name", NEW."file_hash", NEW."file_bytes", NEW."manifest_name", NEW."manifest_hash", NEW."event_count", NEW."removed_count", NEW."created_at", NEW."verified_at", NEW."removed_at"))',
                    func="RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s is frozen: %s is refused', TG_TABLE_NAME, TG_OP);",
                    hash="60bf81d8ae8fc6992f4fab3aaa8654d6daf659c5",
                    operation="UPDATE",
                    pgid="pgtrigger_frozen_update_2f013",
                    table="metering_eventarchive",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="eventarchive",
            trigger=pgtrigger.compiler.Trigger(
                name="frozen_delete",
                sql=billing_project.core.protection.StrictTriggerSql(
                    condition="WHEN (OLD.status = 'Removed')",
                    func="RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s is frozen: %s is refused', TG_TABLE_NAME, TG_OP);",
                    hash="30bca9ceabada215333adbf3c73ee3f062b8b01d",
                    operation="DELETE",
                    pgid="pgtrigger_frozen_delete_1dc12",
                    table="metering_eventarchive",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="eventarchive",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=billing_project.core.protection.StrictTriggerSql(
                    func="RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s is frozen: %s is refused', TG_TABLE_NAME, TG_OP);",
                    hash="ff4f951603cbb2f545093a66d70e0b6469afef0f",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_304be",
                    table="metering_eventarchive",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="archivedsegment",
            constraint=models.UniqueConstraint(
                fields=("archive", "segment"), name="archivedsegment_is_once_in_an_archive"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="archivedsegment",
            trigger=pgtrigger.compiler.Trigger(
                name="frozen_parent_insert",
                sql=billing_project.core.protection.StrictTriggerSql(
                    func="IF EXISTS (SELECT 1 FROM metering_eventarchive parent WHERE parent.id = NEW.archive_id AND (parent.status = 'Removed')) THEN RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s belongs to a frozen parent: %s is refused', TG_TABLE_NAME, TG_OP); END IF; RETURN NEW;",
                    hash="233d84aca78a1664ac16de95b9db2b0b1c03e57a",
                    operation="INSERT",
                    pgid="pgtrigger_frozen_parent_insert_5bdcd",
                    table="metering_archivedsegment",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="archivedsegment",
            trigger=pgtrigger.compiler.Trigger(
                name="frozen_parent_update",
                sql=billing_project.core.protection.StrictTriggerSql(
                    condition='WHEN ((TRUE) AND ROW(OLD."id", OLD."archive_id", OLD."segment_id", OLD."customer_id", OLD."event_count", OLD."sums") IS DISTINCT FROM ROW(NEW."id", NEW."archive_id", NEW."segment_id", NEW."customer_id", NEW."event_count", NEW."sums"))',
                    func="IF EXISTS (SELECT 1 FROM metering_eventarchive parent WHERE parent.id = OLD.archive_id AND (parent.status = 'Removed')) OR EXISTS (SELECT 1 FROM metering_eventarchive parent WHERE parent.id = NEW.archive_id AND (parent.status = 'Removed')) THEN RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s belongs to a frozen parent: %s is refused', TG_TABLE_NAME, TG_OP); END IF; RETURN NEW;",
                    hash="99b2ffad9e7f11354a2a517ae12e2f535485c024",
                    operation="UPDATE",
                    pgid="pgtrigger_frozen_parent_update_6f4f8",
                    table="metering_archivedsegment",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="archivedsegment",
            trigger=pgtrigger.compiler.Trigger(
                name="frozen_parent_delete",
                sql=billing_project.core.protection.StrictTriggerSql(
                    func="IF EXISTS (SELECT 1 FROM metering_eventarchive parent WHERE parent.id = OLD.archive_id AND (parent.status = 'Removed')) THEN RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s belongs to a frozen parent: %s is refused', TG_TABLE_NAME, TG_OP); END IF; RETURN OLD;",
                    hash="a6bd6e520d98668b554c6b6c950cabeda4eafefa",
                    operation="DELETE",
                    pgid="pgtrigger_frozen_parent_delete_d9e91",
                    table="metering_archivedsegment",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="archivedsegment",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=billing_project.core.protection.StrictTriggerSql(
                    func="RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s belongs to a frozen parent: %s is refused', TG_TABLE_NAME, TG_OP);",
                    hash="9d1613b9fa37ac8e3121e3a783c99333c5dd0d08",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_51a4b",
                    table="metering_archivedsegment",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.RunSQL(
            sql=ARCHIVED_EVENTS
            + first.make_partitions("metering_archivedevent")
            + ARCHIVED_EVENTS_PROTECTION
            + "".join(
                ARCHIVED_EVENTS_NO_TRUNCATE.format(partition=f"metering_archivedevent_{number:02}")
                for number in range(first.PARTITION_COUNT)
            ),
            reverse_sql="DROP TABLE metering_archivedevent; DROP FUNCTION metering_archivedevent_protect();",
        ),
        migrations.RunSQL(sql=PROTECTION, reverse_sql=EARLIER_PROTECTION),
        migrations.RunSQL(sql=set_upkeep(), reverse_sql=reset_upkeep()),
    ]
