"""`manage.py set_up_seller`: make the seller of a new install, to be completed in the admin."""

from typing import Any

from django.core.management.base import BaseCommand

from billing_project.core import clock
from billing_project.core.actors import Actor
from billing_project.core.seller import set_up_seller


class Command(BaseCommand):
    """Make the seller, unless there is one."""

    help = "Make the seller of a new install; one that is there stays as it is."

    def handle(self, *_: object, **__: Any) -> None:
        """Run the command."""
        set_up_seller(
            legal_name="Your company",
            currency="USD",
            at=clock.now(),
            actor=Actor.command("set_up_seller"),
        )
