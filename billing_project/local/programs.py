"""The programs of a running install: web server, Celery worker, Celery beat."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from billing_project.local.supervisor import Program

# Addresses that mean "every network", and where this machine finds what listens there.
OWN_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  Compared with, not listened on.
WEB_STOP_SECONDS = 10
# As long as Django keeps a connection to the database (CONN_MAX_AGE), so that neither outlives the other for
# long.
THREAD_IDLE_SECONDS = 600
STATIC_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where the web server listens, and among how many processes and threads the work is shared."""

    host: str
    port: int
    web_workers: int
    web_threads: int
    task_workers: int

    @property
    def base_url(self) -> str:
        """The address at which this machine reaches the web server."""
        host = OWN_ADDRESSES.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def list_programs(
    *, options: ServeOptions, project_folder: Path, static_folder: Path, static_url: str
) -> list[Program]:
    """List the programs, in the order in which they start."""
    # Links lead to the web server itself, unless the operator has said how it is reached from outside.
    environment = {
        "PYTHONUNBUFFERED": "1",
        "BILLING_BASE_URL": os.environ.get("BILLING_BASE_URL", options.base_url),
    }
    celery = [sys.executable, "-m", "celery", "--app", "billing_project", "--quiet"]
    commands = {
        "web": _web_command(options, static_folder=static_folder, static_url=static_url),
        "worker": [
            *[*celery, "worker", "--concurrency", str(options.task_workers)],
            # There is one worker: nobody to gossip with.
            *["--without-gossip", "--without-mingle"],
        ],
        "beat": [*celery, "beat", "--pidfile", ""],
    }
    return [Program(name, command, project_folder, environment) for name, command in commands.items()]


def _web_command(options: ServeOptions, *, static_folder: Path, static_url: str) -> list[str]:
    return [
        *[sys.executable, "-m", "granian", "--interface", "wsgi", "--log-level", "warning"],
        *["--host", options.host, "--port", str(options.port)],
        *["--workers", str(options.web_workers), "--respawn-failed-workers"],
        *["--workers-kill-timeout", str(WEB_STOP_SECONDS)],
        *["--blocking-threads", str(options.web_threads)],
        *["--blocking-threads-idle-timeout", str(THREAD_IDLE_SECONDS)],
        *["--static-path-route", static_url.rstrip("/"), "--static-path-mount", str(static_folder)],
        *["--static-path-expires", str(STATIC_SECONDS)],
        "billing_project.wsgi:application",
    ]
