"""One import of a file at a time."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from zlib import crc32

from django.db import DatabaseError, InterfaceError, connection

from billing_project.core.errors import Conflict
from metering.importing.sources import NO_HASH, FileIdentity

# The first of the two numbers of each file's advisory lock, so that no other use of such locks meets them.
IMPORT_SPACE = 0x1F11E


class ImportUnderWay(Conflict):
    """Somebody else is importing the same file just now."""

    code = "import_under_way"


@contextmanager
def holding_file(file: FileIdentity) -> Iterator[None]:
    """Keep others from importing the same file; the lock goes with the connection, whatever happens.

    It is no more than a courtesy: two imports of one file would count nothing twice.

    Raises: ImportUnderWay.
    """
    if file.content_hash == NO_HASH:
        yield
        return
    key = [IMPORT_SPACE, crc32(file.content_hash) - 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        (is_free,) = cursor.fetchone()
        if not is_free:
            raise ImportUnderWay(f"{file.name} is being imported by another process.")
        try:
            yield
        finally:
            with suppress(DatabaseError, InterfaceError):  # A connection that is gone has no locks.
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)
