"""The embedded services together: started in order, and shared by the commands that run at the same time."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from billing_project.local import postgres, valkey
from billing_project.local.accounts import find_service_account
from billing_project.local.children import Child
from billing_project.local.errors import LocalSetupFailed
from billing_project.local.folder import DataFolder, make_folders
from billing_project.local.guard import Guard
from billing_project.local.ownership import Owner, Ownership, Usage, find_owner

# How long a command waits for another that starts or stops the services.
TURN_SECONDS = 90.0
# How long a command that owns the services waits, when it is done, for others that came to use them.
USERS_SECONDS = 3600.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class EmbeddedServices:
    """Which services are embedded, and in which folder."""

    folder: DataFolder
    has_postgres: bool
    has_valkey: bool

    @property
    def is_empty(self) -> bool:
        """Whether the operator brings all services."""
        return not (self.has_postgres or self.has_valkey)


class FolderInUse(LocalSetupFailed):
    """Somebody else runs the services of this folder."""

    def __init__(self, *, owner: Owner | None, folder: DataFolder) -> None:
        self.owner = owner
        who = f"`manage.py {owner.command}` (process {owner.process_id})" if owner else "Another command"
        where = f" at {owner.address}" if owner and owner.address else ""
        super().__init__(f"{who} is already running{where}, on the data in {folder.path}.")


class RunningServices:
    """The services that this process has started."""

    def __init__(
        self,
        services: EmbeddedServices,
        *,
        guard: Guard,
        write_line: Callable[[str, str], None] | None = None,
    ) -> None:
        """Start the services and wait until they answer; what they write goes to `write_line(name, line)`.

        Raises: LocalSetupFailed.
        """
        self.children: list[Child] = []
        self._guard = guard
        self._write_line = write_line
        try:
            self._start(services)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the services, the last one first."""
        while self.children:
            self.children.pop().stop(patience_seconds=postgres.STOP_SECONDS)

    def _start(self, services: EmbeddedServices) -> None:
        folder = services.folder
        if services.has_postgres:
            self.children.append(
                postgres.start_postgres(
                    data_folder=folder.postgres,
                    socket_folder=folder.sockets,
                    guard=self._guard,
                    on_line=self._reader_of("postgres"),
                )
            )
            postgres.prepare_database(socket_folder=folder.sockets)
        if services.has_valkey:
            self.children.append(
                valkey.start_valkey(
                    data_folder=folder.valkey,
                    socket_path=folder.valkey_socket,
                    guard=self._guard,
                    on_line=self._reader_of("valkey"),
                )
            )

    def _reader_of(self, name: str) -> Callable[[str], None] | None:
        write_line = self._write_line
        return None if write_line is None else lambda line: write_line(name, line)


@contextmanager
def running_for_command(services: EmbeddedServices, *, command: str) -> Iterator[None]:
    """Have the services while a command runs: those of a running `serve`, or the command's own."""
    if services.is_empty:
        yield
        return
    turn = _take_turn(services, command=command)
    if isinstance(turn, Usage):
        try:
            yield
        finally:
            turn.end()
        return
    guard = Guard()
    usage = Usage(services.folder.users)
    try:
        running = RunningServices(services, guard=guard)
        try:
            turn.announce()
            yield
        finally:
            _wait_for_users(usage)
            running.stop()
    finally:
        turn.release()
        usage.end()
        guard.dismiss()


def take_folder(
    services: EmbeddedServices, *, command: str, patience_seconds: float = TURN_SECONDS
) -> Ownership:
    """Take the right to run the services for good; a command that is about to end is waited for.

    Raises: FolderInUse; LocalSetupFailed.
    """
    prepare_folders(services.folder)
    deadline = time.monotonic() + patience_seconds
    while True:
        ownership = Ownership.take(services.folder.lock, command=command)
        if ownership is not None:
            return ownership
        owner = find_owner(services.folder.lock)
        if time.monotonic() > deadline or (owner and owner.address):
            raise FolderInUse(owner=owner, folder=services.folder)
        time.sleep(POLL_SECONDS)


def prepare_folders(folder: DataFolder) -> None:
    """Make the folders that the services need."""
    account = find_service_account()
    make_folders(folder, account_id=account.pw_uid if account else os.geteuid())


def _wait_for_users(usage: Usage) -> None:
    """Let other commands end that have come to use our services."""
    if usage.close_down(patience_seconds=0):
        return
    sys.stderr.write("Waiting for another command to end, which uses the same database ...\n")
    usage.close_down(patience_seconds=USERS_SECONDS)


def _take_turn(services: EmbeddedServices, *, command: str) -> Ownership | Usage:
    """Return the right to run the services, or to use those of somebody who is ready."""
    folder = services.folder
    prepare_folders(folder)
    deadline = time.monotonic() + TURN_SECONDS
    while time.monotonic() < deadline:
        ownership = Ownership.take(folder.lock, command=command)
        if ownership is not None:
            return ownership
        usage = Usage(folder.users)
        owner = find_owner(folder.lock)
        if owner is not None and owner.is_ready and usage.begin():
            return usage
        usage.end()
        time.sleep(POLL_SECONDS)
    raise FolderInUse(owner=find_owner(folder.lock), folder=folder)
