"""Events and rollups of one subscription, made by the database itself: millions of them in minutes.

They are the rows that ingest would have written, but for the content hashes, which usage never looks at.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from benchmarks.baselines import NO_HASH
from benchmarks.install import EVENT_TYPE, METERED
from catalog.models import Meter
from metering.ingest.writing import STRIPE_COUNT
from metering.meters import build_rule, group_rules
from metering.models import UsageRollup
from metering.recounting import iterate_counted_events, read_rolled_up, recount
from subscriptions.models import Segment, Subscription

EVENTS_PER_STATEMENT = 500_000
HOUR = timedelta(hours=1)

# Evenly over the span; the ids are made of the number and the time, as those of UUIDv7 are.
_EVENTS = """
    INSERT INTO metering_usageevent (
        uid, customer_id, event_id, event_type, subscription_id, segment_id,
        "timestamp", billed_at, is_late, received_at, properties, content_hash
    )
    SELECT
        (lpad(to_hex(%(milliseconds)s + number), 12, '0') || '7' || substr(random, 1, 3)
            || '8' || substr(random, 4, 15))::uuid,
        %(customer_id)s, 'llm-' || md5(%(customer_id)s || number), %(event_type)s,
        %(subscription_id)s, %(segment_id)s, stamp, stamp, false, %(at)s,
        jsonb_build_object(
            'model', (ARRAY['small', 'medium', 'large'])[1 + number %% 3],
            'input_tokens', 800 + (number * 7919) %% 400,
            'output_tokens', 150 + (number * 104729) %% 200,
            'request_id', random
        ),
        %(content_hash)s::bytea
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number,
        LATERAL (SELECT md5(number || 'random') AS random,
            %(starts_at)s + number * (%(ends_at)s - %(starts_at)s::timestamptz) / %(count)s AS stamp) AS made
"""

_ROLLUPS = f"""
    INSERT INTO metering_usagerollup (
        customer_id, segment_id, meter_id, hour_at, group_key, stripe,
        total, event_count, late_total, late_count
    )
    SELECT event.customer_id, event.segment_id, meter.id, date_trunc('hour', event.billed_at, 'UTC'), '',
        abs(hashtext(event.event_id) %% {STRIPE_COUNT}),
        sum((event.properties ->> meter.property)::numeric), count(*), 0, 0
    FROM metering_usageevent AS event
    JOIN catalog_meter AS meter ON meter.event_type = event.event_type AND meter.property = ANY(%(metered)s)
    WHERE event.customer_id = %(customer_id)s AND event.segment_id = %(segment_id)s
    GROUP BY 1, 2, 3, 4, 6
"""  # noqa: S608 (a number of ours)


def fill(subscription: Subscription, *, count: int, starts_at: datetime, at: datetime) -> None:
    """Store events from a time up to now, all in the subscription's first period, and their rollups."""
    segment = Segment.objects.get(subscription=subscription)
    parameters: dict[str, Any] = {
        "customer_id": str(subscription.customer_id),
        "subscription_id": subscription.pk,
        "segment_id": segment.pk,
        "event_type": EVENT_TYPE,
        "metered": list(METERED),
        "content_hash": NO_HASH,
        "milliseconds": int(at.timestamp() * 1000),
        "starts_at": starts_at,
        "ends_at": at,
        "at": at,
        "count": count,
    }
    with connection.cursor() as cursor:
        for first in range(0, count, EVENTS_PER_STATEMENT):
            last = min(first + EVENTS_PER_STATEMENT, count) - 1
            cursor.execute(_EVENTS, {**parameters, "first": first, "last": last})
        cursor.execute(_ROLLUPS, parameters)


def vacuum() -> None:
    """Do what autovacuum does some time after a load."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) metering_usageevent, metering_usagerollup")


def check_hour(subscription: Subscription, *, starts_at: datetime) -> int:
    """Check that the rollups of an hour are what the platform makes of its events; return how many events."""
    segment = Segment.objects.select_related("period").get(subscription=subscription)
    customer_id: UUID = subscription.customer_id
    counted = recount(
        iterate_counted_events(
            customer_id=customer_id, segment_id=segment.pk, starts_at=starts_at, ends_at=starts_at + HOUR
        ),
        rules=group_rules(build_rule(meter) for meter in Meter.objects.all()),
        timezones={segment.pk: segment.period.timezone},
    )
    rolled_up = {
        key: found
        for key, found in read_rolled_up(customer_id=customer_id).items()
        if key.hour_at == starts_at
    }
    if counted != rolled_up:
        raise RuntimeError(f"The rollups of {starts_at} are not what its events come to.")
    return max((found.event_count for found in counted.values()), default=0)


def count_rollups(subscriptions: Sequence[Subscription]) -> list[int]:
    """Count the rollups of subscriptions."""
    return [UsageRollup.objects.filter(customer_id=one.customer_id).count() for one in subscriptions]
