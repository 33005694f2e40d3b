"""Settings of the metering app."""

from django.conf import settings

MAX_BATCH_LIMIT = 10_000


def read_batch_limit() -> int:
    """Return how many events one request may carry: the setting `BILLING_EVENT_BATCH_LIMIT`."""
    limit: int = settings.BILLING_EVENT_BATCH_LIMIT
    assert 1 <= limit <= MAX_BATCH_LIMIT, f"A batch may have 1 to {MAX_BATCH_LIMIT} events, not {limit}."
    return limit
