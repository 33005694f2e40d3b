"""Giving events that came before their subscription the segment that they count in.

A new subscription takes by itself what is stamped from its start on. What else should count for one, such as
what was used before the contract was entered, is for staff to say.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, InvalidInput, NotFound
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
from metering.operations.corrections import VOID_LIMIT, TooManyEventsSelected
from metering.queries import list_unmatched_events
from metering.queries.corrections import EventSelection, select_events
from metering.reasons import check_reason
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Subscription
from subscriptions.operations import ensure_periods
from subscriptions.queries import get_subscription

EVENTS_PER_CALL = 5_000


class UnknownSubscription(InvalidInput):
    """Events are to count for a subscription that the customer does not have."""

    code = "unknown_subscription"


class NothingToMatch(Conflict):
    """No event is meant that could be matched."""

    code = "nothing_to_match"


@dataclass(frozen=True, slots=True)
class Matched:
    """How many events were matched, and the segments that they count in."""

    count: int
    segment_ids: frozenset[UUID]


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
    count = _match(unmatched, subscription, at=at).count
    changes = {"matched_event_count": (0, count)}
    audit.record("usage.matched", subject=subscription, changes=changes, actor=actor, at=at)
    if len(unmatched) == EVENTS_PER_CALL:
        events.emit(UsagePartlyMatched(subscription), at=at)
    return count


@transaction.atomic
def match_selected_events(
    *, selection: EventSelection, subscription_id: UUID, reason: str, at: datetime, actor: Actor
) -> Matched:
    """Have a subscription take the events that are meant, if they are unmatched and it charges for them.

    They may be older than the subscription: its first open period takes them, as it takes late ones. Those
    that are stamped after its end stay as they are.

    Raises: UnknownSubscription; SelectionTooWide; InvalidPropertyValue; TooManyEventsSelected;
    NothingToMatch; CorrectionReasonMissing.
    Locks: slots (exclusive).
    """
    check_reason(reason)
    customer_id = selection.customer_id
    lock_slots_exclusive([subscription_id, customer_id])
    subscription = _get_own_subscription(subscription_id, customer_id=customer_id)
    (event_types,) = read_metered_types([subscription.plan_version_id]).values()
    meant = select_events(selection).filter(segment_id__isnull=True, event_type__in=event_types)
    if subscription.ends_at is not None:
        meant = meant.filter(timestamp__lt=subscription.ends_at)
    found = list(meant.order_by("event_id")[: VOID_LIMIT + 1])
    if len(found) > VOID_LIMIT:
        detail = f"More than {VOID_LIMIT:,} events are meant. Narrow it down, and do it in parts."
        raise TooManyEventsSelected(detail)
    if not found:
        detail = "No event is meant that is unmatched and of a type that the subscription charges for."
        raise NothingToMatch(detail)
    matched = _match(found, subscription, at=at)
    changes = {"matched_event_count": (0, matched.count), "reason": (None, reason.strip())}
    audit.record("usage.matched", subject=subscription, changes=changes, actor=actor, at=at)
    return matched


def _get_own_subscription(subscription_id: UUID, *, customer_id: UUID) -> Subscription:
    """Read a subscription of the customer.

    Raises: UnknownSubscription.
    """
    try:
        subscription = get_subscription(subscription_id)
    except NotFound:
        subscription = None
    if subscription is None or subscription.customer_id != customer_id:
        detail = f"Customer {customer_id} has no subscription {subscription_id}."
        raise UnknownSubscription(detail, field="subscription_id")
    return subscription


def _match(unmatched: Sequence[UsageEvent], subscription: Subscription, *, at: datetime) -> Matched:
    """Give events their segments. They are of types that are charged for, and the slots are held."""
    placements = _place(unmatched, subscription, at=at)
    rules = _read_rules({event.event_type for event in unmatched})
    matched = [
        MatchedEvent(
            uid=event.uid,
            customer_id=event.customer_id,
            event_id=event.event_id,
            placement=placement,
            counted=count_stored_event(
                event.properties, timestamp=event.timestamp, rules=rules[event.event_type]
            ),
        )
        for event, placement in zip(unmatched, placements, strict=True)
    ]
    count = match_events(matched=matched, at=at)
    assert count == len(matched), "Nobody else matches events while the customer's slot is held."
    mark_late_usage([LateMark(placement, at) for placement in placements])
    return Matched(count, frozenset(placement.segment_id for placement in placements))


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
