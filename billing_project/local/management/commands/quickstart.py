"""`manage.py quickstart`: from nothing to a first invoice, and then a running platform."""

import sys

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from rich.console import Console

from billing_project.core.access.operations import create_api_key
from billing_project.core.actors import Actor
from billing_project.core.clock import now
from billing_project.core.models import ApiKeyRole
from billing_project.local.commands import EXIT_CODE_INTERRUPTED, add_address_arguments, run_server
from billing_project.local.log import ServiceLog
from billing_project.local.operations import FirstStaffUser, ensure_staff_user
from billing_project.local.serving import Serving
from billing_project.local.walkthrough import Outcome, run

ACTOR = Actor.command("quickstart")


class Command(BaseCommand):
    """Set everything up, act as a client that bills a customer, and go on serving."""

    help = (
        "Start everything that `serve` starts, make an API key and a staff user, walk through a first "
        "invoice as a client would, and go on serving until stopped. Run it again for another customer. "
        "Exit code 3: the platform is running already."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the web server's address, and whether to stop at the end."""
        add_address_arguments(parser, port=8000)
        parser.add_argument("--exit", action="store_true", help="stop when the walkthrough is done")

    def handle(self, *, host: str, port: int, exit: bool, **_: object) -> None:  # noqa: A002  The option's name.
        """Serve, walk through, and go on serving."""
        console = Console()
        log = ServiceLog(sys.stdout)
        log.hold()
        outcomes: list[Outcome] = []

        def visit(serving: Serving) -> None:
            try:
                api_key, staff = _make_access()
            finally:
                connections.close_all()  # They belong to this thread, which ends.
            outcomes.append(run(base_url=serving.base_url, api_key=api_key, console=console))
            _describe(console, serving.base_url, api_key=api_key, staff=staff, outcome=outcomes[0])
            if exit:
                serving.request_stop()
            else:
                console.print("Serving until Ctrl-C.")
                log.release()

        console.print("Starting PostgreSQL, Valkey, the web server, worker and beat ...")
        try:
            run_server(command="quickstart", host=host, port=port, log=log, visit=visit)
        except BaseException:
            log.release()  # What the processes said before it went wrong.
            raise
        if not outcomes:
            raise CommandError("Stopped before the walkthrough was done.", returncode=EXIT_CODE_INTERRUPTED)


def _make_access() -> tuple[str, FirstStaffUser]:
    at = now()
    key = create_api_key(name="quickstart", role=ApiKeyRole.ADMIN, at=at, actor=ACTOR)
    return key.token, ensure_staff_user(at=at, actor=ACTOR)


def _describe(
    console: Console, base_url: str, *, api_key: str, staff: FirstStaffUser, outcome: Outcome
) -> None:
    password = staff.new_password or "as you have set it"
    console.rule(f"Invoice {outcome.invoice_number} is final")
    for name, value in {
        "Invoice": f"{base_url}/admin/invoicing/invoice/{outcome.invoice_id}/change/",
        "Staff pages": f"{base_url}/admin/",
        "": f"user {staff.username}, password {password}",
        "API docs": f"{base_url}/docs/api",
        "API key": api_key,
    }.items():
        # Whole, however narrow the terminal is: these are to be copied.
        console.print(f"{name:<12} {value}", soft_wrap=True, markup=False, highlight=False)
