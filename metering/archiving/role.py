"""The database role that alone may remove events, and only such as an archive holds: see migration 0007.

It is nobody's login. Whoever runs `archive_events` has to be a member, and takes the role on for the one
statement that removes. Even the owner of the table cannot do without.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection, transaction

from billing_project.core.errors import Conflict

# The name is in the trigger of the events, too.
ARCHIVER = "billing_archiver"

GRANTS = (
    f"GRANT SELECT, DELETE ON metering_usageevent TO {ARCHIVER}",
    f"GRANT SELECT ON metering_archivedevent, metering_archivedsegment, metering_eventarchive TO {ARCHIVER}",
)
CREATION = f"CREATE ROLE {ARCHIVER} NOLOGIN"

FACTS = """
    SELECT quote_ident(current_user), EXISTS (SELECT 1 FROM pg_roles WHERE rolname = %s)
"""

ADVICE = (
    f"Removing events takes the database role {ARCHIVER}, which the platform's own role cannot take on. "
    "`manage.py set_up_archiver` makes it where it may, and otherwise prints what a superuser has to run."
)


class ArchiverMissing(Conflict):
    """The role that may remove events is not there, or is not for this user."""

    code = "archiver_missing"


class ArchiverRefused(Conflict):
    """The database does not let this user make the role."""

    code = "archiver_refused"


@contextmanager
def acting_as_archiver() -> Iterator[None]:
    """Take the role on, within a transaction, and give it back.

    Raises: ArchiverMissing.
    """
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SET LOCAL ROLE {ARCHIVER}")
        except DatabaseError as error:
            raise ArchiverMissing(ADVICE) from error
        yield
        cursor.execute("SET LOCAL ROLE NONE")  # Otherwise the transaction fails, which gives it back, too.


@transaction.atomic
def check_archiver() -> None:
    """Check that events can be removed, before any file is written.

    Raises: ArchiverMissing.
    """
    with acting_as_archiver(), connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege('metering_usageevent', 'DELETE')")
        (may_remove,) = cursor.fetchone()
    if not may_remove:
        raise ArchiverMissing(ADVICE)


@transaction.atomic
def set_up_archiver() -> None:
    """Make the role that may remove events, and let the platform's own role take it on; again is fine.

    Raises: ArchiverRefused, with what a superuser has to run.
    """
    statements = _list_missing()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    except DatabaseError as error:
        lines = "\n".join(f"    {statement};" for statement in statements)
        detail = f"{str(error).strip()}\nA superuser can run this, in this database:\n{lines}"
        raise ArchiverRefused(detail) from error


def _list_missing() -> list[str]:
    """List the statements that make what may be missing."""
    with connection.cursor() as cursor:
        cursor.execute(FACTS, [ARCHIVER])
        user, is_there = cursor.fetchone()
    statements = list(GRANTS)
    if not is_there:
        statements.insert(0, CREATION)
    try:
        with transaction.atomic(), acting_as_archiver():
            pass
    except ArchiverMissing:
        statements.append(f"GRANT {ARCHIVER} TO {user}")
    return statements
