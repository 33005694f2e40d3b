"""Recognise what the database says when it was too busy, as opposed to wrong."""

from django.db import DatabaseError
from psycopg import errors

_CONTENTION = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


def is_contention(error: DatabaseError) -> bool:
    """Tell whether the same statement may well succeed in a moment: a lock timeout, a deadlock."""
    return isinstance(error.__cause__, _CONTENTION)
