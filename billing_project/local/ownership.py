"""Who runs the embedded services of a data folder: one process, and others that use them meanwhile.

Both facts are locks on files, which the kernel releases however a process ends; nothing has to be cleaned up
after it.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Self

from billing_project.local.errors import LocalSetupFailed
from billing_project.local.guard import is_running

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Owner:
    """What the owner of a data folder says about itself."""

    process_id: int
    command: str
    is_ready: bool = False
    address: str = ""


class Ownership:
    """The right to run the services of a data folder, until it is released or the process ends."""

    def __init__(self, file: IO[str], owner: Owner) -> None:
        self._file = file
        self._owner = owner
        self._write()

    @classmethod
    def take(cls, path: Path, *, command: str) -> Self | None:
        """Take the right, or return None where somebody has it."""
        file = _open_private(path)
        if not _try_lock(file, fcntl.LOCK_EX):
            file.close()
            return None
        return cls(file, Owner(process_id=os.getpid(), command=command))

    def announce(self, *, address: str = "") -> None:
        """Tell others that the services are ready, and where they are served."""
        self._owner = replace(self._owner, is_ready=True, address=address)
        self._write()

    def release(self) -> None:
        """Give the right up."""
        self._file.truncate(0)
        self._file.close()

    def _write(self) -> None:
        self._file.truncate(0)
        self._file.write(json.dumps(asdict(self._owner)))
        self._file.flush()


def find_owner(path: Path) -> Owner | None:
    """Return what the owner says about itself; None where there is none, or it has not come to that."""
    try:
        owner = Owner(**json.loads(path.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    # One that was killed could not take its words back.
    return owner if is_running(owner.process_id) else None


class Usage:
    """The use of the services: shared by everybody who uses them, exclusive for the owner who stops them."""

    def __init__(self, path: Path) -> None:
        self._file = _open_private(path)

    def begin(self) -> bool:
        """Begin to use somebody else's services, unless they are about to stop."""
        return _try_lock(self._file, fcntl.LOCK_SH)

    def close_down(self, *, patience_seconds: float) -> bool:
        """Wait until nobody uses our services any more, and let nobody begin; tell whether it worked."""
        deadline = time.monotonic() + patience_seconds
        while not _try_lock(self._file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def end(self) -> None:
        """Let others go on."""
        self._file.close()


def _open_private(path: Path) -> IO[str]:
    try:
        # To append, for what is there may be another process's.
        return open(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))
    except PermissionError as error:
        raise LocalSetupFailed(f"{path.parent} belongs to another user of this machine.") from error


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
