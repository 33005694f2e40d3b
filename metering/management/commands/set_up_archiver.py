"""`manage.py set_up_archiver`: make the database role that may remove archived events."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing_project.core.errors import BillingError
from metering.archiving.role import ARCHIVER, set_up_archiver


class Command(BaseCommand):
    """Make the role, or print what somebody else has to run."""

    help = (
        "Make the database role that alone may remove archived events, and let the platform take it on. "
        "Where the platform may not make roles, prints what a superuser has to run. Can be run again."
    )

    def handle(self, *_: object, **__: Any) -> None:
        """Run the command."""
        try:
            set_up_archiver()
        except BillingError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"The role {ARCHIVER} is there.")
