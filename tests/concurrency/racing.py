"""Real races: threads with connections of their own, let go at the same moment."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections

PATIENCE_SECONDS = 60


class Meeting:
    """Where two racers meet: the first stops in its transaction until the second waits for it, or is done."""

    def __init__(self) -> None:
        self.is_first_inside = threading.Event()
        self.is_second_done = threading.Event()

    def stop_inside(self) -> None:
        """Let the second one go, and wait until it cannot go on, or has finished."""
        self.is_first_inside.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_second_done.is_set() and not self._is_somebody_waiting():
            assert time.monotonic() < deadline, "The second racer neither waits nor finishes."
            time.sleep(0.005)

    @contextmanager
    def entering_second(self) -> Iterator[None]:
        """Wait until the first one is inside, and say when done."""
        assert self.is_first_inside.wait(PATIENCE_SECONDS)
        try:
            yield
        finally:
            self.is_second_done.set()

    @staticmethod
    def _is_somebody_waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                # What is waited for may be another transaction, which belongs to no database; who waits does.
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_locks"
                " WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
            )
            return bool(cursor.fetchone()[0])


def race(*functions: Callable[[], Any]) -> list[Any]:
    """Run the functions at once, each in a thread, and return what each returned or raised, in order."""
    barrier = threading.Barrier(len(functions))
    outcomes: list[Any] = [None] * len(functions)

    def run(number: int, function: Callable[[], Any]) -> None:
        try:
            barrier.wait(PATIENCE_SECONDS)
            outcomes[number] = function()
        except BaseException as error:  # noqa: BLE001 (an outcome like any other; the test looks at it)
            outcomes[number] = error
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=run, args=(number, function), daemon=True)
        for number, function in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive(), "A racer hangs."
    return outcomes


def errors_of(outcomes: Sequence[Any]) -> list[BaseException]:
    """List what was raised."""
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
