"""The scheduler of Celery beat: the schedule is in the database, where staff see and change it."""

from collections.abc import Mapping
from typing import Any

from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler


class StaffSchedule(DatabaseScheduler):  # type: ignore[misc]  # The package has no types.
    """A schedule that starts as the settings say and then belongs to staff.

    The base class writes the settings' schedule over that of the database at each start.
    """

    def update_from_dict(self, mapping: Mapping[str, Any]) -> None:
        """Add the entries of the settings that the database does not have yet."""
        known = set(PeriodicTask.objects.filter(name__in=mapping).values_list("name", flat=True))
        super().update_from_dict({name: entry for name, entry in mapping.items() if name not in known})
