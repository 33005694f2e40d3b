"""When a change of a subscription takes effect, and what holds there."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Max

from billing_project.core.errors import InvalidInput
from subscriptions.layout import read_terms
from subscriptions.models import Period, Subscription
from subscriptions.queries import find_last_segment, list_shifts
from subscriptions.timeline import Terms, fold

# How far ahead a change can be planned.
PLAN_RANGE = timedelta(days=3_653)
_MOMENT = timedelta(microseconds=1)


class When(models.TextChoices):
    """When a change takes effect, if not at an instant of its own."""

    NOW = "Now", "Now"
    PERIOD_END = "PeriodEnd", "At the end of the period"


class InstantNotAhead(InvalidInput):
    """A change takes effect now or later, within ten years, and while the subscription runs."""

    code = "instant_not_ahead"


def find_instant(subscription: Subscription, *, when: When | datetime, at: datetime) -> datetime:
    """Find the instant at which a change takes effect.

    Raises: InstantNotAhead.
    """
    if when is When.NOW:
        instant = find_earliest_instant(subscription, at=at)
    elif when is When.PERIOD_END:
        instant = find_period_end(subscription, at=at)
    else:
        instant = when
    earliest = find_earliest_instant(subscription, at=at)
    if not earliest <= instant <= at + PLAN_RANGE:
        raise InstantNotAhead(
            f"A change takes effect from {earliest:%Y-%m-%d %H:%M} UTC on, within ten years.", field="when"
        )
    if subscription.ends_at is not None and instant >= subscription.ends_at:
        raise InstantNotAhead(
            f"The subscription ends at {subscription.ends_at:%Y-%m-%d %H:%M} UTC.", field="when"
        )
    return instant


def find_earliest_instant(subscription: Subscription, *, at: datetime) -> datetime:
    """Find the first instant from `at` on that is not before the start, nor within a closed period.

    A period can be closed beyond `at` only where the clocks of two servers differ.
    """
    closed = Period.objects.filter(subscription=subscription, closed_at__isnull=False)
    closed_until: datetime | None = closed.aggregate(at=Max("ends_at"))["at"]
    return max(at, subscription.starts_at, closed_until or at)


def find_period_end(subscription: Subscription, *, at: datetime) -> datetime:
    """Find the end of the period that contains an instant, or of the first one before the start."""
    return Period.objects.filter(subscription=subscription, ends_at__gt=at).order_by("number")[0].ends_at


def read_terms_at(subscription: Subscription, *, at: datetime) -> Terms:
    """Read the terms that hold at an instant, as far as is planned; also beyond what is stored."""
    segment = find_last_segment(subscription_id=subscription.pk, before=at + _MOMENT)
    shifts = list_shifts(subscription.pk, since=segment.ends_at)
    return fold(read_terms(segment), shifts, until=at)
