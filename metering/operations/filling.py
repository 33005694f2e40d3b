"""Filling a meter that began to count after events had come: those are counted from what is stored.

Ingest counts for a meter from the moment it sees it. Whoever fills the meter first waits for the batches that
may not have seen it. From then on, each event that comes is counted as it comes, and each stretch of a
segment is counted anew, under its slot, from the events that are stored: so nothing is missed or doubled.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from catalog.queries import get_meter
from metering.meters import build_rule
from metering.models import FillStatus, MeterFill
from metering.operations.rebuilding import rebuild_stretch
from metering.queries import count_matched_events, find_next_segment, select_used_segments
from metering.queries.archives import UsageArchived
from metering.recounting import find_stretch
from metering.states import TRANSITIONS
from subscriptions.locks import outwait_slots

# An install with no more events than these is filled at once: ingest waits for a second at most.
FEW_EVENTS = 100


@transaction.atomic
def start_fill(*, meter_id: UUID, at: datetime, actor: Actor) -> MeterFill:
    """Ask for a fill of a meter; where there are few events yet, do it on the spot.

    Raises: NotFound.
    Locks: slots (exclusive), if there are few events; fill.
    """
    meter = get_meter(meter_id)
    is_small = _has_few_events()
    if is_small:
        outwait_slots()  # They are kept to the end: what is there now is all there is.
        is_small = _has_few_events()
    fill = MeterFill.objects.create(meter=meter)
    changes = audit.made(fill, "meter_id", "status")
    audit.record("meter_fill.requested", subject=fill, changes=changes, actor=actor, at=at)
    if is_small:
        begin_fill(fill_id=fill.pk, at=at, actor=actor)
        while fill_next_stretch(fill_id=fill.pk, at=at, actor=actor):
            pass
        fill.refresh_from_db()
    return fill


@transaction.atomic
def begin_fill(*, fill_id: UUID, at: datetime, actor: Actor) -> MeterFill:
    """Begin a fill that has not begun. Since it was asked for, the caller has waited for every batch.

    Locks: fill.
    """
    fill = MeterFill.objects.select_for_update(of=("self",), no_key=True).get(pk=fill_id)
    if fill.status == FillStatus.PENDING:
        changes = {
            "status": FillStatus.RUNNING,
            "started_at": at,
            "segment_count": select_used_segments().count(),
        }
        _change(fill, changes, action="meter_fill.started", at=at, actor=actor)
    return fill


@transaction.atomic
def fill_next_stretch(*, fill_id: UUID, at: datetime, actor: Actor) -> bool:
    """Count the next stretch of a segment for the meter of a fill that has begun.

    Returns whether the caller has more to do: not if that was all, nor if another worker is at it.

    Locks: fill, slot (exclusive).
    """
    fill = _take(fill_id)
    if fill is None:
        return False
    segment = find_next_segment(fill)
    if segment is None:
        changes = {"status": FillStatus.COMPLETED, "completed_at": at, "segment_count": fill.done_count}
        _change(fill, changes, action="meter_fill.completed", at=at, actor=actor)
        return False
    is_begun = fill.segment_id == segment.pk
    stretch = find_stretch(segment, starts_at=fill.reached_at if is_begun else None)
    is_done = stretch.ends_at is None
    try:
        rebuild_stretch(segment_id=segment.pk, stretch=stretch, rules=[build_rule(fill.meter)])
    except UsageArchived:  # Since it was found: archived segments are not filled.
        is_done = True
    fill.segment_id = None if is_done else segment.pk
    fill.reached_at = None if is_done else stretch.ends_at
    if is_done:
        fill.cursor = segment.pk
        fill.done_count += 1
    fill.save(update_fields=["segment_id", "reached_at", "cursor", "done_count"])
    return True


def _has_few_events() -> bool:
    return count_matched_events(limit=FEW_EVENTS + 1) <= FEW_EVENTS


def _take(fill_id: UUID) -> MeterFill | None:
    """Lock a fill that is under way, and that nobody else is working on at this moment."""
    fills = MeterFill.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
    return fills.select_related("meter").filter(pk=fill_id, status=FillStatus.RUNNING).first()


def _change(fill: MeterFill, values: dict[str, object], *, action: str, at: datetime, actor: Actor) -> None:
    assert values["status"] in TRANSITIONS[FillStatus(fill.status)], f"Fill {fill.pk} is {fill.status}."
    changes = audit.set_fields(fill, values)
    fill.save(update_fields=changes)
    audit.record(action, subject=fill, changes=changes, actor=actor, at=at)
