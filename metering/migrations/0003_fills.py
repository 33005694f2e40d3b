from django.db import migrations, models
import billing_project.core.ids
import django.db.models.deletion


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0002_meter_definitions"),
        ("metering", "0002_states"),
    ]

    operations = [
        migrations.CreateModel(
            name="MeterFill",
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
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("Pending", "Pending"),
                            ("Running", "Running"),
                            ("Completed", "Completed"),
                        ],
                        default="Pending",
                        max_length=32,
                    ),
                ),
                ("cursor", models.UUIDField(blank=True, null=True)),
                ("segment_id", models.UUIDField(blank=True, null=True)),
                ("reached_at", models.DateTimeField(blank=True, null=True)),
                ("segment_count", models.PositiveIntegerField(default=0)),
                ("done_count", models.PositiveIntegerField(default=0)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "meter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fills",
                        to="catalog.meter",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("status", "Completed"), _negated=True),
                        fields=["meter"],
                        name="meterfill_unfinished",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["Pending", "Running", "Completed"])),
                        name="meterfill_status_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("started_at__isnull", True), ("status", "Pending")),
                            models.Q(
                                models.Q(("status", "Pending"), _negated=True),
                                ("started_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="meterfill_has_a_start_unless_pending",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("completed_at__isnull", False), ("status", "Completed")),
                            models.Q(
                                models.Q(("status", "Completed"), _negated=True),
                                ("completed_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="meterfill_has_an_end_iff_completed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reached_at__isnull", True), ("segment_id__isnull", True)),
                            models.Q(("reached_at__isnull", False), ("segment_id__isnull", False)),
                            _connector="OR",
                        ),
                        name="meterfill_is_somewhere_in_a_segment",
                    ),
                ],
            },
        ),
    ]
