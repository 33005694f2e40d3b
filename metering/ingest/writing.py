"""Writing a batch: its events, and what they add to the rollups, in one statement.

Two batches cannot deadlock: each inserts its events in the order of their key, then touches rollups in the
order of theirs; the grouping makes PostgreSQL finish the one before it begins the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from billing_project.core.money import EXACT
from billing_project.core.statements import fetch_row, fetch_rows, write_uuids
from metering.aggregation.instants import count_microseconds
from metering.aggregation.rules import NO_GROUP
from metering.aggregation.types import State
from metering.ingest.incoming import IncomingEvent
from metering.ingest.matching import Counted, Placement
from metering.models import LateUsage

# How many rows a total is spread over, so that writers of one customer seldom wait for each other.
# Connections that are opened together have process numbers that follow each other.
STRIPE_COUNT = 8

Key = tuple[UUID, str]

# What an event is stored as, but for the time of its receipt, and what it adds, in the order in which they
# are handed over. What it adds has a `moment`, a `rank` or a `member` where the aggregation keeps such a
# state, and an `hour_at` where the local hour is not an hour of UTC.
EVENT_COLUMNS = """
    uid uuid, customer_id uuid, event_id text, event_type text, subscription_id uuid, segment_id uuid,
    "timestamp" timestamptz, billed_at timestamptz, is_late boolean, properties jsonb, content_hash bytea
"""
COUNTED_COLUMNS = """
    uid uuid, meter_id uuid, value numeric, group_key text, hour_at timestamptz,
    moment numeric, rank numeric, member text
"""


# Whoever moves events to an archive holds all slots that an event of the customer may come under, and nobody
# else: so this statement finds an old id in one of the two tables. As long as nothing is archived, no key is
# looked up; with its OFFSET, the second look goes from key to key, each in one partition, whatever the plan.
IS_NOT_ARCHIVED = """(
    NOT EXISTS (SELECT 1 FROM metering_eventarchive)
    OR NOT EXISTS (
        SELECT 1 FROM metering_archivedevent AS archived
        WHERE archived.customer_id = given.customer_id AND archived.event_id = given.event_id
        OFFSET 0
    )
)"""


def write_rollups(*, counted: str) -> str:
    """Write what follows `kept` (uid, customer_id, segment_id, billed_at, is_late), the events that count.

    `counted` is where what they add comes from, under that name.
    """
    return f"""
    counted AS (
        SELECT
            kept.customer_id, kept.segment_id, counted.meter_id,
            coalesce(counted.hour_at, date_trunc('hour', kept.billed_at, 'UTC')) AS hour_at,
            coalesce(counted.group_key, '') AS group_key, kept.is_late,
            counted.value, counted.moment, counted.rank, counted.member
        FROM kept JOIN {counted} ON counted.uid = kept.uid
    ), rolled_up AS (
        INSERT INTO metering_usagerollup AS rollup (
            customer_id, segment_id, meter_id, hour_at, group_key, stripe,
            total, event_count, late_total, late_count, moment, lead_rank, lead_value
        )
        SELECT
            customer_id, segment_id, meter_id, hour_at, group_key, pg_backend_pid() %% {STRIPE_COUNT},
            sum(value), count(*),
            coalesce(sum(value) FILTER (WHERE is_late), 0), count(*) FILTER (WHERE is_late),
            sum(moment), max(rank),
            (array_agg(value ORDER BY rank DESC, value DESC) FILTER (WHERE rank IS NOT NULL))[1]
        FROM counted
        GROUP BY 1, 2, 3, 4, 5
        ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (customer_id, segment_id, meter_id, hour_at, group_key, stripe) DO UPDATE SET
            total = rollup.total + excluded.total,
            event_count = rollup.event_count + excluded.event_count,
            late_total = rollup.late_total + excluded.late_total,
            late_count = rollup.late_count + excluded.late_count,
            moment = rollup.moment + excluded.moment,
            lead_rank = greatest(rollup.lead_rank, excluded.lead_rank),
            lead_value = CASE
                WHEN (rollup.lead_rank, rollup.lead_value) >= (excluded.lead_rank, excluded.lead_value)
                THEN rollup.lead_value ELSE excluded.lead_value
            END
    ), kept_values AS (
        INSERT INTO metering_usagevalue AS kept_value (
            customer_id, segment_id, meter_id, hour_at, group_key, value, stripe, event_count
        )
        SELECT
            customer_id, segment_id, meter_id, hour_at, group_key, member, pg_backend_pid() %% {STRIPE_COUNT},
            count(*)
        FROM counted
        WHERE member IS NOT NULL
        GROUP BY 1, 2, 3, 4, 5, 6
        ORDER BY 1, 2, 3, 4, 5, 6
        ON CONFLICT (customer_id, segment_id, meter_id, hour_at, group_key, value, stripe) DO UPDATE SET
            event_count = kept_value.event_count + excluded.event_count
    )
    SELECT count(*) FROM kept
    """  # noqa: S608 (from above, and our own)


def write_insert(*, given: str, counted: str) -> str:
    """Write the statement that stores those of the given events that are not stored yet, and counts them."""
    return f"""
    WITH given AS (
        SELECT * FROM {given}
    ), kept AS (
        INSERT INTO metering_usageevent (
            uid, customer_id, event_id, event_type, subscription_id, segment_id,
            "timestamp", billed_at, is_late, received_at, properties, content_hash
        )
        SELECT
            uid, customer_id, event_id, event_type, subscription_id, segment_id,
            "timestamp", billed_at, is_late, %(at)s, properties, content_hash
        FROM given
        WHERE {IS_NOT_ARCHIVED}
        ORDER BY customer_id, event_id COLLATE "C"
        ON CONFLICT (customer_id, event_id) DO NOTHING
        RETURNING uid, customer_id, segment_id, billed_at, is_late
    ), {write_rollups(counted=counted)}
    """  # noqa: S608 (from above, and our own)


_COUNTED_JSON = f"json_to_recordset(%(counted)s::json) AS counted ({COUNTED_COLUMNS})"

INSERT_EVENTS = write_insert(
    given=f"json_to_recordset(%(rows)s::json) AS given ({EVENT_COLUMNS})", counted=_COUNTED_JSON
)

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
    ), {write_rollups(counted=_COUNTED_JSON)}
"""  # noqa: S608 (written above)

# The lateral join with its OFFSET is looked up key by key, each in one partition, whatever the plan.
STORED = """
    SELECT sent.customer_id, sent.event_id, event.uid, event.content_hash
    FROM unnest(%(customer_ids)s::uuid[], %(event_ids)s::text[]) AS sent (customer_id, event_id)
    CROSS JOIN LATERAL (
        SELECT uid, content_hash FROM metering_usageevent
        WHERE customer_id = sent.customer_id AND event_id = sent.event_id
        UNION ALL
        SELECT NULL, content_hash FROM metering_archivedevent
        WHERE customer_id = sent.customer_id AND event_id = sent.event_id
        OFFSET 0
    ) AS event
"""


class PlacedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event with all that was decided about it; without a placement it is unmatched, and not counted."""

    uid: UUID
    event: IncomingEvent
    placement: Placement | None
    counted: Sequence[Counted]


class MatchedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that is stored unmatched, and what was decided about it now."""

    uid: UUID
    customer_id: UUID
    event_id: str
    placement: Placement
    counted: Sequence[Counted]


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """What is stored under a key; of an event in an archive, the `uid` is there only."""

    uid: UUID | None
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


class CountedRow(msgspec.Struct, omit_defaults=True, gc=False):
    """What an event adds to a meter, as it is handed over."""

    uid: UUID
    meter_id: UUID
    value: Decimal
    group_key: str = NO_GROUP
    hour_at: datetime | None = None
    moment: Decimal | None = None
    rank: Decimal | None = None
    member: str | None = None


_JSON = msgspec.json.Encoder(decimal_format="number")


def insert_events(*, placed: Sequence[PlacedEvent], at: datetime) -> int:
    """Store those events that are not stored yet, and add them to the rollups; return how many they were.

    Waits for another transaction that is storing the same event.
    """
    return _write(INSERT_EVENTS, rows=[_make_event_row(item) for item in placed], items=placed, at=at)


def match_events(*, matched: Sequence[MatchedEvent], at: datetime) -> int:
    """Give events that are still unmatched their segment, and add them to the rollups; return how many."""
    return _write(MATCH_EVENTS, rows=[_make_match_row(item) for item in matched], items=matched, at=at)


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
    items: Sequence[PlacedEvent] | Sequence[MatchedEvent],
    at: datetime,
) -> int:
    counted_rows = [make_counted_row(item, counted) for item in items for counted in item.counted]
    parameters = {
        "rows": _JSON.encode(rows).decode(),
        "counted": _JSON.encode(counted_rows).decode(),
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


def make_counted_row(item: PlacedEvent | MatchedEvent, counted: Counted) -> CountedRow:
    """Write down what a placed event adds to a meter."""
    rule, value = counted.rule, counted.contribution.value
    placement = item.placement
    assert placement is not None, "What is counted has a place."
    moment = None
    if rule.aggregation.state is State.MOMENTS:
        moment = EXACT.multiply(value, count_microseconds(placement.billed_at))
    return CountedRow(
        item.uid,
        rule.meter_id,
        value,
        counted.group_key,
        placement.hour_at,
        moment,
        counted.contribution.rank,
        counted.contribution.member,
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
