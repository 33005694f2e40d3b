"""Making the rows of billing periods.

A row is nothing but the schedule written down, so making one decides nothing and is nobody's act: whoever
needs it makes it, and two who make it at once make the same.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Q, Subquery

from billing_project.core.seller import get_seller
from subscriptions.models import Period, Segment, Subscription, SubscriptionItem
from subscriptions.queries import get_schedule

# More than ten years of days, which is how far back a subscription may start.
PERIODS_PER_SUBSCRIPTION = 4_000
ROWS_PER_STATEMENT = 2_000


@dataclass(frozen=True, slots=True)
class _Growing:
    """A subscription that lacks periods, with what is known of its last one, if it has any."""

    subscription: Subscription
    next_number: int
    last_closes_at: datetime | None


@transaction.atomic
def ensure_periods(*, subscription_ids: Collection[UUID], until: datetime) -> None:
    """Make the missing periods of subscriptions, each with its segment, up to the one that contains `until`.

    The first period is made in any case. A subscription with an end gets none: all up to its end are stored
    already. The number of statements does not depend on how many subscriptions there are. The caller holds
    the subscriptions' slots, shared or exclusively, or has made the subscriptions itself.
    """
    growing = _read_growing(subscription_ids, until=until)
    if not growing:
        return
    grace = timedelta(seconds=get_seller().grace_seconds)
    periods = [period for one in growing for period in _build_missing(one, until=until, grace=grace)]
    # Another transaction may be making the same rows: the first one's stay, and get its segments.
    Period.objects.bulk_create(periods, batch_size=ROWS_PER_STATEMENT, ignore_conflicts=True)
    made = set(Period.objects.filter(pk__in=[period.pk for period in periods]).values_list("pk", flat=True))
    quantities = _read_quantities([one.subscription.pk for one in growing])
    Segment.objects.bulk_create(
        [
            Segment(
                period=period,
                subscription=period.subscription,
                plan_version_id=period.subscription.plan_version_id,
                starts_at=period.starts_at,
                ends_at=period.ends_at,
                quantities=quantities.get(period.subscription_id, {}),
            )
            for period in periods
            if period.pk in made
        ],
        batch_size=ROWS_PER_STATEMENT,
    )


def _read_growing(subscription_ids: Collection[UUID], *, until: datetime) -> list[_Growing]:
    """Read the subscriptions whose last period ends too soon, in the order in which rows are inserted."""
    last = Period.objects.filter(subscription=OuterRef("pk")).order_by("-number")
    subscriptions = (
        Subscription.objects.filter(pk__in=subscription_ids, ends_at__isnull=True)
        .select_related("plan_version")
        .annotate(
            last_number=Subquery(last.values("number")[:1]),
            last_ends_at=Subquery(last.values("ends_at")[:1]),
            last_closes_at=Subquery(last.values("closes_at")[:1]),
        )
        .filter(Q(last_ends_at__isnull=True) | Q(last_ends_at__lte=until))
        .order_by("pk")
    )
    return [
        _Growing(
            subscription=subscription,
            next_number=0 if subscription.last_number is None else subscription.last_number + 1,
            last_closes_at=subscription.last_closes_at,
        )
        for subscription in subscriptions
    ]


def _build_missing(growing: _Growing, *, until: datetime, grace: timedelta) -> Iterator[Period]:
    schedule = get_schedule(growing.subscription)
    closes_at = growing.last_closes_at
    for number in range(growing.next_number, growing.next_number + PERIODS_PER_SUBSCRIPTION):
        scheduled = schedule.period(number)
        # Periods close in order, so one does not close before the last, even if the grace has become shorter
        # since.
        closes_at = max(scheduled.ends_at + grace, closes_at or scheduled.ends_at)
        yield Period(
            subscription=growing.subscription,
            number=number,
            starts_at=scheduled.starts_at,
            ends_at=scheduled.ends_at,
            nominal_starts_at=scheduled.nominal_starts_at,
            nominal_ends_at=scheduled.nominal_ends_at,
            is_trial=scheduled.is_trial,
            timezone=growing.subscription.timezone,
            closes_at=closes_at,
            due_at=scheduled.starts_at if number == 0 else scheduled.ends_at,
        )
        if scheduled.ends_at > until:
            return
    raise AssertionError(f"{growing.subscription.pk} lacks more than {PERIODS_PER_SUBSCRIPTION} periods.")


def _read_quantities(subscription_ids: Collection[UUID]) -> Mapping[UUID, Mapping[str, str]]:
    """Read the licensed quantities of subscriptions, in the form in which segments keep them."""
    quantities: defaultdict[UUID, dict[str, str]] = defaultdict(dict)
    licensed = SubscriptionItem.objects.filter(subscription_id__in=subscription_ids, quantity__isnull=False)
    for item in licensed.order_by("pk"):
        quantities[item.subscription_id][str(item.pk)] = format(item.quantity, "f")
    return quantities
