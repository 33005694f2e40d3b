"""How the schedule and the changes of a subscription lie in its periods and segments; nothing is saved here.

Rows are changed in place: events, rollups and lines refer to them. None goes away; what has lost its place
stays without length.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from subscriptions.models import Period, PlannedChange, Segment
from subscriptions.schedule import AnchorMode, Cadence, Schedule, ScheduledPeriod
from subscriptions.timeline import Stretch, Terms


def build_schedule(first: Schedule, changes: Iterable[PlannedChange]) -> Schedule:
    """Build a schedule anew, from its first epoch and the changes that may move it, in their order."""
    schedule = Schedule(first.epochs[:1])
    for change in changes:
        if change.plan_version is not None:
            schedule = schedule.change_cadence(
                cadence=Cadence(change.plan_version.billing_cadence),
                anchor_mode=AnchorMode(change.plan_version.anchor),
                at=change.effective_at,
            )
        if change.timezone:
            schedule = schedule.change_timezone(timezone=change.timezone, at=change.effective_at)
    return schedule


def make_segment(period: Period, stretch: Stretch, *, position: int) -> Segment:
    """Build the segment of a stretch of a period."""
    segment = Segment(
        period=period,
        subscription_id=period.subscription_id,
        plan_version_id=stretch.terms.plan_version_id,
        position=position,
    )
    _set_terms(segment, stretch)
    return segment


def read_terms(segment: Segment) -> Terms:
    """Read the terms of a segment."""
    return Terms(
        plan_version_id=segment.plan_version_id,
        quantities=segment.quantities,
        overrides=segment.overrides,
        is_paused=segment.is_paused,
    )


def move_period(
    period: Period, scheduled: ScheduledPeriod, *, until: datetime | None, closes_after: datetime | None
) -> datetime:
    """Set the bounds of a period, and return when it closes: periods close in order."""
    ends_at = scheduled.ends_at if until is None else min(scheduled.ends_at, until)
    closes_at = ends_at + (period.closes_at - period.ends_at)
    if closes_after is not None:
        closes_at = max(closes_at, closes_after)
    assert period.due_at is not None, f"{period} is settled before its end."
    period.due_at = ends_at if period.due_at == period.ends_at else min(period.due_at, ends_at)
    period.starts_at = min(scheduled.starts_at, ends_at)
    period.ends_at = ends_at
    period.nominal_starts_at = min(scheduled.nominal_starts_at, period.starts_at)
    period.nominal_ends_at = scheduled.nominal_ends_at
    period.is_trial = scheduled.is_trial
    period.timezone = scheduled.timezone
    period.closes_at = closes_at
    return closes_at


def arrange_segments(
    period: Period, stretches: Sequence[Stretch], *, free: Sequence[Segment], position: int
) -> Iterator[Segment]:
    """Give each stretch its segment, and put those that are left over, without length, where they began.

    A segment goes on as the stretch that begins where it did, or else as one of those that are new. It never
    gets another plan version: what has been billed of it stays explained.
    """
    matched = dict(_match(stretches, free))
    left = [segment for segment in free if segment.pk not in {found.pk for found in matched.values()}]
    for number, stretch in enumerate(stretches):
        while left and left[0].starts_at <= stretch.starts_at:
            yield _place(left.pop(0), at=stretch.starts_at, position=position)
            position += 1
        segment = matched.get(number)
        if segment is None:
            yield make_segment(period, stretch, position=position)
        else:
            _set_terms(segment, stretch)
            segment.position = position
            yield segment
        position += 1
    for segment in left:
        yield _place(segment, at=period.ends_at, position=position)
        position += 1


def _match(stretches: Sequence[Stretch], free: Sequence[Segment]) -> Iterator[tuple[int, Segment]]:
    """Match the numbers of stretches with segments of the same plan version: by their start first."""
    left = list(free)
    unmatched = []
    for number, stretch in enumerate(stretches):
        fitting = [segment for segment in left if segment.plan_version_id == stretch.terms.plan_version_id]
        exact = [segment for segment in fitting if segment.starts_at == stretch.starts_at]
        # One with length has the usage; where there is none, an empty one comes to life again.
        found = max(exact, key=lambda segment: segment.ends_at, default=None)
        if found is None:
            unmatched.append((number, stretch))
        else:
            left.remove(found)
            yield number, found
    for number, stretch in unmatched:
        for segment in left:
            if segment.plan_version_id == stretch.terms.plan_version_id:
                left.remove(segment)
                yield number, segment
                break


def _place(segment: Segment, *, at: datetime, position: int) -> Segment:
    segment.starts_at = segment.ends_at = at
    segment.position = position
    return segment


def _set_terms(segment: Segment, stretch: Stretch) -> None:
    segment.starts_at = stretch.starts_at
    segment.ends_at = stretch.ends_at
    segment.quantities = dict(stretch.terms.quantities)
    segment.overrides = dict(stretch.terms.overrides)
    segment.is_paused = stretch.terms.is_paused
