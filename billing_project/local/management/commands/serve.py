"""`manage.py serve`: the whole platform in one terminal."""

import sys

from django.core.management.base import BaseCommand, CommandParser

from billing_project.local.commands import add_address_arguments, run_server
from billing_project.local.log import ServiceLog
from billing_project.local.serving import Serving


class Command(BaseCommand):
    """Serve the web pages and the API, and do the background work, until stopped."""

    help = (
        "Run web server, Celery worker and beat together, with the embedded PostgreSQL and Valkey where "
        "BILLING_DATABASE_URL and BILLING_BROKER_URL are not set. Exit code 3: they are running already."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the web server's address."""
        add_address_arguments(parser, port=8000)

    def handle(self, *, host: str, port: int, **_: object) -> None:
        """Serve until Ctrl-C or SIGTERM."""
        log = ServiceLog(sys.stdout)

        def greet(serving: Serving) -> None:
            log.write_line("serve", f"ready at {serving.base_url} (staff pages: /admin/, API: /docs/api)")

        run_server(command="serve", host=host, port=port, log=log, visit=greet)
