"""Giving events that came before their subscription the segment that they count in."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from catalog.queries import read_meters_by_event_type
from metering.aggregation.rules import MeterRule
from metering.events import UsagePartlyMatched
from metering.ingest.matching import (
    FUTURE_TOLERANCE,
    Placement,
    count_stored_event,
    place,
)
from metering.ingest.reading import read_metered_types, read_open_segments, read_own_segments
from metering.ingest.writing import LateMark, MatchedEvent, mark_late_usage, match_events
from metering.meters import build_rule
from metering.models import UsageEvent
from metering.queries import list_unmatched_events
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Subscription
from subscriptions.operations import ensure_periods
from subscriptions.queries import get_subscription

EVENTS_PER_CALL = 5_000


@transaction.atomic
def match_unmatched_events(*, subscription_id: UUID, at: datetime, actor: Actor) -> int:
    """Give a new subscription the customer's unmatched events that it charges for, and return how many.

    They are those stamped from its start on. Ingest for the customer waits meanwhile, so one call takes a
    limited number, and where that was reached asks for the next. An event is matched once: doing it again is
    harmless.

    Raises: NotFound.
    Locks: slots (exclusive).
    Emits: usage.partly_matched, if there may be more.
    """
    customer_id = get_subscription(subscription_id).customer_id
    lock_slots_exclusive([subscription_id, customer_id])
    subscription = get_subscription(subscription_id)  # Its end may have moved while we waited.
    (event_types,) = read_metered_types([subscription.plan_version_id]).values()
    unmatched = list_unmatched_events(
        customer_id=customer_id,
        event_types=event_types,
        stamped_from=subscription.starts_at,
        stamped_before=subscription.ends_at,
        limit=EVENTS_PER_CALL,
    )
    if not unmatched:
        return 0
    placements = _place(unmatched, subscription, at=at)
    rules = _read_rules(event_types)
    matched = [
        MatchedEvent(
            uid=event.uid,
            customer_id=customer_id,
            event_id=event.event_id,
            placement=placement,
            counted=count_stored_event(
                event.properties, timestamp=event.timestamp, rules=rules[event.event_type]
            ),
        )
        for event, placement in zip(unmatched, placements, strict=True)
    ]
    count = match_events(matched=matched, at=at)
    mark_late_usage([LateMark(placement, at) for placement in placements])
    changes = {"matched_event_count": (0, count)}
    audit.record("usage.matched", subject=subscription, changes=changes, actor=actor, at=at)
    if len(unmatched) == EVENTS_PER_CALL:
        events.emit(UsagePartlyMatched(subscription), at=at)
    return count


def _place(unmatched: Sequence[UsageEvent], subscription: Subscription, *, at: datetime) -> list[Placement]:
    """Find the segment of each event: an open one, or, after the subscription's end, that of its own time."""
    ensure_periods(subscription_ids=[subscription.pk], until=at + FUTURE_TOLERANCE)
    open_segments = read_open_segments([subscription.pk]).get(subscription.pk, [])
    found = [place(timestamp=event.timestamp, segments=open_segments) for event in unmatched]
    if None in found:
        own_segments = read_own_segments([(subscription.pk, event.timestamp) for event in unmatched])
        found = [
            placement or place(timestamp=event.timestamp, segments=own_segments[subscription.pk])
            for event, placement in zip(unmatched, found, strict=True)
        ]
    placements = [placement for placement in found if placement is not None]
    assert len(placements) == len(unmatched), f"The periods of {subscription.pk} tile."
    return placements


def _read_rules(event_types: Collection[str]) -> Mapping[str, Sequence[MeterRule]]:
    meters = read_meters_by_event_type(event_types)
    return {event_type: [build_rule(meter) for meter in meters[event_type]] for event_type in event_types}
