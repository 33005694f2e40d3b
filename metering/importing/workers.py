"""Processes that work on one thing after the other, and end with the one that started them.

Nothing here knows of Django's models: a process sets Django up before it reads what it is to do.
"""

import gc
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar, cast

import django

Task = TypeVar("Task")
Result = TypeVar("Result")

STOP_SECONDS = 60
ENDED = "A process has ended in the middle of its work."


class WorkFailed(Exception):
    """A process has failed at a task; the message is its traceback."""


class Workers(Generic[Task, Result]):
    """Some processes that call one function, which they can be sent, as can tasks and results."""

    def __init__(self, count: int, function: Callable[[Task], Result]) -> None:
        # Not forked: a copy of this process would share its connection to the database.
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes = []
        for _ in range(count):
            own, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()  # So that it reads the end when this process is gone.
            own.send(function)
            self._connections.append(own)
            self._processes.append(process)

    def run(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Hand out the tasks, one for each process at a time, and yield the results as they come.

        An error of the tasks themselves is raised when what was handed out before is done.

        Raises: WorkFailed.
        """
        waiting = iter(tasks)
        idle, busy = list(self._connections), list[Connection]()
        failure: Exception | None = None
        is_over = False
        while not is_over or busy:
            while idle and not is_over:
                try:
                    task = next(waiting)
                except StopIteration:
                    is_over = True
                except Exception as error:  # noqa: BLE001 (it is raised below)
                    failure, is_over = error, True
                else:
                    busy.append(idle.pop())
                    _send(busy[-1], task)
            for ready in cast("list[Connection]", wait(busy)) if busy else ():
                busy.remove(ready)
                idle.append(ready)
                yield cast("Result", _receive(ready))
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Have the processes finish what they are at, and end."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(STOP_SECONDS)


def _send(connection: Connection, task: object) -> None:
    try:
        connection.send(task)
    except OSError:
        raise WorkFailed(ENDED) from None


def _receive(connection: Connection) -> object:
    try:
        result, problem = connection.recv()
    except (EOFError, OSError):
        raise WorkFailed(ENDED) from None
    if problem is not None:
        raise WorkFailed(problem)
    return result


def _work(connection: Connection) -> None:
    """Work on what comes until nothing more does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first decides.
    django.setup()
    # Tens of thousands of events without a cycle among them: to look for any would take as long as the rest.
    gc.disable()
    gc.freeze()
    try:
        function = connection.recv()
        while True:
            task = connection.recv()
            answer: tuple[object, str | None]
            try:
                answer = function(task), None
            except Exception:  # noqa: BLE001 (whatever it is, it is for the one that started this)
                answer = None, traceback.format_exc()
            connection.send(answer)
            del task, answer
            gc.collect()
    except (EOFError, OSError):
        return
