"""Reading what a batch is matched against: a constant number of statements, however many events it has.

This is the hot path, so it asks the other apps' tables in SQL of its own, and has PostgreSQL answer in JSON,
which is decoded straight into objects. It reads anew for each batch; only what never changes is remembered:
which types of event a published plan version charges for.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from billing_project.core.errors import Busy
from billing_project.core.statements import fetch_row, fetch_rows, write_uuids
from catalog.models import CatalogStatus
from catalog.queries import read_prices
from customers.models import CustomerStatus
from customers.queries import read_customers
from metering.ingest.incoming import IncomingEvent
from metering.ingest.matching import CustomerFacts, Facts, SegmentFacts, SubscriptionFacts
from metering.meters import group_rules, read_rules
from subscriptions.locks import lock_slots_shared
from subscriptions.models import SubscriptionStatus

REMEMBERED_VERSIONS = 10_000

# A row for each segment of an open period, and one for a subscription that has none. The meters come along.
FACTS = """
    SELECT
        coalesce(json_agg(json_build_array(
            subscription.id, subscription.customer_id, subscription.plan_version_id,
            subscription.status = %(cancelled)s, subscription.starts_at, subscription.ends_at,
            customer.status = %(closed)s, clock.now_at,
            CASE WHEN segment.id IS NOT NULL THEN json_build_array(
                segment.id, subscription.id, period.number, segment.starts_at, segment.ends_at,
                period.timezone
            ) END
        ) ORDER BY period.number, segment.position), '[]')::text,
        (
            SELECT coalesce(json_agg(id ORDER BY id), '[]')::text
            FROM catalog_meter
            WHERE event_type = ANY(%(event_types)s::text[]) AND status = %(active)s
        )
    FROM unnest(%(subscription_ids)s::uuid[]) AS sent (id)
    JOIN subscriptions_subscription subscription ON subscription.id = sent.id
    JOIN customers_customer customer ON customer.id = subscription.customer_id
    LEFT JOIN customers_testclock clock ON clock.id = customer.test_clock_id
    LEFT JOIN subscriptions_period period
        ON period.subscription_id = subscription.id AND period.closed_at IS NULL
    LEFT JOIN subscriptions_segment segment ON segment.period_id = period.id
"""

CANDIDATES = """
    SELECT id FROM subscriptions_subscription
    WHERE customer_id = ANY(%(customer_ids)s::uuid[]) AND status <> %(cancelled)s
"""

# For each event the segment of its own time, or, if it is older than the subscription, the first one.
OWN_SEGMENTS = """
    SELECT coalesce(json_agg(json_build_array(
        segment.id, segment.subscription_id, period.number, segment.starts_at, segment.ends_at,
        period.timezone, CASE WHEN period.closed_at IS NOT NULL THEN period.id END
    ) ORDER BY period.number, segment.position), '[]')::text
    FROM (
        SELECT DISTINCT own.id
        FROM unnest(%(subscription_ids)s::uuid[], %(timestamps)s::timestamptz[]) AS late (subscription_id, at)
        CROSS JOIN LATERAL (
            SELECT id FROM subscriptions_segment
            WHERE subscription_id = late.subscription_id AND ends_at > late.at AND starts_at < ends_at
            ORDER BY starts_at LIMIT 1
        ) AS own
    ) AS own
    JOIN subscriptions_segment segment ON segment.id = own.id
    JOIN subscriptions_period period ON period.id = segment.period_id
"""


class _Row(msgspec.Struct, array_like=True):
    subscription_id: UUID
    customer_id: UUID
    plan_version_id: UUID
    is_cancelled: bool
    starts_at: datetime
    ends_at: datetime | None
    is_customer_closed: bool
    customer_now: datetime | None
    segment: SegmentFacts | None


_ROWS = msgspec.json.Decoder(list[_Row])
_METER_IDS = msgspec.json.Decoder(list[UUID])
_SEGMENTS = msgspec.json.Decoder(list[SegmentFacts])

_metered_types: dict[UUID, frozenset[str]] = {}

Segments = dict[UUID, list[SegmentFacts]]


def read_facts(*, events: Collection[IncomingEvent], at: datetime) -> Facts:
    """Read what a batch is matched against, under the slots that keep its periods open.

    An event that names no subscription also takes its customer's slot. Whoever gives unmatched events to a
    new subscription holds that one exclusively: so either it finds the event, or the event finds the
    subscription.

    Raises: Busy if such a customer subscribes at this very moment.
    Locks: slots (shared).
    """
    subscription_ids = {event.subscription_id for event in events if event.subscription_id is not None}
    asking_ids = {event.customer_id for event in events if event.subscription_id is None}
    subscription_ids |= _find_subscription_ids(asking_ids)
    lock_slots_shared(subscription_ids | asking_ids)
    if not _find_subscription_ids(asking_ids) <= subscription_ids:
        raise Busy("A customer of the batch has just subscribed. Send it again.")

    rows, meter_ids = _read_rows(subscription_ids, {event.event_type for event in events})
    customers = {
        row.customer_id: CustomerFacts(row.customer_id, row.is_customer_closed, row.customer_now or at)
        for row in rows
    }
    other_ids = {event.customer_id for event in events} - customers.keys()
    if other_ids:
        customers |= _read_customers(other_ids, at=at)
    subscriptions = {
        row.subscription_id: SubscriptionFacts(
            row.subscription_id,
            row.customer_id,
            row.plan_version_id,
            row.is_cancelled,
            row.starts_at,
            row.ends_at,
        )
        for row in rows
    }
    candidates = _group_candidates(subscriptions.values(), asking_ids)
    versions = {candidate.plan_version_id for own in candidates.values() for candidate in own}
    return Facts(
        customers=customers,
        subscriptions=subscriptions,
        segments=_group_open_segments(rows),
        rules=group_rules(read_rules(meter_ids)),
        candidates=candidates,
        metered_types=read_metered_types(versions),
    )


def read_open_segments(subscription_ids: Collection[UUID]) -> Segments:
    """Read the segments of the open periods of subscriptions, whose slots are held, in order."""
    rows, _ = _read_rows(subscription_ids, ())
    return _group_open_segments(rows)


def read_own_segments(events: Collection[tuple[UUID, datetime]]) -> Segments:
    """Read the segments of just these times, for pairs of subscription and time, open or closed, in order."""
    parameters = {
        "subscription_ids": write_uuids(subscription_id for subscription_id, _ in events),
        "timestamps": [timestamp for _, timestamp in events],
    }
    (found,) = fetch_row(OWN_SEGMENTS, parameters)
    segments: Segments = defaultdict(list)
    for segment in _SEGMENTS.decode(found):
        segments[segment.subscription_id].append(segment)
    return segments


def read_metered_types(plan_version_ids: Collection[UUID]) -> Mapping[UUID, frozenset[str]]:
    """Tell which types of event plan versions charge for. A version with a subscription never changes."""
    types = {
        version_id: remembered
        for version_id in plan_version_ids
        if (remembered := _metered_types.get(version_id)) is not None
    }
    missing = [version_id for version_id in plan_version_ids if version_id not in types]
    if missing:
        read = {
            version_id: frozenset(price.meter.event_type for price in prices if price.meter is not None)
            for version_id, prices in read_prices(missing).items()
        }
        if len(_metered_types) + len(read) > REMEMBERED_VERSIONS:
            _metered_types.clear()
        _metered_types.update(read)
        types |= read
    return types


def _read_rows(
    subscription_ids: Collection[UUID], event_types: Collection[str]
) -> tuple[list[_Row], list[UUID]]:
    parameters = {
        "subscription_ids": write_uuids(subscription_ids),
        "event_types": list(event_types),
        "cancelled": SubscriptionStatus.CANCELLED.value,
        "closed": CustomerStatus.CLOSED.value,
        "active": CatalogStatus.ACTIVE.value,
    }
    rows, meter_ids = fetch_row(FACTS, parameters)
    return _ROWS.decode(rows), _METER_IDS.decode(meter_ids)


def _find_subscription_ids(customer_ids: Collection[UUID]) -> set[UUID]:
    """Find the subscriptions that events which name none may count for, so that their slots can be taken."""
    if not customer_ids:
        return set()
    parameters = {
        "customer_ids": write_uuids(customer_ids),
        "cancelled": SubscriptionStatus.CANCELLED.value,
    }
    return {found for (found,) in fetch_rows(CANDIDATES, parameters)}


def _read_customers(customer_ids: Collection[UUID], *, at: datetime) -> dict[UUID, CustomerFacts]:
    """Read customers for whom no subscription was read."""
    return {
        customer.pk: CustomerFacts(
            customer.pk,
            customer.status == CustomerStatus.CLOSED,
            at if customer.test_clock is None else customer.test_clock.now_at,
        )
        for customer in read_customers(customer_ids).values()
    }


def _group_open_segments(rows: Iterable[_Row]) -> Segments:
    segments: Segments = defaultdict(list)
    for row in rows:
        if row.segment is not None:
            segments[row.subscription_id].append(row.segment)
    return segments


def _group_candidates(
    subscriptions: Iterable[SubscriptionFacts], customer_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[SubscriptionFacts]]:
    candidates: defaultdict[UUID, list[SubscriptionFacts]] = defaultdict(list)
    for subscription in subscriptions:
        if subscription.customer_id in customer_ids:
            candidates[subscription.customer_id].append(subscription)
    return candidates
