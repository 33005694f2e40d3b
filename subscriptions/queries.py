"""Reading subscriptions, their items and their periods."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import DateTimeField, Exists, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from billing_project.core.errors import NotFound
from catalog.models import PlanVersion
from catalog.queries import read_prices
from subscriptions.models import (
    ChangeKind,
    Period,
    PlannedChange,
    Segment,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from subscriptions.schedule import Schedule
from subscriptions.timeline import Shift

PAUSES = {ChangeKind.PAUSE: True, ChangeKind.RESUME: False}
# The kinds of change that part a period, and those that move the periods themselves.
SHIFTING = (ChangeKind.CHANGE, *PAUSES)
SCHEDULING = (ChangeKind.CHANGE, ChangeKind.TIMEZONE)


@dataclass(frozen=True, slots=True)
class ItemDetails:
    """An item as it is shown: with the code of the meter that counts it, if one does."""

    item: SubscriptionItem
    meter_code: str | None


@dataclass(frozen=True, slots=True)
class PlannedChangeDetails:
    """A change that has yet to come, as it is shown: what it says of items, by their SKUs."""

    change: PlannedChange
    quantities: Mapping[str, Decimal | None]
    overrides: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SubscriptionDetails:
    """A subscription as it is shown.

    The current period is the one that contains the customer's now; before the start it is the first one, and
    after the end, or while the next one is still to be made, the last. The items are those of the plan
    version that it follows, and the changes those that have yet to come.
    """

    subscription: Subscription
    current_period: Period
    trial_ends_at: datetime | None
    items: tuple[ItemDetails, ...]
    planned_changes: tuple[PlannedChangeDetails, ...]


def get_subscription(subscription_id: UUID) -> Subscription:
    """Read a subscription with its plan version.

    Raises: NotFound.
    """
    subscription = Subscription.objects.select_related("plan_version").filter(pk=subscription_id).first()
    if subscription is None:
        raise NotFound(f"There is no subscription {subscription_id}.")
    return subscription


def list_running_ids(customer_id: UUID, *, at: datetime) -> list[UUID]:
    """List the subscriptions of a customer that have not ended by an instant, in the order of their locks."""
    running = Subscription.objects.filter(customer_id=customer_id).exclude(
        status=SubscriptionStatus.CANCELLED
    )
    has_no_end = Q(ends_at__isnull=True) | Q(ends_at__gt=at)
    return list(running.filter(has_no_end).order_by("pk").values_list("pk", flat=True))


def select_on_version(
    version: PlanVersion, *, subscription_ids: Sequence[UUID] | None
) -> QuerySet[Subscription]:
    """Select subscriptions that follow a plan version, and neither end nor are about to follow another."""
    leaving = PlannedChange.objects.filter(
        subscription=OuterRef("pk"),
        plan_version__isnull=False,
        applied_at__isnull=True,
        withdrawn_at__isnull=True,
    )
    staying = Subscription.objects.filter(~Exists(leaving), plan_version=version, ends_at__isnull=True)
    return staying if subscription_ids is None else staying.filter(pk__in=subscription_ids)


def get_schedule(subscription: Subscription) -> Schedule:
    """Read the schedule that a subscription's periods follow, with what is planned."""
    return Schedule.from_plain(subscription.epochs)


def list_items(subscription_id: UUID) -> list[SubscriptionItem]:
    """Read the items of a subscription with their SKUs, in the order of the plan."""
    return list(
        SubscriptionItem.objects.filter(subscription_id=subscription_id).select_related("sku").order_by("pk")
    )


def find_planned_change(*, subscription_id: UUID, kind: ChangeKind) -> PlannedChange | None:
    """Find the first change of a kind that is planned for a subscription, neither applied nor withdrawn."""
    return _select_pending([subscription_id]).filter(kind=kind).first()


def get_planned_change(*, subscription_id: UUID, change_id: UUID) -> PlannedChange:
    """Read a change of a subscription.

    Raises: NotFound.
    """
    change = PlannedChange.objects.filter(pk=change_id, subscription_id=subscription_id).first()
    if change is None:
        raise NotFound(f"Subscription {subscription_id} has no change {change_id}.")
    return change


def list_pending_changes(subscription_id: UUID) -> list[PlannedChange]:
    """Read the changes of a subscription that are neither applied nor withdrawn, in their order."""
    return list(_select_pending([subscription_id]))


def list_schedule_changes(subscription_id: UUID) -> list[PlannedChange]:
    """Read the changes that may move a subscription's periods, with their plan versions, in their order."""
    changes = PlannedChange.objects.filter(
        subscription_id=subscription_id, kind__in=SCHEDULING, withdrawn_at__isnull=True
    )
    return list(changes.select_related("plan_version").order_by("effective_at", "pk"))


def list_shifts(subscription_id: UUID, *, since: datetime) -> list[Shift]:
    """Read what is different for a subscription from an instant on, in order."""
    return read_shifts([subscription_id], since=since)[subscription_id]


def read_shifts(subscription_ids: Collection[UUID], *, since: datetime) -> Mapping[UUID, list[Shift]]:
    """Read what is different for subscriptions from an instant on, each in order."""
    changes = PlannedChange.objects.filter(
        subscription_id__in=subscription_ids,
        kind__in=SHIFTING,
        effective_at__gte=since,
        withdrawn_at__isnull=True,
    )
    shifts: defaultdict[UUID, list[Shift]] = defaultdict(list)
    for change in changes.order_by("effective_at", "pk"):
        shifts[change.subscription_id].append(
            Shift(
                at=change.effective_at,
                plan_version_id=change.plan_version_id,
                quantities=change.quantities,
                overrides=change.overrides,
                is_paused=PAUSES.get(ChangeKind(change.kind)),
            )
        )
    return shifts


def find_segment_at(*, subscription_id: UUID, at: datetime) -> Segment | None:
    """Find the stored segment that contains an instant."""
    return Segment.objects.filter(subscription_id=subscription_id, starts_at__lte=at, ends_at__gt=at).first()


def find_last_segment(*, subscription_id: UUID, before: datetime) -> Segment:
    """Find the last segment that began before an instant, or else the first of all; it has a length."""
    segments = Segment.objects.filter(subscription_id=subscription_id, ends_at__gt=F("starts_at"))
    begun = segments.filter(starts_at__lt=before).order_by("-starts_at").first()
    return begun or segments.order_by("starts_at")[0]


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
    changes = _read_pending_changes(subscription_ids)
    prices = read_prices({subscription.plan_version_id for subscription in subscriptions})
    details = []
    for subscription in subscriptions:
        meter_codes = {
            price.sku_id: None if price.meter is None else price.meter.code
            for price in prices[subscription.plan_version_id]
        }
        details.append(
            SubscriptionDetails(
                subscription=subscription,
                current_period=periods[subscription.pk],
                trial_ends_at=get_schedule(subscription).trial_ends_at,
                items=tuple(
                    ItemDetails(item=item, meter_code=meter_codes[item.sku_id])
                    for item in items[subscription.pk]
                    if item.sku_id in meter_codes
                ),
                planned_changes=tuple(
                    _describe_change(change, items=items[subscription.pk])
                    for change in changes[subscription.pk]
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


def _describe_change(change: PlannedChange, *, items: Iterable[SubscriptionItem]) -> PlannedChangeDetails:
    skus = {str(item.pk): str(item.sku_id) for item in items}
    return PlannedChangeDetails(
        change=change,
        quantities={
            skus[item]: None if quantity is None else Decimal(quantity)
            for item, quantity in change.quantities.items()
        },
        overrides={skus[item]: override for item, override in change.overrides.items()},
    )


def _read_pending_changes(subscription_ids: Collection[UUID]) -> Mapping[UUID, Sequence[PlannedChange]]:
    by_subscription: defaultdict[UUID, list[PlannedChange]] = defaultdict(list)
    for change in _select_pending(subscription_ids):
        by_subscription[change.subscription_id].append(change)
    return by_subscription


def _select_pending(subscription_ids: Collection[UUID]) -> QuerySet[PlannedChange]:
    changes = PlannedChange.objects.filter(
        subscription_id__in=subscription_ids, applied_at__isnull=True, withdrawn_at__isnull=True
    )
    return changes.select_related("plan_version__plan").order_by("effective_at", "pk")
