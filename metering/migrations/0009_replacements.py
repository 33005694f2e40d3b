"""What an event has taken the place of is looked up by its id."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0008_notes"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="eventvoid",
            index=models.Index(
                condition=models.Q(("replacement_event_id__isnull", False)),
                fields=["customer_id", "replacement_event_id"],
                name="eventvoid_by_replacement",
            ),
        ),
    ]
