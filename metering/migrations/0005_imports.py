"""Imports of files, with how far each has come."""

from django.db import migrations, models

import billing_project.core.ids


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_corrections")]

    operations = [
        migrations.CreateModel(
            name="EventImport",
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
                ("name", models.CharField(max_length=255)),
                (
                    "format",
                    models.CharField(
                        choices=[("JsonLines", "JSON lines"), ("Csv", "CSV"), ("Parquet", "Parquet")],
                        max_length=32,
                    ),
                ),
                ("content_hash", models.BinaryField(max_length=32)),
                ("size_bytes", models.BigIntegerField()),
                ("position", models.BigIntegerField(default=0)),
                ("line", models.BigIntegerField(default=1)),
                ("spans", models.JSONField(default=list)),
                ("accepted_count", models.BigIntegerField(default=0)),
                ("duplicate_count", models.BigIntegerField(default=0)),
                ("rejected_count", models.BigIntegerField(default=0)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["content_hash", "format"], name="eventimport_by_content")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("format__in", ["JsonLines", "Csv", "Parquet"])),
                        name="eventimport_format_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("line__gte", 1), ("position__gte", 0), ("size_bytes__gte", 0)),
                        name="eventimport_progress_is_not_negative",
                    ),
                ],
            },
        ),
    ]
