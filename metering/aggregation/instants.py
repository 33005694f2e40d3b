"""Instants as numbers that can be added up."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def count_microseconds(at: datetime) -> Decimal:
    """Count the microseconds from 1970 to an instant, the finest that is kept of one."""
    return Decimal((at - _EPOCH) // _MICROSECOND)
