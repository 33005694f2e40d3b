"""Reading subscriptions, their items and their periods."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import DateTimeField, F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from billing_project.core.errors import NotFound
from catalog.queries import read_prices
from subscriptions.models import (
    ChangeKind,
    Period,
    PlannedChange,
    Segment,
    Subscription,
    SubscriptionItem,
)
from subscriptions.schedule import Cadence, Schedule


@dataclass(frozen=True, slots=True)
class ItemDetails:
    """An item as it is shown: with the code of the meter that counts it, if one does."""

    item: SubscriptionItem
    meter_code: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionDetails:
    """A subscription as it is shown.

    The current period is the one that contains the customer's now; before the start it is the first one, and
    after the end, or while the next one is still to be made, the last.
    """

    subscription: Subscription
    current_period: Period
    trial_ends_at: datetime | None
    items: tuple[ItemDetails, ...]


def get_subscription(subscription_id: UUID) -> Subscription:
    """Read a subscription with its plan version.

    Raises: NotFound.
    """
    subscription = Subscription.objects.select_related("plan_version").filter(pk=subscription_id).first()
    if subscription is None:
        raise NotFound(f"There is no subscription {subscription_id}.")
    return subscription


def get_schedule(subscription: Subscription) -> Schedule:
    """Build the schedule that a subscription's periods follow, from what is stored of it."""
    return Schedule(
        cadence=Cadence(subscription.plan_version.billing_cadence),
        anchor_date=subscription.anchor_date,
        starts_at=subscription.starts_at,
        timezone=subscription.timezone,
        trial_days=subscription.trial_days,
    )


def list_items(subscription_id: UUID) -> list[SubscriptionItem]:
    """Read the items of a subscription with their SKUs, in the order of the plan."""
    return list(
        SubscriptionItem.objects.filter(subscription_id=subscription_id).select_related("sku").order_by("pk")
    )


def find_planned_change(*, subscription_id: UUID, kind: ChangeKind) -> PlannedChange | None:
    """Find the change of a kind that is planned for a subscription and neither applied nor withdrawn."""
    return PlannedChange.objects.filter(
        subscription_id=subscription_id, kind=kind, applied_at__isnull=True, withdrawn_at__isnull=True
    ).first()


def get_period(period_id: UUID) -> Period:
    """Read a period.

    Raises: NotFound.
    """
    period = Period.objects.filter(pk=period_id).first()
    if period is None:
        raise NotFound(f"There is no period {period_id}.")
    return period


def find_period_at(*, subscription_id: UUID, at: datetime) -> Period | None:
    """Find the stored period that contains an instant.

    None before the start, after the end, and as long as it has not been made.
    """
    begun = Period.objects.filter(subscription_id=subscription_id, starts_at__lte=at)
    period = begun.order_by("-number").first()  # A step into the index from its end, however long it is.
    return period if period is not None and at < period.ends_at else None


def find_next_period(period: Period) -> Period | None:
    """Find the stored period that follows another; None after the last, and before it is made."""
    return Period.objects.filter(subscription_id=period.subscription_id, number=period.number + 1).first()


def find_due_period(*, subscription_id: UUID, at: datetime) -> Period | None:
    """Find the earliest period of a subscription that a bill run at `at` has work on."""
    return Period.objects.filter(subscription_id=subscription_id, due_at__lte=at).order_by("number").first()


def list_segments(period_ids: Collection[UUID]) -> list[Segment]:
    """Read the segments of periods with their plan versions, in order of time."""
    return list(
        Segment.objects.filter(period_id__in=period_ids)
        .select_related("plan_version")
        .order_by("subscription_id", "period__number", "position")
    )


def describe_subscription(subscription: Subscription, *, real_now: datetime) -> SubscriptionDetails:
    """Read what is shown of one subscription."""
    return read_subscription_details([subscription], real_now=real_now)[0]


def read_subscription_details(
    subscriptions: Sequence[Subscription], *, real_now: datetime
) -> list[SubscriptionDetails]:
    """Read what is shown of subscriptions, with a constant number of queries."""
    subscription_ids = [subscription.pk for subscription in subscriptions]
    periods = _read_current_periods(subscription_ids, real_now=real_now)
    items = _read_items(subscription_ids)
    prices = read_prices({subscription.plan_version_id for subscription in subscriptions})
    details = []
    for subscription in subscriptions:
        meter_codes = {
            price.sku_id: price.meter.code
            for price in prices[subscription.plan_version_id]
            if price.meter is not None
        }
        first = get_schedule(subscription).period(0)
        details.append(
            SubscriptionDetails(
                subscription=subscription,
                current_period=periods[subscription.pk],
                trial_ends_at=first.ends_at if first.is_trial else None,
                items=tuple(
                    ItemDetails(item=item, meter_code=meter_codes.get(item.sku_id))
                    for item in items[subscription.pk]
                ),
            )
        )
    return details


def _read_current_periods(subscription_ids: Collection[UUID], *, real_now: datetime) -> Mapping[UUID, Period]:
    """Read the last period of each that has begun by its customer's time, or else the first."""
    periods = Period.objects.filter(subscription=OuterRef("pk")).values("pk")
    begun = periods.filter(starts_at__lte=OuterRef("now_at"), ends_at__gt=F("starts_at")).order_by("-number")
    current_ids = (
        Subscription.objects.filter(pk__in=subscription_ids)
        .annotate(
            now_at=Coalesce("customer__test_clock__now_at", Value(real_now, output_field=DateTimeField()))
        )
        .values_list(Coalesce(Subquery(begun[:1]), Subquery(periods.filter(number=0))), flat=True)
    )
    return {period.subscription_id: period for period in Period.objects.filter(pk__in=current_ids)}


def _read_items(subscription_ids: Collection[UUID]) -> Mapping[UUID, Sequence[SubscriptionItem]]:
    by_subscription: defaultdict[UUID, list[SubscriptionItem]] = defaultdict(list)
    items = SubscriptionItem.objects.filter(subscription_id__in=subscription_ids).select_related("sku")
    for item in items.order_by("pk"):
        by_subscription[item.subscription_id].append(item)
    return by_subscription
