"""What a part of a period is of the whole: an exact fraction, counted in local days.

A day in which a change falls belongs to what begins in it: the day of subscribing counts in full, on the
day of a plan change the new plan is paid and not the old one, and the day of a cancellation that takes
effect at once is not paid. So each day is counted once, and the shares of a period's segments add up to the
share of the period.
"""

from datetime import datetime
from fractions import Fraction

from billing_project.core.money import Rounding, multiply_ratio
from billing_project.core.periods import count_days


def share_of_days(
    *,
    starts_at: datetime,
    ends_at: datetime,
    period_starts_at: datetime,
    period_ends_at: datetime,
    timezone: str,
) -> Fraction:
    """Compute the share that a segment has of a period's local days.

    Give the nominal bounds of the period to prorate a fee, whose amount is that of a full period. Give the
    period's own bounds to share out what holds once in it (free units, tiers, minimum, maximum) among its
    segments.

    A period that begins and ends in one day has that day, and the segment that reaches its end has it.
    """
    assert period_starts_at <= starts_at <= ends_at <= period_ends_at, (
        f"The segment from {starts_at} to {ends_at} is not within {period_starts_at} to {period_ends_at}"
    )
    period_days = count_days(period_starts_at, period_ends_at, timezone=timezone)
    if period_days == 0:
        return Fraction(1 if starts_at < ends_at == period_ends_at else 0)
    return Fraction(count_days(starts_at, ends_at, timezone=timezone), period_days)


def prorate(amount_nanos: int, share: Fraction, rounding: Rounding) -> int:
    """Take a share of a fee, or of a difference between two, and round to a whole nano."""
    assert 0 <= share <= 1, f"A share lies between nothing and the whole: {share}"
    return multiply_ratio(amount_nanos, share, rounding)
