"""What is true of subscriptions and their periods at any moment."""

from collections.abc import Iterator
from datetime import timedelta

from django.db import connection
from django.db.models import F

from billing_project.core import invariants
from subscriptions.layout import read_terms
from subscriptions.models import Period, PlannedChange, Subscription
from subscriptions.queries import find_last_segment, get_schedule, list_shifts
from subscriptions.timeline import Stretch, lay

_MOMENT = timedelta(microseconds=1)

_PERIODS_TILE = """
    SELECT id, subscription_id, number,
        CASE
            WHEN number <> coalesce(number_before + 1, 0) THEN 'does not follow the number before it'
            WHEN number = 0 AND starts_at <> subscribed_at THEN 'does not start with the subscription'
            ELSE 'does not start where the one before it ends'
        END
    FROM (
        SELECT period.id, period.subscription_id, period.number, period.starts_at,
            subscription.starts_at AS subscribed_at,
            lag(period.number) OVER ordered AS number_before,
            lag(period.ends_at) OVER ordered AS ended_at_before
        FROM subscriptions_period period
        JOIN subscriptions_subscription subscription ON subscription.id = period.subscription_id
        WINDOW ordered AS (PARTITION BY period.subscription_id ORDER BY period.number)
    ) AS ordered
    WHERE number <> coalesce(number_before + 1, 0) OR starts_at <> coalesce(ended_at_before, subscribed_at)
"""

_SEGMENTS_TILE = """
    SELECT period.id, period.subscription_id, period.number
    FROM subscriptions_period period
    LEFT JOIN (
        SELECT period_id, min(starts_at) AS starts_at, max(ends_at) AS ends_at,
            bool_and(position = coalesce(position_before + 1, 0)) AS is_numbered,
            bool_and(starts_at = coalesce(ended_at_before, starts_at)) AS is_gapless,
            bool_and(of_same_subscription) AS of_same_subscription
        FROM (
            SELECT segment.period_id, segment.position, segment.starts_at, segment.ends_at,
                lag(segment.position) OVER ordered AS position_before,
                lag(segment.ends_at) OVER ordered AS ended_at_before,
                segment.subscription_id = owner.subscription_id AS of_same_subscription
            FROM subscriptions_segment segment
            JOIN subscriptions_period owner ON owner.id = segment.period_id
            WINDOW ordered AS (PARTITION BY segment.period_id ORDER BY segment.position)
        ) AS ordered
        GROUP BY period_id
    ) AS tiles ON tiles.period_id = period.id
    WHERE NOT coalesce(
        tiles.starts_at = period.starts_at AND tiles.ends_at = period.ends_at
            AND is_numbered AND is_gapless AND of_same_subscription,
        false
    )
"""

_CLOSING_IN_ORDER = """
    SELECT id, subscription_id, number,
        CASE
            WHEN closed_at < ends_at THEN 'was closed before its end'
            WHEN closes_at < closes_at_before THEN 'is to close before the one before it'
            ELSE 'is closed, and one before it is open'
        END
    FROM (
        SELECT id, subscription_id, number, ends_at, closed_at, closes_at,
            bool_or(closed_at IS NULL) OVER earlier AS is_one_before_open,
            max(closes_at) OVER earlier AS closes_at_before
        FROM subscriptions_period
        WINDOW earlier AS (
            PARTITION BY subscription_id ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
    ) AS ordered
    WHERE closed_at < ends_at OR closes_at < closes_at_before
        OR (closed_at IS NOT NULL AND is_one_before_open)
"""

_ENDS = """
    SELECT subscription.id,
        CASE
            WHEN last_ends_at IS NULL THEN 'has no period'
            WHEN last_ends_at <> subscription.ends_at THEN 'ends at another instant than its last period'
            WHEN subscription.status = 'Cancelled' THEN 'is cancelled, and an end is still planned'
            WHEN planned_at IS NULL THEN 'has an end that is not planned'
            ELSE 'has a planned end that is not its own'
        END
    FROM subscriptions_subscription subscription
    LEFT JOIN (
        SELECT DISTINCT ON (subscription_id) subscription_id, ends_at AS last_ends_at
        FROM subscriptions_period
        ORDER BY subscription_id, number DESC
    ) AS last_period ON last_period.subscription_id = subscription.id
    LEFT JOIN (
        SELECT subscription_id, effective_at AS planned_at
        FROM subscriptions_plannedchange
        WHERE kind = 'Cancel' AND applied_at IS NULL AND withdrawn_at IS NULL
    ) AS planned ON planned.subscription_id = subscription.id
    WHERE last_ends_at IS NULL
        OR last_ends_at <> subscription.ends_at
        OR CASE
            WHEN subscription.status = 'Cancelled' THEN planned_at IS NOT NULL
            ELSE planned_at IS DISTINCT FROM subscription.ends_at
        END
"""

_ITEMS = """
    SELECT DISTINCT segment.subscription_id, price.sku_id
    FROM (SELECT DISTINCT subscription_id, plan_version_id FROM subscriptions_segment) AS segment
    JOIN (SELECT DISTINCT plan_version_id, sku_id FROM catalog_price) AS price
        ON price.plan_version_id = segment.plan_version_id
    WHERE NOT EXISTS (
        SELECT 1 FROM subscriptions_subscriptionitem item
        WHERE item.subscription_id = segment.subscription_id AND item.sku_id = price.sku_id
    )
"""


def check_periods() -> Iterator[str]:
    """Find periods that leave a gap, overlap, or are numbered wrongly."""
    for period_id, subscription_id, number, problem in _read(_PERIODS_TILE):
        yield f"Period {number} of subscription {subscription_id} ({period_id}) {problem}."


def check_segments() -> Iterator[str]:
    """Find periods whose segments do not cover them exactly."""
    for period_id, subscription_id, number in _read(_SEGMENTS_TILE):
        yield f"Period {number} of subscription {subscription_id} ({period_id}) is not tiled by its segments."


def check_closing() -> Iterator[str]:
    """Find periods that did not, or will not, close in order and after their end."""
    for period_id, subscription_id, number, problem in _read(_CLOSING_IN_ORDER):
        yield f"Period {number} of subscription {subscription_id} ({period_id}) {problem}."


def check_ends() -> Iterator[str]:
    """Find subscriptions whose end, periods and planned changes contradict each other."""
    for subscription_id, problem in _read(_ENDS):
        yield f"Subscription {subscription_id} {problem}."


def check_items() -> Iterator[str]:
    """Find subscriptions that lack an item for a SKU of a plan version that they follow or followed."""
    for subscription_id, sku_id in _read(_ITEMS):
        yield f"Subscription {subscription_id} has no item for SKU {sku_id}."


def check_changes() -> Iterator[str]:
    """Find open periods that do not lie as the schedule and the changes of their subscription say."""
    changed = PlannedChange.objects.filter(withdrawn_at__isnull=True).values("subscription_id")
    for subscription in Subscription.objects.filter(pk__in=changed).order_by("pk").iterator():
        periods = Period.objects.filter(subscription=subscription, closed_at__isnull=True)
        for period in periods.order_by("number"):
            if not _lies_as_scheduled(period, subscription):
                yield f"Period {period.number} of subscription {subscription.pk} is not as scheduled."
            if not _is_parted_by_changes(period):
                yield f"Period {period.number} of subscription {subscription.pk} is not parted as changed."


def _lies_as_scheduled(period: Period, subscription: Subscription) -> bool:
    scheduled = get_schedule(subscription).period(period.number)
    end = subscription.ends_at or scheduled.ends_at
    bounds = (min(scheduled.starts_at, end), min(scheduled.ends_at, end))
    return (period.starts_at, period.ends_at) == bounds


def _is_parted_by_changes(period: Period) -> bool:
    """Part a period anew, from the terms that held before it, and compare."""
    if period.starts_at == period.ends_at:
        return True
    own = period.segments.filter(ends_at__gt=F("starts_at")).order_by("position")
    before = find_last_segment(subscription_id=period.subscription_id, before=period.starts_at)
    # The first segment of all has no other before it: it is itself what changes have parted since.
    since = period.starts_at if before.starts_at < period.starts_at else period.starts_at + _MOMENT
    expected = lay(
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        terms=read_terms(before),
        shifts=list_shifts(period.subscription_id, since=since),
    )
    found = [Stretch(segment.starts_at, segment.ends_at, read_terms(segment)) for segment in own]
    return found == list(expected)


def register() -> None:
    """Have `check_invariants` run the checks of this app."""
    invariants.register("periods tile", check_periods)
    invariants.register("segments tile their period", check_segments)
    invariants.register("periods close in order, after their end", check_closing)
    invariants.register("subscriptions end with their last period, as planned", check_ends)
    invariants.register("subscriptions have an item for each SKU", check_items)
    invariants.register("open periods lie as the changes say", check_changes)


def _read(sql: str) -> Iterator[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        yield from cursor
