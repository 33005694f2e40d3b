import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from billing_project.local.guard import Guard, is_running, signal_group

SLEEPER = "import time; time.sleep(600)"
# Starts a guard and a child, tells their numbers, and waits to be killed.
OWNER = f"""
import subprocess, sys, time
from billing_project.local.guard import Guard
guard = Guard()
child = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}], start_new_session=True)
guard.watch(group_id=child.pid, last_signal=__import__("signal").SIGTERM)
print(child.pid, guard._process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    yield process
    process.kill()
    process.wait()


class TestGuard:
    def test_ends_what_it_watches_with_the_signal_that_was_asked_for(
        self, sleeper: subprocess.Popen[bytes]
    ) -> None:
        guard = Guard()
        guard.watch(group_id=sleeper.pid, last_signal=signal.SIGTERM)

        guard.dismiss()

        assert sleeper.wait(timeout=10) == -signal.SIGTERM

    def test_leaves_alone_what_it_was_told_to_forget(self, sleeper: subprocess.Popen[bytes]) -> None:
        guard = Guard()
        guard.watch(group_id=sleeper.pid, last_signal=signal.SIGKILL)
        guard.forget(group_id=sleeper.pid)

        guard.dismiss()

        assert sleeper.poll() is None

    @pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
    def test_acts_when_its_owner_is_killed(self, signal_number: signal.Signals) -> None:
        with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE) as owner:
            assert owner.stdout is not None
            orphans = [psutil.Process(int(word)) for word in owner.stdout.readline().split()]

            owner.send_signal(signal_number)
            owner.wait()

            _, alive = psutil.wait_procs(orphans, timeout=15)
        assert [process.pid for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []

    def test_outlives_the_signals_that_are_meant_for_its_owner(
        self, sleeper: subprocess.Popen[bytes]
    ) -> None:
        guard = Guard()
        guard.watch(group_id=sleeper.pid, last_signal=signal.SIGKILL)
        time.sleep(0.5)

        guard._process.send_signal(signal.SIGINT)
        guard._process.send_signal(signal.SIGTERM)
        guard.dismiss()

        assert guard._process.returncode == 0
        assert sleeper.wait(timeout=10) == -signal.SIGKILL


class TestGroups:
    def test_are_signalled_whole(self) -> None:
        below = f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}])"
        code = f"import subprocess, sys; {below}; print(flush=True); {SLEEPER}"
        leader = subprocess.Popen(
            [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE
        )
        with leader:
            assert leader.stdout is not None
            leader.stdout.readline()
            (child,) = psutil.Process(leader.pid).children()

            signal_group(leader.pid, signal.SIGKILL)

            assert leader.wait() == -signal.SIGKILL
            child.wait(timeout=10)

    def test_that_are_gone_are_no_error(self) -> None:
        ended = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
        ended.wait()

        signal_group(ended.pid, signal.SIGKILL)

        assert ended.returncode == 0

    @pytest.mark.parametrize("group_id", [-1, 0, 1])
    def test_of_everybody_are_never_signalled(self, group_id: int) -> None:
        with pytest.raises(AssertionError):
            signal_group(group_id, signal.SIGKILL)


class TestIsRunning:
    def test_tells_a_process_from_one_that_is_gone(self, sleeper: subprocess.Popen[bytes]) -> None:
        assert is_running(sleeper.pid)

        sleeper.kill()
        sleeper.wait()

        assert not is_running(sleeper.pid)

    def test_counts_one_as_gone_that_nobody_has_asked_about(self, sleeper: subprocess.Popen[bytes]) -> None:
        sleeper.kill()
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # Waits for the end, and does not ask.

        assert not is_running(sleeper.pid)

    def test_knows_that_its_own_runs(self) -> None:
        assert is_running(os.getpid())
