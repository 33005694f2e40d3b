"""Recognise what the database says when it was too busy, as opposed to wrong; and try again."""

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError
from psycopg import errors

from billing_project.core.errors import Busy

ATTEMPTS = 10
PAUSE_SECONDS = 0.2

Result = TypeVar("Result")

_CONTENTION = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


def is_contention(error: DatabaseError) -> bool:
    """Tell whether the same statement may well succeed in a moment: a lock timeout, a deadlock."""
    return isinstance(error.__cause__, _CONTENTION)


def try_again(function: Callable[[], Result]) -> Result:
    """Call a function, again if something else was working on the same just then, for about nine seconds.

    Raises: Busy, or the database's own error, if it stays that way.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return function()
        except Busy:
            pass
        except DatabaseError as error:
            if not is_contention(error):
                raise
        time.sleep(PAUSE_SECONDS * attempt)
    return function()
