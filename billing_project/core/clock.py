"""The clock. Only interfaces read it, once for each request, task or command, and pass `at` down."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present instant, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 (the only reader of the clock)
