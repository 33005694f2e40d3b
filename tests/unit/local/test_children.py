import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from billing_project.local.children import KEPT_LINES, Child
from billing_project.local.guard import Guard

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); {DEAF}"


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.dismiss()


def start(code: str, guard: Guard, lines: list[str] | None = None) -> Child:
    lines = [] if lines is None else lines
    child = Child(name="child", command=[sys.executable, "-c", code], guard=guard, on_line=lines.append)
    deadline = time.monotonic() + 30
    while not lines and child.exit_code is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return child


def end(child: Child) -> int:
    """Wait until the child has ended by itself."""
    deadline = time.monotonic() + 30
    while child.exit_code is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return child.stop(patience_seconds=0)


class TestChild:
    def test_passes_on_what_it_writes(self, guard: Guard) -> None:
        lines: list[str] = []

        child = start(
            "import sys; print('one'); sys.stdout.flush(); print('two ', file=sys.stderr)", guard, lines
        )
        end(child)

        assert lines == ["one", "two"]

    def test_remembers_its_last_lines(self, guard: Guard) -> None:
        child = start("for number in range(1000): print(number)", guard)
        end(child)

        assert child.read_last_lines().splitlines() == [
            str(number) for number in range(1000 - KEPT_LINES, 1000)
        ]

    def test_writes_bytes_that_are_no_text(self, guard: Guard) -> None:
        lines: list[str] = []

        child = start(r"import os; os.write(1, b'a\xff\n')", guard, lines)
        end(child)

        assert lines == ["a\N{REPLACEMENT CHARACTER}"]

    def test_tells_how_it_ended(self, guard: Guard) -> None:
        child = start("raise SystemExit(7)", guard)

        assert end(child) == 7
        assert child.exit_code == 7

    def test_starts_where_and_with_what_it_is_told(self, guard: Guard, tmp_path: Path) -> None:
        lines: list[str] = []
        code = "import os; print(os.getcwd(), dict(os.environ).get('WORD'))"
        child = Child(
            name="child",
            command=[sys.executable, "-c", code],
            guard=guard,
            folder=tmp_path,
            environment={"WORD": "said"},
            on_line=lines.append,
        )
        end(child)

        assert lines == [f"{tmp_path} said"]

    def test_is_deaf_to_the_terminal(self, guard: Guard) -> None:
        child = start(SLEEPER, guard)

        assert psutil.Process(child.pid).terminal() is None
        child.stop(patience_seconds=10)


class TestStop:
    def test_asks_first(self, guard: Guard) -> None:
        assert start(SLEEPER, guard).stop(patience_seconds=10) == -signal.SIGTERM

    def test_uses_force_on_one_that_does_not_listen(self, guard: Guard) -> None:
        assert start(DEAF, guard).stop(patience_seconds=0.2) == -signal.SIGKILL

    def test_takes_those_along_that_the_child_started(self, guard: Guard) -> None:
        child = start(WITH_CHILD, guard)
        (below,) = psutil.Process(child.pid).children()

        child.stop(patience_seconds=0.2)

        below.wait(timeout=10)
        assert not below.is_running()

    def test_takes_those_along_whose_parent_has_ended(self, guard: Guard) -> None:
        lines: list[str] = []
        below = f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])"
        code = f"import subprocess, sys; print({below}.pid, flush=True)"
        child = start(code, guard, lines)
        orphan = psutil.Process(int(lines[0]))

        child.stop(patience_seconds=10)

        orphan.wait(timeout=10)
        assert not orphan.is_running()

    def test_frees_the_guard_of_its_watch(self, guard: Guard) -> None:
        child = start(SLEEPER, guard)
        child.stop(patience_seconds=10)
        started_at = time.monotonic()

        guard.dismiss()

        assert time.monotonic() - started_at < 5
