"""One log for all processes: each line says whose it is."""

import threading
from collections import deque
from typing import TextIO

NAME_WIDTH = 8
KEPT_LINES = 500


class ServiceLog:
    """Lines of several processes, written one at a time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._held: deque[str] | None = None

    def write_line(self, name: str, line: str) -> None:
        """Write a line under the name of the process that it came from."""
        with self._lock:
            text = f"{name:<{NAME_WIDTH}} | {line}\n"
            if self._held is None:
                self._print(text)
            else:
                self._held.append(text)

    def hold(self) -> None:
        """Keep the lines from now on, so that something else can be read on the terminal."""
        with self._lock:
            self._held = deque(maxlen=KEPT_LINES)

    def release(self) -> None:
        """Write the lines that were kept, and go on writing."""
        with self._lock:
            held, self._held = self._held, None
            for text in held or ():
                self._print(text)

    def _print(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # The terminal is gone. The processes must not stop for that: they would, with their pipes full.
            return
