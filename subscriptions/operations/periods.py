"""Making the rows of billing periods.

A row is nothing but the schedule and the changes written down, so making one decides nothing and is nobody's
act: whoever needs it makes it, and two who make it at once make the same.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery

from billing_project.core.seller import get_seller
from subscriptions.layout import make_segment, read_terms
from subscriptions.models import Period, Segment, Subscription, SubscriptionItem
from subscriptions.queries import get_schedule, read_shifts
from subscriptions.timeline import Stretch, Terms, lay

# More than ten years of days, which is how far back a subscription may start.
PERIODS_PER_SUBSCRIPTION = 4_000
ROWS_PER_STATEMENT = 2_000


@dataclass(frozen=True, slots=True)
class _Growing:
    """A subscription that lacks periods, with what is known of its last one, if it has any."""

    subscription: Subscription
    next_number: int
    last_ends_at: datetime | None
    last_closes_at: datetime | None


@transaction.atomic
def ensure_periods(*, subscription_ids: Collection[UUID], until: datetime) -> None:
    """Make the missing periods of subscriptions, with their segments, up to the one that contains `until`.

    The first period is made in any case, and none beyond a subscription's end. The number of statements does
    not depend on how many subscriptions there are. The caller holds the subscriptions' slots, shared or
    exclusively, or has made the subscriptions itself.
    """
    growing = _read_growing(subscription_ids, until=until)
    if not growing:
        return
    grace = timedelta(seconds=get_seller().grace_seconds)
    periods = [period for one in growing for period in _build_missing(one, until=until, grace=grace)]
    # Another transaction may be making the same rows: the first one's stay, and get its segments.
    Period.objects.bulk_create(periods, batch_size=ROWS_PER_STATEMENT, ignore_conflicts=True)
    made = set(Period.objects.filter(pk__in=[period.pk for period in periods]).values_list("pk", flat=True))
    segments = _build_segments([period for period in periods if period.pk in made], growing)
    Segment.objects.bulk_create(segments, batch_size=ROWS_PER_STATEMENT)


def _read_growing(subscription_ids: Collection[UUID], *, until: datetime) -> list[_Growing]:
    """Read the subscriptions whose last period ends too soon, in the order in which rows are inserted."""
    last = Period.objects.filter(subscription=OuterRef("pk")).order_by("-number")
    subscriptions = (
        Subscription.objects.filter(pk__in=subscription_ids)
        .annotate(
            last_number=Subquery(last.values("number")[:1]),
            last_ends_at=Subquery(last.values("ends_at")[:1]),
            last_closes_at=Subquery(last.values("closes_at")[:1]),
        )
        .filter(
            Q(last_ends_at__isnull=True)
            | Q(last_ends_at__lte=until) & (Q(ends_at__isnull=True) | Q(last_ends_at__lt=F("ends_at")))
        )
        .order_by("pk")
    )
    return [
        _Growing(
            subscription=subscription,
            next_number=0 if subscription.last_number is None else subscription.last_number + 1,
            last_ends_at=subscription.last_ends_at,
            last_closes_at=subscription.last_closes_at,
        )
        for subscription in subscriptions
    ]


def _build_missing(growing: _Growing, *, until: datetime, grace: timedelta) -> Iterator[Period]:
    schedule = get_schedule(growing.subscription)
    end = growing.subscription.ends_at
    closes_at = growing.last_closes_at
    for number in range(growing.next_number, growing.next_number + PERIODS_PER_SUBSCRIPTION):
        scheduled = schedule.period(number)
        ends_at = scheduled.ends_at if end is None else min(scheduled.ends_at, end)
        # Periods close in order, so one does not close before the last, even if the grace has become shorter
        # since.
        closes_at = max(ends_at + grace, closes_at or ends_at)
        yield Period(
            subscription=growing.subscription,
            number=number,
            starts_at=scheduled.starts_at,
            ends_at=ends_at,
            nominal_starts_at=scheduled.nominal_starts_at,
            nominal_ends_at=scheduled.nominal_ends_at,
            is_trial=scheduled.is_trial,
            timezone=scheduled.timezone,
            closes_at=closes_at,
            due_at=scheduled.starts_at if number == 0 else ends_at,
        )
        if ends_at > until or ends_at == end:
            return
    raise AssertionError(f"{growing.subscription.pk} lacks more than {PERIODS_PER_SUBSCRIPTION} periods.")


def _build_segments(periods: Sequence[Period], growing: Sequence[_Growing]) -> list[Segment]:
    """Part new periods by the changes that come in them, beginning with the terms that held last."""
    terms = _read_last_terms(growing)
    known_until = [one.last_ends_at for one in growing if one.last_ends_at is not None]
    shifts = read_shifts(list(terms), since=min(known_until)) if known_until else {}
    return [
        make_segment(period, stretch, position=position)
        for period in periods
        for position, stretch in enumerate(
            lay(
                starts_at=period.starts_at,
                ends_at=period.ends_at,
                terms=terms[period.subscription_id].terms,
                shifts=[
                    shift
                    for shift in shifts.get(period.subscription_id, ())
                    if shift.at >= terms[period.subscription_id].ends_at
                ],
            )
        )
    ]


def _read_last_terms(growing: Sequence[_Growing]) -> Mapping[UUID, Stretch]:
    """Read the terms of the last segments, or, where there is none, those of the new subscription itself."""
    last = Segment.objects.filter(
        subscription_id__in=[one.subscription.pk for one in growing if one.next_number],
        ends_at__gt=F("starts_at"),
    ).order_by("subscription_id", "-starts_at")
    found = {
        segment.subscription_id: Stretch(segment.starts_at, segment.ends_at, read_terms(segment))
        for segment in last.distinct("subscription_id")
    }
    new = [one.subscription for one in growing if one.subscription.pk not in found]
    quantities = _read_quantities([subscription.pk for subscription in new])
    for subscription in new:
        terms = Terms(
            plan_version_id=subscription.plan_version_id, quantities=quantities.get(subscription.pk, {})
        )
        found[subscription.pk] = Stretch(subscription.starts_at, subscription.starts_at, terms)
    return found


def _read_quantities(subscription_ids: Collection[UUID]) -> Mapping[UUID, Mapping[str, str]]:
    """Read the licensed quantities of subscriptions, in the form in which segments keep them."""
    quantities: defaultdict[UUID, dict[str, str]] = defaultdict(dict)
    licensed = SubscriptionItem.objects.filter(subscription_id__in=subscription_ids, quantity__isnull=False)
    for item in licensed.order_by("pk"):
        quantities[item.subscription_id][str(item.pk)] = format(item.quantity, "f")
    return quantities
