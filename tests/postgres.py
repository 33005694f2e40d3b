"""The PostgreSQL that a test session runs on, and the databases in it.

Each session has a server of its own, in a folder of its own, unless BILLING_TEST_DATABASE_URL names one. In
it there is one migrated template per session; each worker's database is a copy of that, and so is each fresh
start after a test that really commits.
"""

import fcntl
import os
import shutil
import signal
import tempfile
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from billing_project.local.guard import Guard
from billing_project.local.postgres import (
    OPTIONS,
    ROLE,
    connect_as_superuser,
    prepare_database,
    start_postgres,
)

URL_VARIABLE = "BILLING_TEST_DATABASE_URL"
FOLDER_PREFIX = "billing-tests-"

# Nothing here must survive a power cut, so the disk is never waited for.
TEST_OPTIONS = {
    **OPTIONS,
    "max_connections": "200",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}


class SessionServer:
    """The server of one test session: the one that was named, or its own, started when it is first needed."""

    def __init__(self) -> None:
        self.session = uuid.uuid4().hex[:8]
        self._named_address = os.environ.get(URL_VARIABLE, "")
        self._own: OwnServer | None = None

    def read_address(self) -> str:
        """Return the address of the server, which runs from now on."""
        if self._named_address:
            return self._named_address
        if self._own is None:
            self._own = OwnServer()
        return self._own.address

    def leave(self) -> None:
        """Remove all that the session made: its own server, or its databases on the one that was named."""
        # A second Ctrl-C during these few hundred milliseconds would leave something behind.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if self._own is not None:
                self._own.remove()
            elif self._named_address:
                drop_databases(address=self._named_address, session=self.session)
        finally:
            signal.signal(signal.SIGINT, previous)


class OwnServer:
    """An embedded server in a temporary folder."""

    def __init__(self) -> None:
        remove_abandoned_folders()
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        self._lock = (self._folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._folder.chmod(0o711)  # The server's own account has to pass; it cannot list.
        socket_folder = self._folder / "run"
        socket_folder.mkdir(mode=0o700)
        self._guard = Guard()
        self._server = start_postgres(
            data_folder=self._folder / "postgres",
            socket_folder=socket_folder,
            guard=self._guard,
            options=TEST_OPTIONS,
        )
        prepare_database(socket_folder=socket_folder)
        with connect_as_superuser(socket_folder=socket_folder) as connection:
            connection.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(sql.Identifier(ROLE)))
        self.address = f"postgresql://{ROLE}@/postgres?host={socket_folder}"

    def remove(self) -> None:
        """Stop the server and remove its folder."""
        self._server.stop(patience_seconds=10)
        self._guard.dismiss()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()


def remove_abandoned_folders() -> None:
    """Remove the folders of sessions that were killed: nobody holds their lock."""
    for lock_path in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*/lock"):
        with suppress(OSError), lock_path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_path.parent, ignore_errors=True)


def drop_databases(*, address: str, session: str) -> None:
    """Drop every database of a session."""
    with psycopg.connect(address, autocommit=True) as connection:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [f"billing_test_{session}"]
        ).fetchall()
        for (name,) in found:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass(frozen=True, slots=True)
class Databases:
    """The databases of one worker of a session."""

    address: str
    session: str
    worker: str

    @property
    def name(self) -> str:
        """The name of the worker's own database."""
        return f"{self.template}_{self.worker}"

    @property
    def template(self) -> str:
        """The name of the session's migrated template."""
        return f"billing_test_{self.session}"

    @contextmanager
    def making_template(self) -> Iterator[str | None]:
        """Yield the name of an empty database to migrate, or None if another worker has made the template."""
        unfinished = f"{self.template}_unfinished"
        with self._connect() as connection:
            # Workers queue here; the lock goes with the connection.
            connection.execute("SELECT pg_advisory_lock(%s)", [zlib.crc32(self.template.encode())])
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self.template]).fetchone():
                yield None
                return
            self._drop(connection, unfinished)
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(unfinished)))
            yield unfinished
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(unfinished), sql.Identifier(self.template)
                )
            )

    def copy_template(self) -> None:
        """Make the worker's database a fresh copy of the template."""
        with self._connect() as connection:
            self._drop(connection, self.name)
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(self.name), sql.Identifier(self.template)
                )
            )

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.address, autocommit=True)

    @staticmethod
    def _drop(connection: psycopg.Connection, name: str) -> None:
        # A thread that a test left behind may still hold a connection.
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
