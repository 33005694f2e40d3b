"""A guard process: it ends the children of a command that was killed before it could end them itself.

Run as a file of its own, with the standard library alone, so that it starts in a few milliseconds and stays
small. It reads its standard input: `+<pid> <signal>` watches a process group, `-<pid>` forgets it. The input
ends when the command does, in whichever way. Groups that are still watched then get their signal, and SIGKILL
a little later.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.05
IS_LINUX = sys.platform == "linux"


class Guard:
    """The command's end of the pipe to its guard process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  The command is our own interpreter and this very file.
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, *, group_id: int, last_signal: signal.Signals) -> None:
        """Have a process group ended by this signal if the command is gone before it says `forget`."""
        self._tell(f"+{group_id} {last_signal.value}\n")

    def forget(self, *, group_id: int) -> None:
        """Leave a process group alone from now on."""
        self._tell(f"-{group_id}\n")

    def dismiss(self) -> None:
        """End the guard; groups that are still watched end with it."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # A guard that somebody killed is no reason to stop serving: the next start looks for leftovers
        # itself.
        with suppress(BrokenPipeError):
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


def is_running(process_id: int) -> bool:
    """Tell whether the process runs; one that has ended, and whose parent has not asked how, does not."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return not IS_LINUX and _can_signal(process_id)
    # "4711 (name) S ...", where the name may hold anything.
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _can_signal(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def signal_group(group_id: int, signal_number: int) -> None:
    """Send the signal to every process of the group that is left."""
    assert group_id > 1, "Groups 0 and 1 are our own and the system's."
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group_id, signal_number)


def _end_groups(watched: dict[int, int]) -> None:
    for group_id, signal_number in watched.items():
        signal_group(group_id, signal_number)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(is_running(group_id) for group_id in watched) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for group_id in watched:
        signal_group(group_id, signal.SIGKILL)


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watched: dict[int, int] = {}
    for line in sys.stdin:
        group_id, *signal_number = line[1:].split()
        if line.startswith("+"):
            watched[int(group_id)] = int(signal_number[0])
        else:
            watched.pop(int(group_id), None)
    _end_groups(watched)


if __name__ == "__main__":
    _main()
