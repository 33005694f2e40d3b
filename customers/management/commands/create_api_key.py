"""`manage.py create_api_key NAME`: make a secret key and print it, alone, on stdout."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from billing_project.core import clock
from billing_project.core.access.operations import create_api_key
from billing_project.core.actors import Actor
from billing_project.core.errors import BillingError
from billing_project.core.models import ApiKeyRole
from customers.operations import create_test_clock

ROLES = {
    "admin": ApiKeyRole.ADMIN,
    "finance": ApiKeyRole.FINANCE,
    "readonly": ApiKeyRole.READ_ONLY,
}


class Command(BaseCommand):
    """Make a secret API key. It is shown this once: only its hash is stored."""

    help = "Make a secret API key and print it, alone, on stdout."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("name", help="what the key is for, as staff will see it")
        parser.add_argument("--role", choices=sorted(ROLES), default="admin", help="what it may do")
        parser.add_argument(
            "--test-clock",
            metavar="ISO",
            type=_read_instant,
            help="make a test clock that stands at this instant; customers made with the key live by it",
        )

    def handle(self, *_: object, name: str, role: str, test_clock: datetime | None, **__: Any) -> None:
        """Run the command."""
        actor = Actor.command("create_api_key")
        at = clock.now()
        try:
            with transaction.atomic():
                made = create_api_key(
                    name=name,
                    role=ROLES[role],
                    test_clock_id=_make_clock(name, now_at=test_clock, at=at, actor=actor),
                    at=at,
                    actor=actor,
                )
        except BillingError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(made.token)


def _make_clock(name: str, *, now_at: datetime | None, at: datetime, actor: Actor) -> UUID | None:
    if now_at is None:
        return None
    return create_test_clock(name=name, now_at=now_at, at=at, actor=actor).pk


def _read_instant(text: str) -> datetime:
    """Read an instant from the command line; argparse shows the sentence of the error."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant needs an offset or Z, as in 2026-03-01T00:00:00Z")
    return at
