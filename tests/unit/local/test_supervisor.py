import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from billing_project.local import supervisor as module
from billing_project.local.children import Child
from billing_project.local.guard import Guard
from billing_project.local.log import ServiceLog
from billing_project.local.supervisor import (
    RESTART_LIMIT,
    Program,
    Supervisor,
    describe_exit,
    list_stop_signals,
)

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
FAILING = "print('no luck'); raise SystemExit(3)"


def make_program(code: str, name: str = "web") -> Program:
    return Program(name, [sys.executable, "-c", code], Path.cwd(), {})


class Run:
    """A supervisor whose `watch` runs in a thread."""

    def __init__(self, *codes: str, guard: Guard, services: list[Child] | None = None) -> None:
        self.stream = io.StringIO()
        self.supervisor = Supervisor(
            programs=[make_program(code) for code in codes],
            services=services or [],
            guard=guard,
            log=ServiceLog(self.stream),
        )
        self.result: list[str | None] = []
        self._thread = threading.Thread(target=lambda: self.result.append(self.supervisor.watch()))
        self._thread.start()

    def end(self) -> str | None:
        self._thread.join(timeout=60)
        return self.result[0]

    def wait_for(self, text: str, count: int = 1) -> None:
        deadline = time.monotonic() + 30
        while self.stream.getvalue().count(text) < count:
            assert time.monotonic() < deadline, self.stream.getvalue()
            time.sleep(0.01)


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    guard = Guard()
    yield guard
    guard.dismiss()


class TestWatch:
    def test_returns_when_a_stop_is_requested(self, guard: Guard) -> None:
        run = Run(SLEEPER, SLEEPER, guard=guard)
        run.wait_for("up", count=2)

        run.supervisor.request_stop()

        assert run.end() is None
        run.supervisor.stop()

    def test_starts_a_program_again_that_has_ended(self, guard: Guard, tmp_path: Path) -> None:
        once = tmp_path / "once"
        code = (
            f"import pathlib; once = pathlib.Path({str(once)!r})\n"
            f"if once.exists():\n    {SLEEPER}\nonce.touch()\nraise SystemExit(3)"
        )
        run = Run(code, guard=guard)

        run.wait_for("up")

        assert (
            "web      | ended with exit code 3; it is started again in 0.01 seconds" in run.stream.getvalue()
        )
        run.supervisor.request_stop()
        assert run.end() is None
        run.supervisor.stop()

    def test_gives_up_on_a_program_that_keeps_ending(self, guard: Guard) -> None:
        run = Run(FAILING, guard=guard)

        failure = run.end()

        assert failure == "web ended with exit code 3, after 5 restarts within 60 seconds"
        assert run.stream.getvalue().count("no luck") == RESTART_LIMIT + 1
        assert run.stream.getvalue().count("it is started again") == RESTART_LIMIT
        run.supervisor.stop()

    def test_forgives_what_was_long_ago(self, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "RESTART_WINDOW_SECONDS", 0.0)
        run = Run(FAILING, guard=guard)

        run.wait_for("no luck", count=2 * RESTART_LIMIT)

        run.supervisor.request_stop()
        assert run.end() is None
        run.supervisor.stop()

    def test_returns_when_a_service_ends(self, guard: Guard) -> None:
        service = Child(name="postgres", command=[sys.executable, "-c", FAILING], guard=guard)
        run = Run(SLEEPER, guard=guard, services=[service])

        assert run.end() == "postgres ended with exit code 3"
        run.supervisor.stop()
        service.stop(patience_seconds=0)


def list_family(guard: Guard) -> list[psutil.Process]:
    """List our child processes from the guard on: a database of other tests may have been started before."""
    first = psutil.Process(guard._process.pid)
    return [child for child in psutil.Process().children() if child.create_time() >= first.create_time()]


class TestStop:
    def test_ends_all_programs_at_once(self, guard: Guard) -> None:
        run = Run(SLEEPER, SLEEPER, guard=guard)
        run.wait_for("up", count=2)
        family = list_family(guard)
        run.supervisor.request_stop()
        run.end()

        run.supervisor.stop()

        left = [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert [child.pid for child in left] == [guard._process.pid]

    def test_leaves_the_services_to_those_who_started_them(self, guard: Guard) -> None:
        service = Child(name="postgres", command=[sys.executable, "-c", SLEEPER], guard=guard)
        run = Run(guard=guard, services=[service])
        run.supervisor.request_stop()
        run.end()

        run.supervisor.stop()

        assert service.exit_code is None
        service.stop(patience_seconds=10)

    def test_uses_force_when_it_is_asked_for_again(self, guard: Guard) -> None:
        run = Run(DEAF, guard=guard)
        run.wait_for("up")
        run.supervisor.request_stop()
        run.end()
        started_at = time.monotonic()
        threading.Timer(0.2, run.supervisor.request_stop).start()

        run.supervisor.stop()

        assert 0.2 <= time.monotonic() - started_at < module.PROGRAM_STOP_SECONDS

    def test_uses_force_after_a_while(self, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PROGRAM_STOP_SECONDS", 0.1)
        run = Run(DEAF, guard=guard)
        run.wait_for("up")
        run.supervisor.request_stop()
        run.end()

        run.supervisor.stop()

        assert list_family(guard) == [psutil.Process(guard._process.pid)]


class TestDescribeExit:
    @pytest.mark.parametrize(
        ("exit_code", "words"),
        [(0, "ended with exit code 0"), (1, "ended with exit code 1"), (-9, "was ended by SIGKILL")],
    )
    def test_says_how(self, exit_code: int, words: str) -> None:
        assert describe_exit(exit_code) == words


class TestListStopSignals:
    def test_has_the_three_that_end_a_command(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # Whoever runs the tests may have it ignored.
        try:
            assert list_stop_signals() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_leaves_out_the_end_of_a_terminal_that_is_to_be_ignored(self) -> None:
        code = "from billing_project.local.supervisor import list_stop_signals; print(list_stop_signals())"

        result = subprocess.run(
            ["nohup", sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        )

        assert "SIGTERM" in result.stdout
        assert "SIGHUP" not in result.stdout
