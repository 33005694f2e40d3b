"""An install in a folder of its own, run through its commands as an operator would run them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parent.parent
START_SECONDS = 300.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
# One process of each kind starts faster than several.
SMALL = {"BILLING_WEB_WORKERS": "1", "BILLING_RUN_WORKERS": "1", "PYTHONUNBUFFERED": "1"}


class Install:
    """A data folder, and the commands that work on it, with these variables beside."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
        self._started: list[RunningCommand] = []
        self._environment = {**kept, "BILLING_DATA_DIR": str(folder), **SMALL, **variables}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_SECONDS,
        )

    def start(self, *arguments: str) -> "RunningCommand":
        """Start a command that goes on until it is told to stop."""
        log_path = self.folder.with_name(f"{self.folder.name}-{time.monotonic_ns()}.log")
        with log_path.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=PROJECT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._started.append(RunningCommand(process, log_path))
        return self._started[-1]

    def close(self) -> None:
        """End what a test that failed has left running."""
        for running in self._started:
            running.stop(signal.SIGKILL)

    def serve(self) -> "RunningCommand":
        """Start serving on a free port, and wait until it answers."""
        running = self.start("serve", "--port", "0")
        running.wait_for("ready at")
        return running


class RunningCommand:
    """A command in a process of its own, and all that it has started."""

    def __init__(self, process: subprocess.Popen[bytes], log_path: Path) -> None:
        self.process = process
        self._log_path = log_path

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log_path.read_text()

    @property
    def base_url(self) -> str:
        """Where it serves."""
        found = re.search(r"ready at (\S+)", self.log)
        assert found is not None, self.log
        return found[1]

    def wait_for(self, text: str) -> None:
        """Wait until the log says this."""
        deadline = time.monotonic() + START_SECONDS
        while text not in self.log:
            assert self.process.poll() is None, f"Ended with {self.process.returncode}:\n{self.log}"
            assert time.monotonic() < deadline, f"{text!r} did not come:\n{self.log}"
            time.sleep(POLL_SECONDS)

    def list_family(self) -> list[psutil.Process]:
        """List the process and everything below it, as it is now."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def find_child(self, word: str) -> psutil.Process | None:
        """Find the process, directly below the command, that has this word in its command line."""
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if word in {Path(part).name for argument in child.cmdline() for part in argument.split()}:
                    return child
        return None

    def wait_for_child(self, word: str, *, other_than: psutil.Process | None = None) -> psutil.Process:
        """Wait for a process directly below the command, other than one that was there before."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            child = self.find_child(word)
            if child is not None and child != other_than:
                return child
            assert time.monotonic() < deadline, f"No process runs {word}:\n{self.log}"
            time.sleep(POLL_SECONDS)

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(timeout=STOP_SECONDS)


def find_survivors(processes: Collection[psutil.Process], *, within_seconds: float) -> list[str]:
    """Return the names of the processes that still run after this time; a zombie does not."""
    deadline = time.monotonic() + within_seconds
    while True:
        alive = [process for process in processes if _is_running(process)]
        if not alive or time.monotonic() > deadline:
            return [process.name() for process in alive]
        time.sleep(POLL_SECONDS)


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
