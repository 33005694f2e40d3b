"""Child processes: started in a group of their own, read line by line, and never left behind."""

import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from billing_project.local.guard import Guard, signal_group

KEPT_LINES = 50


class Child:
    """A process that we started, with everything that it starts in turn.

    It leads a session of its own, so that Ctrl-C reaches the supervisor alone, which then stops its children
    in order.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        guard: Guard,
        stop_signal: signal.Signals = signal.SIGTERM,
        last_signal: signal.Signals = signal.SIGKILL,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        """Start the process.

        `stop_signal` is what ends it in good order; `last_signal` is what the guard sends if we were killed.
        """
        self.name = name
        self._stop_signal = stop_signal
        self._guard = guard
        self._on_line = on_line
        self._last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._process = subprocess.Popen(  # noqa: S603  The commands are this package's own.
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        guard.watch(group_id=self.pid, last_signal=last_signal)
        self._reader = threading.Thread(target=self._read_lines, name=f"read {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id, which is also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the process ended, or None while it runs; -9 means signal 9."""
        return self._process.poll()

    def read_last_lines(self) -> str:
        """Return the last lines that the process wrote, complete once it has ended."""
        if self.exit_code is not None:
            self._reader.join(timeout=1)
        return "\n".join(self._last_lines)

    def ask_to_stop(self) -> None:
        """Send the process its stop signal, and do not wait."""
        if self.exit_code is None:
            self._process.send_signal(self._stop_signal)

    def stop(self, *, patience_seconds: float) -> int:
        """End the process and all that it started: in good order within this time, or by force."""
        self.ask_to_stop()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=patience_seconds)
        signal_group(self.pid, signal.SIGKILL)
        exit_code = self._process.wait()
        self._guard.forget(group_id=self.pid)
        self._reader.join(timeout=1)
        return exit_code

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for raw_line in self._process.stdout:
                line = raw_line.decode(errors="replace").rstrip()
                self._last_lines.append(line)
                if self._on_line is not None:
                    self._on_line(line)
