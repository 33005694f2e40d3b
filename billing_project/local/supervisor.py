"""The supervisor: keeps the platform's programs running, and stops everything together.

A program (web, worker, beat) that ends is started again, after a pause that doubles, at most a few times a
minute. A service that ends (PostgreSQL, Valkey) takes everything with it: what it held is lost to the
programs anyway, and a clean start is the safe way back.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from billing_project.local.children import Child
from billing_project.local.guard import Guard
from billing_project.local.log import ServiceLog

POLL_SECONDS = 0.25
PROGRAM_STOP_SECONDS = 30.0
RESTART_LIMIT = 5
RESTART_WINDOW_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Program:
    """A process that the supervisor keeps running."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


class _KeptProgram:
    """A program, its current process, and when it was started again."""

    def __init__(self, program: Program, *, guard: Guard, log: ServiceLog) -> None:
        self._program = program
        self._guard = guard
        self._log = log
        self._restarts: deque[float] = deque(maxlen=RESTART_LIMIT)
        self._due_at = 0.0
        self.child: Child | None = None
        self._start()

    def check(self) -> str | None:
        """Start the program again if it has ended and may be; return why it may not."""
        if self.child is None:
            if time.monotonic() >= self._due_at:
                self._start()
            return None
        exit_code = self.child.exit_code
        if exit_code is None:
            return None
        self.child.stop(patience_seconds=0)
        self.child = None
        return self._plan_restart(describe_exit(exit_code))

    def _plan_restart(self, what: str) -> str | None:
        now = time.monotonic()
        recent = sum(now - at < RESTART_WINDOW_SECONDS for at in self._restarts)
        if recent == RESTART_LIMIT:
            window = f"{RESTART_WINDOW_SECONDS:.0f} seconds"
            return f"{self._program.name} {what}, after {recent} restarts within {window}"
        pause = FIRST_PAUSE_SECONDS * 2**recent
        self._restarts.append(now)
        self._due_at = now + pause
        self._log.write_line(self._program.name, f"{what}; it is started again in {pause:g} seconds")
        return None

    def _start(self) -> None:
        name = self._program.name
        self.child = Child(
            name=name,
            command=self._program.command,
            guard=self._guard,
            folder=self._program.folder,
            environment={**os.environ, **self._program.environment},
            on_line=lambda line: self._log.write_line(name, line),
        )


class Supervisor:
    """The programs and services of one running install."""

    def __init__(
        self, *, programs: Sequence[Program], services: Sequence[Child], guard: Guard, log: ServiceLog
    ) -> None:
        """Start the programs. The services run already; whoever started them stops them."""
        self._log = log
        self._services = services
        self._stop_requests = 0
        self._kept: list[_KeptProgram] = []
        try:
            for program in programs:
                self._kept.append(_KeptProgram(program, guard=guard, log=log))
        except BaseException:
            self.stop()
            raise

    def request_stop(self) -> None:
        """Have `watch` return; asked again, have the programs ended by force."""
        # Nothing else: a signal may come while the log or a lock is held.
        self._stop_requests += 1

    @property
    def is_stopping(self) -> bool:
        """Whether somebody has asked for the end."""
        return self._stop_requests > 0

    def stop_on_signals(self) -> None:
        """Let Ctrl-C, SIGTERM and the end of the terminal request the stop."""
        for number in list_stop_signals():
            signal.signal(number, self._receive_signal)

    def watch(self) -> str | None:
        """Keep everything running until a stop is requested; return what failed, if that is why."""
        while not self._stop_requests:
            failure = self._check()
            if failure is not None:
                return failure
            time.sleep(POLL_SECONDS)
        return None

    def stop(self) -> None:
        """Stop the programs, all at once, and by force where they take too long or it is asked for again."""
        children = [kept.child for kept in self._kept if kept.child is not None]
        for child in children:
            child.ask_to_stop()
        requests = self._stop_requests
        deadline = time.monotonic() + PROGRAM_STOP_SECONDS
        while any(child.exit_code is None for child in children):
            if time.monotonic() > deadline or self._stop_requests > requests:
                break
            time.sleep(POLL_SECONDS / 5)
        for child in children:
            child.stop(patience_seconds=0)
        self._kept.clear()

    def _check(self) -> str | None:
        for service in self._services:
            if service.exit_code is not None:
                return f"{service.name} {describe_exit(service.exit_code)}"
        for kept in self._kept:
            failure = kept.check()
            if failure is not None:
                return failure
        return None

    def _receive_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request_stop()


def list_stop_signals() -> list[signal.Signals]:
    """List the signals that end us: not that of the closing terminal where `nohup` has us ignore it."""
    is_detached = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM] if is_detached else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def describe_exit(exit_code: int) -> str:
    """Say how a process ended."""
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"
