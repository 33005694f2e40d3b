"""Serving: the services, the set-up, and the programs, from the first start to the last exit."""

import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from django.db import connections

from billing_project.local.errors import LocalSetupFailed
from billing_project.local.guard import Guard
from billing_project.local.log import ServiceLog
from billing_project.local.ownership import Ownership
from billing_project.local.programs import ServeOptions, list_programs
from billing_project.local.services import EmbeddedServices, RunningServices, take_folder
from billing_project.local.setup import prepare_install
from billing_project.local.supervisor import Supervisor, list_stop_signals

ANSWER_SECONDS = 60.0
POLL_SECONDS = 0.1
LOG_NAME = "serve"


@dataclass(frozen=True, slots=True)
class Install:
    """What is served, as the settings say."""

    services: EmbeddedServices
    project_folder: Path
    static_folder: Path
    static_url: str


@dataclass(frozen=True, slots=True)
class Serving:
    """A running install, for whoever wants to use it."""

    base_url: str
    request_stop: Callable[[], None]


class _Visitor(threading.Thread):
    """Waits until the web server answers, and then does what the caller wants done with it.

    A thread, since the main one has to look after the processes meanwhile.
    """

    def __init__(
        self,
        visit: Callable[[Serving], None],
        *,
        supervisor: Supervisor,
        ownership: Ownership | None,
        url: str,
    ) -> None:
        super().__init__(name="visitor", daemon=True)
        self._visit = visit
        self._supervisor = supervisor
        self._ownership = ownership
        self._url = url
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            _wait_for_answer(self._url, is_over=lambda: self._supervisor.is_stopping)
            if self._supervisor.is_stopping:
                return
            if self._ownership is not None:
                self._ownership.announce(address=self._url)
            self._visit(Serving(self._url, self._supervisor.request_stop))
        except Exception as error:  # noqa: BLE001  The main thread raises it again.
            self.error = error
            self._supervisor.request_stop()


def serve(
    install: Install,
    *,
    options: ServeOptions,
    command: str,
    log: ServiceLog,
    visit: Callable[[Serving], None],
) -> None:
    """Run the install until Ctrl-C, SIGTERM or a failure; `visit` is called once it answers.

    Raises: FolderInUse where it runs already; LocalSetupFailed; whatever `visit` raises.
    """
    # Until the supervisor takes over, every stop signal unwinds what has been started so far.
    for number in list_stop_signals():
        signal.signal(number, signal.default_int_handler)
    options = replace(options, port=find_port(host=options.host, port=options.port))
    with ExitStack() as stack:
        guard = Guard()
        stack.callback(guard.dismiss)
        ownership = _take_ownership(install.services, command=command, stack=stack)
        services = RunningServices(install.services, guard=guard, write_line=log.write_line)
        stack.callback(services.stop)
        if ownership is not None:
            ownership.announce()
        log.write_line(LOG_NAME, "bringing the database up to date")
        prepare_install()
        connections.close_all()
        programs = list_programs(
            options=options,
            project_folder=install.project_folder,
            static_folder=install.static_folder,
            static_url=install.static_url,
        )
        supervisor = Supervisor(programs=programs, services=services.children, guard=guard, log=log)
        stack.callback(supervisor.stop)
        supervisor.stop_on_signals()
        visitor = _Visitor(visit, supervisor=supervisor, ownership=ownership, url=options.base_url)
        visitor.start()
        failure = supervisor.watch()
        # Read before the stop, which takes the web server away from a visitor that is still at work.
        error = visitor.error
        log.write_line(LOG_NAME, f"stopping: {failure}" if failure else "stopping")
    if error is not None:
        raise error
    if failure is not None:
        raise LocalSetupFailed(f"Stopped, because {failure}.")


def find_port(*, host: str, port: int) -> int:
    """Return the port if it is free, or a free one where it is 0.

    Granian shares a port that is taken with whoever has it, so we have to ask.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LocalSetupFailed(f"Port {port} of {host} cannot be used: {error.strerror}.") from error
        return int(probe.getsockname()[1])


def _take_ownership(services: EmbeddedServices, *, command: str, stack: ExitStack) -> Ownership | None:
    if services.is_empty:
        return None
    ownership = take_folder(services, command=command)
    stack.callback(ownership.release)
    return ownership


def _wait_for_answer(url: str, *, is_over: Callable[[], bool]) -> None:
    """Wait until the web server answers at all: a new install may not know the name by which we call it."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while not is_over():
        try:
            httpx.get(f"{url}/health", timeout=ANSWER_SECONDS)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise LocalSetupFailed(f"The web server does not answer at {url}.") from None
            time.sleep(POLL_SECONDS)
        else:
            return
