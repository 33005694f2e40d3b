"""Taking events in: one short transaction for a batch, whatever it holds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.db import transaction

from billing_project.core.ids import make_id
from metering.ingest.copying import copy_events
from metering.ingest.incoming import EventRefused, IncomingEvent, IngestReport, Refusal, RefusalCode
from metering.ingest.matching import (
    FUTURE_TOLERANCE,
    Counted,
    Facts,
    SubscriptionFacts,
    check_customer,
    choose_subscription,
    count_event,
    place,
)
from metering.ingest.reading import Segments, read_facts, read_open_segments, read_own_segments
from metering.ingest.writing import (
    Key,
    LateMark,
    PlacedEvent,
    insert_events,
    mark_late_usage,
    read_stored,
)
from metering.operations.notes import note_ingest
from subscriptions.operations import ensure_periods


class InsertEvents(Protocol):
    """A way to store those events that are not stored yet, with their rollups; tells how many they were."""

    def __call__(self, *, placed: Sequence[PlacedEvent], at: datetime) -> int:
        """Store events."""


@transaction.atomic
def ingest_events(*, events: Sequence[IncomingEvent | Refusal], at: datetime) -> IngestReport:
    """Store a batch of events, each in the segment that it is billed in, and report on every one of them.

    What could not be read comes as a refusal, and stays one. An event that is stored already is a duplicate,
    or a conflict if its content is another, whatever would be said of it by now: what was accepted stays so.

    What was not stored is noted, for some days.

    Raises: Busy if one of the customers subscribes at this very moment.
    Locks: slots (shared).
    """
    report = _take_in(events, at=at, insert=insert_events)
    if report.refusals or report.repeated:
        note_ingest(events=events, report=report, at=at)
    return report


@transaction.atomic
def ingest_many_events(*, events: Sequence[IncomingEvent | Refusal], at: datetime) -> IngestReport:
    """Do the same for as many events as fit into memory; only the way they are stored is another.

    Raises: Busy if one of the customers subscribes at this very moment.
    Locks: slots (shared).
    """
    return _take_in(events, at=at, insert=copy_events)


def _take_in(
    events: Sequence[IncomingEvent | Refusal], *, at: datetime, insert: InsertEvents
) -> IngestReport:
    readable = [event for event in events if isinstance(event, IncomingEvent)]
    unreadable = [event for event in events if isinstance(event, Refusal)]
    if not readable:
        return IngestReport(accepted=0, repeated=(), refusals=tuple(unreadable))
    batch = _sort(readable, read_facts(events=readable, at=at))
    _place_waiting(batch)
    fresh = _store(batch, at=at, insert=insert)
    mark_late_usage(_list_marks(fresh, batch.facts))
    repeated = [event for event in batch.known if batch.is_stored(event)]
    conflicts = [_refuse_conflict(event) for event in batch.known if not batch.is_stored(event)]
    refusals = [
        *unreadable,
        *conflicts,
        *(Refusal(event.index, event.event_id, why.code, why.detail) for event, why in batch.refused),
    ]
    return IngestReport(
        accepted=len(fresh),
        repeated=tuple(repeated),
        refusals=tuple(sorted(refusals, key=lambda refusal: refusal.index)),
    )


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An event that can be accepted, but for which no open period is stored."""

    event: IncomingEvent
    subscription: SubscriptionFacts
    counted: Sequence[Counted]


@dataclass(slots=True)
class _Batch:
    """The events of a batch, by what has become of them so far.

    `known` are those whose key is stored already, or comes before in the batch: `firsts` are the first that
    can be accepted under each key, and `hashes` the contents that are stored, once they had to be read.
    """

    facts: Facts
    firsts: dict[Key, IncomingEvent] = field(default_factory=dict)
    placed: list[PlacedEvent] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)
    refused: list[tuple[IncomingEvent, EventRefused]] = field(default_factory=list)
    known: list[IncomingEvent] = field(default_factory=list)
    hashes: dict[Key, bytes] = field(default_factory=dict)

    def is_stored(self, event: IncomingEvent) -> bool:
        """Tell whether what is known under the event's key is this very event."""
        stored = self.hashes.get(event.key) or self.firsts[event.key].content_hash
        return stored == event.content_hash


def _sort(events: Sequence[IncomingEvent], facts: Facts) -> _Batch:
    """Decide on each event as far as the facts go."""
    batch = _Batch(facts)
    for event in events:
        try:
            customer = check_customer(event, facts)
            subscription = choose_subscription(event, customer, facts)
            counted = count_event(
                event.properties, timestamp=event.timestamp, rules=facts.rules.get(event.event_type, ())
            )
        except EventRefused as refused:
            batch.refused.append((event, refused))
            continue
        if batch.firsts.setdefault(event.key, event) is not event:
            batch.known.append(event)
            continue
        if subscription is None:
            batch.placed.append(PlacedEvent(make_id(), event, None, ()))
            continue
        placement = place(timestamp=event.timestamp, segments=facts.segments.get(subscription.id, ()))
        if placement is None:
            batch.waiting.append(_Waiting(event, subscription, counted))
        else:
            batch.placed.append(PlacedEvent(make_id(), event, placement, counted))
    return batch


def _place_waiting(batch: _Batch) -> None:
    """Find a place for events without one: in a period that is made now, or in a closed one after the end.

    A subscription that has no end always has an open period, but its row may not be made yet; one that has an
    end has all its rows, and when they are closed, takes what is still late in the segment of the event's own
    time.
    """
    if not batch.waiting:
        return
    segments = _make_periods(batch) | _read_closed(batch)
    for item in batch.waiting:
        placement = place(timestamp=item.event.timestamp, segments=segments.get(item.subscription.id, ()))
        assert placement is not None, f"No period of {item.subscription.id} takes {item.event.timestamp}."
        batch.placed.append(PlacedEvent(make_id(), item.event, placement, item.counted))


def _make_periods(batch: _Batch) -> Segments:
    by_time: defaultdict[datetime, set[UUID]] = defaultdict(set)
    for item in batch.waiting:
        if item.subscription.ends_at is None:
            # No accepted event is later than that by its customer's clock.
            until = batch.facts.customers[item.event.customer_id].now + FUTURE_TOLERANCE
            by_time[until].add(item.subscription.id)
    for until, subscription_ids in by_time.items():
        ensure_periods(subscription_ids=subscription_ids, until=until)
    return read_open_segments(set().union(*by_time.values())) if by_time else {}


def _read_closed(batch: _Batch) -> Segments:
    late = [
        (item.subscription.id, item.event.timestamp)
        for item in batch.waiting
        if item.subscription.ends_at is not None
    ]
    return read_own_segments(late) if late else {}


def _store(batch: _Batch, *, at: datetime, insert: InsertEvents) -> list[PlacedEvent]:
    """Insert what is placed, and find out what was there; return what was not."""
    placed = batch.placed
    inserted_count = insert(placed=placed, at=at) if placed else 0
    if inserted_count == len(placed) and not batch.refused:
        return placed
    stored = read_stored({*batch.firsts, *(event.key for event, _ in batch.refused)})
    batch.hashes = {key: row.content_hash for key, row in stored.items()}
    fresh = [item for item in placed if stored[item.event.key].uid == item.uid]
    batch.known += [item.event for item in placed if stored[item.event.key].uid != item.uid]
    # What this batch has stored itself was there for those that come after it.
    stored_at = {item.event.key: item.event.index for item in fresh}
    refused, batch.refused = batch.refused, []
    for event, why in refused:
        if event.key in batch.hashes and stored_at.get(event.key, -1) < event.index:
            batch.known.append(event)
        else:
            batch.refused.append((event, why))
    return fresh


def _list_marks(events: Sequence[PlacedEvent], facts: Facts) -> list[LateMark]:
    return [
        LateMark(item.placement, facts.customers[item.event.customer_id].now)
        for item in events
        if item.placement is not None and item.placement.late_period_id is not None
    ]


def _refuse_conflict(event: IncomingEvent) -> Refusal:
    detail = f"The customer has another event {event.event_id!r}, with other content. That one stays."
    return Refusal(event.index, event.event_id, RefusalCode.CONFLICT, detail)
