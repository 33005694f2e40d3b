"""Laying the schedule and the changes of a subscription into its stored periods and segments.

A change that is planned is written into the rows at once, so that usage is never put under the wrong terms,
however late a bill run comes by; rows that are made later take it from the changes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Max, Q

from billing_project.core import audit
from billing_project.core.errors import Conflict
from subscriptions.layout import arrange_segments, build_schedule, move_period, read_terms
from subscriptions.locks import lock_periods
from subscriptions.models import Period, Segment, Subscription
from subscriptions.operations.periods import ensure_periods
from subscriptions.queries import (
    find_last_segment,
    get_schedule,
    list_schedule_changes,
    list_segments,
    list_shifts,
)
from subscriptions.schedule import Schedule
from subscriptions.timeline import Shift, lay

SEGMENTS_PER_PERIOD = 200
_MOMENT = timedelta(microseconds=1)
_BOUNDS = (
    "starts_at",
    "ends_at",
    "nominal_starts_at",
    "nominal_ends_at",
    "is_trial",
    "timezone",
    "closes_at",
    "due_at",
)
_LAID = ("position", "starts_at", "ends_at", "quantities", "overrides", "is_paused")


class TooManyChanges(Conflict):
    """A period is parted into a limited number of segments."""

    code = "too_many_changes"


@transaction.atomic
def lay_again(*, subscription: Subscription, since: datetime, at: datetime) -> None:
    """Write what is planned into the stored rows, from `since` on; what was before stays as it is.

    Rows that have come to be missing are made. The caller holds the slot exclusively, and the subscription's
    lock.

    Raises: TooManyChanges.
    Locks: periods.
    """
    schedule = build_schedule(get_schedule(subscription), list_schedule_changes(subscription.pk))
    changes = audit.set_fields(subscription, {"epochs": schedule.to_plain()})
    if changes:
        subscription.save(update_fields=changes)
    periods = lock_periods(
        subscription_id=subscription.pk, where=Q(closed_at__isnull=True, ends_at__gte=since)
    )
    if periods:
        _lay_periods(subscription, periods, schedule=schedule, since=since)
    until = at if subscription.ends_at is None else max(at, subscription.ends_at - _MOMENT)
    ensure_periods(subscription_ids=[subscription.pk], until=until)


def _lay_periods(
    subscription: Subscription, periods: Sequence[Period], *, schedule: Schedule, since: datetime
) -> None:
    running = find_last_segment(subscription_id=subscription.pk, before=since)
    shifts = list_shifts(subscription.pk, since=since)
    _set_bounds(periods, schedule=schedule, ends_at=subscription.ends_at)
    segments = list_segments([period.pk for period in periods])
    for period in periods:
        own = [segment for segment in segments if segment.period_id == period.pk]
        _lay_segments(period, own, running=running, shifts=shifts)


def _set_bounds(periods: Sequence[Period], *, schedule: Schedule, ends_at: datetime | None) -> None:
    """Give periods the bounds of the schedule, up to the subscription's end; later ones have no length."""
    earlier = Period.objects.filter(subscription_id=periods[0].subscription_id, number__lt=periods[0].number)
    closes_at: datetime | None = earlier.aggregate(at=Max("closes_at"))["at"]
    moved = []
    for period in periods:
        before = [getattr(period, name) for name in _BOUNDS]
        closes_at = move_period(period, schedule.period(period.number), until=ends_at, closes_after=closes_at)
        if before != [getattr(period, name) for name in _BOUNDS]:
            moved.append(period)
    # Without length none of them has a start that another is about to get.
    Period.objects.filter(pk__in=[period.pk for period in moved]).update(ends_at=F("starts_at"))
    for period in moved:
        period.save(update_fields=_BOUNDS)


def _lay_segments(
    period: Period, segments: Sequence[Segment], *, running: Segment, shifts: Iterable[Shift]
) -> None:
    """Part a period anew from the segment that runs when the changes begin, or from its start."""
    first = running.position if running.period_id == period.pk and running.starts_at < period.ends_at else 0
    starts_at = running.starts_at if first else period.starts_at
    stretches = lay(
        starts_at=min(starts_at, period.ends_at),
        ends_at=period.ends_at,
        terms=read_terms(running),
        shifts=shifts,
    )
    kept, free = segments[:first], segments[first:]
    laid = list(arrange_segments(period, stretches, free=free, position=len(kept)))
    if len(kept) + len(laid) > SEGMENTS_PER_PERIOD:
        raise TooManyChanges(f"A period has at most {SEGMENTS_PER_PERIOD} segments.")
    _save_segments(laid, known=free)


def _save_segments(laid: Sequence[Segment], *, known: Sequence[Segment]) -> None:
    known_ids: set[UUID] = {segment.pk for segment in known}
    # Out of each other's way first: a position is had by one segment at any moment.
    Segment.objects.filter(pk__in=known_ids).update(position=F("position") + SEGMENTS_PER_PERIOD * 2)
    Segment.objects.bulk_update([segment for segment in laid if segment.pk in known_ids], _LAID)
    Segment.objects.bulk_create([segment for segment in laid if segment.pk not in known_ids])
