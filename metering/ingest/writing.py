"""Writing a batch: its events, and what they add to the rollups, in one statement.

Two batches cannot deadlock: each inserts its events in the order of their key, then touches rollups in the
order of theirs; the grouping makes PostgreSQL finish the one before it begins the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from metering.ingest.incoming import IncomingEvent
from metering.ingest.matching import Contribution, Placement
from metering.ingest.statements import fetch_row, fetch_rows, write_uuids
from metering.models import LateUsage

# How many rows a total is spread over, so that writers of one customer seldom wait for each other.
# Connections that are opened together have process numbers that follow each other.
STRIPE_COUNT = 8

Key = tuple[UUID, str]

# What follows `kept` (uid, customer_id, segment_id, billed_at, is_late), the events that are to be counted.
ROLLUPS = f"""
    counted AS (
        SELECT * FROM json_to_recordset(%(counted)s::json) AS counted (uid uuid, meter_id uuid, value numeric)
    ), rolled_up AS (
        INSERT INTO metering_usagerollup AS rollup (
            customer_id, segment_id, meter_id, hour_at, group_key, stripe,
            total, event_count, late_total, late_count
        )
        SELECT
            kept.customer_id, kept.segment_id, counted.meter_id, date_trunc('hour', kept.billed_at, 'UTC'),
            '', pg_backend_pid() %% {STRIPE_COUNT},
            sum(counted.value), count(*),
            coalesce(sum(counted.value) FILTER (WHERE kept.is_late), 0), count(*) FILTER (WHERE kept.is_late)
        FROM kept JOIN counted ON counted.uid = kept.uid
        GROUP BY 1, 2, 3, 4
        ORDER BY 1, 2, 3, 4
        ON CONFLICT (customer_id, segment_id, meter_id, hour_at, group_key, stripe) DO UPDATE SET
            total = rollup.total + excluded.total,
            event_count = rollup.event_count + excluded.event_count,
            late_total = rollup.late_total + excluded.late_total,
            late_count = rollup.late_count + excluded.late_count
    )
    SELECT count(*) FROM kept
"""  # noqa: S608 (a number from above)

INSERT_EVENTS = f"""
    WITH given AS (
        SELECT * FROM json_to_recordset(%(rows)s::json) AS given (
            uid uuid, customer_id uuid, event_id text, event_type text, subscription_id uuid, segment_id uuid,
            "timestamp" timestamptz, billed_at timestamptz, is_late boolean,
            properties jsonb, content_hash bytea
        )
    ), kept AS (
        INSERT INTO metering_usageevent (
            uid, customer_id, event_id, event_type, subscription_id, segment_id,
            "timestamp", billed_at, is_late, received_at, properties, content_hash
        )
        SELECT
            uid, customer_id, event_id, event_type, subscription_id, segment_id,
            "timestamp", billed_at, is_late, %(at)s, properties, content_hash
        FROM given
        ORDER BY customer_id, event_id COLLATE "C"
        ON CONFLICT (customer_id, event_id) DO NOTHING
        RETURNING uid, customer_id, segment_id, billed_at, is_late
    ), {ROLLUPS}
"""  # noqa: S608 (written above)

MATCH_EVENTS = f"""
    WITH given AS (
        SELECT * FROM json_to_recordset(%(rows)s::json) AS given (
            customer_id uuid, event_id text, subscription_id uuid, segment_id uuid,
            billed_at timestamptz, is_late boolean
        )
    ), kept AS (
        UPDATE metering_usageevent AS event SET
            subscription_id = given.subscription_id, segment_id = given.segment_id,
            billed_at = given.billed_at, is_late = given.is_late
        FROM given
        WHERE event.customer_id = given.customer_id AND event.event_id = given.event_id
        AND event.segment_id IS NULL
        RETURNING event.uid, event.customer_id, event.segment_id, event.billed_at, event.is_late
    ), {ROLLUPS}
"""  # noqa: S608 (written above)

# The lateral join with its OFFSET is looked up key by key, each in one partition, whatever the plan.
STORED = """
    SELECT event.customer_id, event.event_id, event.uid, event.content_hash
    FROM unnest(%(customer_ids)s::uuid[], %(event_ids)s::text[]) AS sent (customer_id, event_id)
    CROSS JOIN LATERAL (
        SELECT * FROM metering_usageevent
        WHERE customer_id = sent.customer_id AND event_id = sent.event_id
        OFFSET 0
    ) AS event
"""


class PlacedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event with all that was decided about it; without a placement it is unmatched, and not counted."""

    uid: UUID
    event: IncomingEvent
    placement: Placement | None
    contributions: Sequence[Contribution]


class MatchedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that is stored unmatched, and what was decided about it now."""

    uid: UUID
    customer_id: UUID
    event_id: str
    placement: Placement
    contributions: Sequence[Contribution]


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """What is stored under a key."""

    uid: UUID
    content_hash: bytes


class LateMark(msgspec.Struct, frozen=True, gc=False):
    """A placement in a closed period, and when that happened by the customer's clock."""

    placement: Placement
    noted_at: datetime


class _EventRow(msgspec.Struct, gc=False):
    uid: UUID
    customer_id: UUID
    event_id: str
    event_type: str
    subscription_id: UUID | None
    segment_id: UUID | None
    timestamp: datetime
    billed_at: datetime | None
    is_late: bool
    properties: msgspec.Raw
    content_hash: str


class _MatchRow(msgspec.Struct, gc=False):
    customer_id: UUID
    event_id: str
    subscription_id: UUID
    segment_id: UUID
    billed_at: datetime
    is_late: bool


class _CountedRow(msgspec.Struct, gc=False):
    uid: UUID
    meter_id: UUID
    value: Decimal


_JSON = msgspec.json.Encoder(decimal_format="number")


def insert_events(*, placed: Sequence[PlacedEvent], at: datetime) -> int:
    """Store those events that are not stored yet, and add them to the rollups; return how many they were.

    Waits for another transaction that is storing the same event.
    """
    return _write(INSERT_EVENTS, rows=[_make_event_row(item) for item in placed], counted=placed, at=at)


def match_events(*, matched: Sequence[MatchedEvent], at: datetime) -> int:
    """Give events that are still unmatched their segment, and add them to the rollups; return how many."""
    return _write(MATCH_EVENTS, rows=[_make_match_row(item) for item in matched], counted=matched, at=at)


def mark_late_usage(marks: Sequence[LateMark]) -> None:
    """Mark closed periods that received events, so that a bill run bills them once more.

    A mark that is there already is left: whoever takes it holds the slot exclusively, and so waits for us.
    """
    rows = {
        mark.placement.late_period_id: LateUsage(
            subscription_id=mark.placement.subscription_id,
            period_id=mark.placement.late_period_id,
            noted_at=mark.noted_at,
        )
        for mark in marks
        if mark.placement.late_period_id is not None
    }
    if rows:  # In the order of the key, so that two batches cannot deadlock.
        LateUsage.objects.bulk_create([rows[period_id] for period_id in sorted(rows)], ignore_conflicts=True)


def read_stored(keys: Iterable[Key]) -> Mapping[Key, StoredEvent]:
    """Read what is stored under keys; after an insert, also what another batch has stored meanwhile."""
    listed = list(keys)
    parameters = {
        "customer_ids": write_uuids(customer_id for customer_id, _ in listed),
        "event_ids": [event_id for _, event_id in listed],
    }
    return {
        (customer_id, event_id): StoredEvent(uid, bytes(content_hash))
        for customer_id, event_id, uid, content_hash in fetch_rows(STORED, parameters)
    }


def _write(
    statement: str,
    *,
    rows: Sequence[_EventRow] | Sequence[_MatchRow],
    counted: Sequence[PlacedEvent] | Sequence[MatchedEvent],
    at: datetime,
) -> int:
    contributions = [
        _CountedRow(item.uid, meter_id, value) for item in counted for meter_id, value in item.contributions
    ]
    parameters = {
        "rows": _JSON.encode(rows).decode(),
        "counted": _JSON.encode(contributions).decode(),
        "at": at,
    }
    (count,) = fetch_row(statement, parameters)
    return int(count)


def _make_event_row(item: PlacedEvent) -> _EventRow:
    event, placement = item.event, item.placement
    return _EventRow(
        uid=item.uid,
        customer_id=event.customer_id,
        event_id=event.event_id,
        event_type=event.event_type,
        subscription_id=None if placement is None else placement.subscription_id,
        segment_id=None if placement is None else placement.segment_id,
        timestamp=event.timestamp,
        billed_at=None if placement is None else placement.billed_at,
        is_late=False if placement is None else placement.is_late,
        properties=msgspec.Raw(event.encoded_properties),
        content_hash=f"\\x{event.content_hash.hex()}",
    )


def _make_match_row(item: MatchedEvent) -> _MatchRow:
    return _MatchRow(
        customer_id=item.customer_id,
        event_id=item.event_id,
        subscription_id=item.placement.subscription_id,
        segment_id=item.placement.segment_id,
        billed_at=item.placement.billed_at,
        is_late=item.placement.is_late,
    )
