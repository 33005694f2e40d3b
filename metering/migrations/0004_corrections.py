"""Corrections of usage, and the events that each has taken back."""

import billing_project.core.ids
import billing_project.core.protection
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0001_initial"),
        ("metering", "0003_fills"),
        ("subscriptions", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageCorrection",
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
                ("kind", models.CharField(choices=[("Void", "Void"), ("Amend", "Amend")], max_length=32)),
                ("reason", models.TextField()),
                ("event_count", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="usage_corrections",
                        to="customers.customer",
                    ),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="usage_corrections",
                        to="subscriptions.subscription",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="EventVoid",
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
                ("event_id", models.CharField(db_collation="C", max_length=255)),
                ("event_uid", models.UUIDField()),
                ("segment_id", models.UUIDField(null=True)),
                ("replacement_event_id", models.CharField(db_collation="C", max_length=255, null=True)),
                (
                    "correction",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="voids",
                        to="metering.usagecorrection",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="usagecorrection",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["Void", "Amend"])), name="usagecorrection_kind_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="usagecorrection",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="usagecorrection_has_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="usagecorrection",
            constraint=models.CheckConstraint(
                condition=models.Q(("event_count__gt", 0)), name="usagecorrection_is_about_something"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="usagecorrection",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=billing_project.core.protection.StrictTriggerSql(
                    func="RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);",
                    hash="66eba5cf98226fd68bc0b6d801ec4ec361ca6b47",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_9194b",
                    table="metering_usagecorrection",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="usagecorrection",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=billing_project.core.protection.StrictTriggerSql(
                    func="RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);",
                    hash="bf866ee0156e4701e9ecdacae208e3bf3a90a352",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_54aba",
                    table="metering_usagecorrection",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="eventvoid",
            index=models.Index(
                condition=models.Q(("segment_id__isnull", False)),
                fields=["segment_id"],
                name="eventvoid_of_segment",
            ),
        ),
        migrations.AddConstraint(
            model_name="eventvoid",
            constraint=models.UniqueConstraint(
                fields=("customer_id", "event_id"), name="eventvoid_is_once_per_event"
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="eventvoid",
            trigger=pgtrigger.compiler.Trigger(
                name="append_only",
                sql=billing_project.core.protection.StrictTriggerSql(
                    func="RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);",
                    hash="32f5c7ee415ba830f27f7b23ffe68698aee0c038",
                    operation="UPDATE OR DELETE",
                    pgid="pgtrigger_append_only_9a716",
                    table="metering_eventvoid",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="eventvoid",
            trigger=pgtrigger.compiler.Trigger(
                name="no_truncate",
                sql=billing_project.core.protection.StrictTriggerSql(
                    func="RAISE EXCEPTION USING ERRCODE = 'restrict_violation', MESSAGE = format('%s is append-only: %s is refused', TG_TABLE_NAME, TG_OP);",
                    hash="79c071195dd4c9e055d9bdf1b7cc5abf7ec9e402",
                    level="STATEMENT",
                    operation="TRUNCATE",
                    pgid="pgtrigger_no_truncate_40c1c",
                    table="metering_eventvoid",
                    when="BEFORE",
                ),
            ),
        ),
    ]
