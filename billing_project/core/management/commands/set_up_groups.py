"""`manage.py set_up_groups`: make the groups of staff that a new install has."""

from typing import Any

from django.core.management.base import BaseCommand

from billing_project.core.staff import set_up_groups


class Command(BaseCommand):
    """Make the groups that are missing."""

    help = "Make the groups Admin, Finance, Support, Developer and ReadOnly; those that are there stay."

    def handle(self, *_: object, **__: Any) -> None:
        """Run the command."""
        set_up_groups()
