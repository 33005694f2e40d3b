"""What an install needs before it serves, done at each start; the second time there is nothing left to do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection

from billing_project.local.errors import LocalSetupFailed

# Any number will do, as long as every version of the platform uses the same.
MIGRATION_LOCK = 7_162_095_305
MIGRATION_SECONDS = 600.0
POLL_SECONDS = 0.2


def prepare_install() -> None:
    """Bring the tables and the static files up to date, and make the seller and groups of a new one."""
    with _alone_on_the_database():
        call_command("migrate", interactive=False, verbosity=0)
        call_command("set_up_seller")
        call_command("set_up_groups")
    call_command("collectstatic", interactive=False, verbosity=0)


@contextmanager
def _alone_on_the_database() -> Iterator[None]:
    """Wait for whoever else migrates this database: asking again and again, since a wait would time out."""
    deadline = time.monotonic() + MIGRATION_SECONDS
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATION_LOCK])
            if cursor.fetchone() == (True,):
                break
            if time.monotonic() > deadline:
                raise LocalSetupFailed("Another process has been migrating this database for ten minutes.")
            time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
