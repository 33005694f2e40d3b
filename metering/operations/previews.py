"""What correcting usage would do to it: the same code, in a transaction that is rolled back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.errors import InvalidInput
from catalog.models import Meter
from metering.models import EventVoid
from metering.operations.corrections import VOID_LIMIT, void_events
from metering.operations.unmatched import match_selected_events
from metering.queries.corrections import EventSelection, select_events
from metering.queries.usage import MeterSummary, MeterUsage, read_usage_summary
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Period

PREVIEWED_PERIODS_LIMIT = 100

Measured = Mapping[UUID, Sequence[MeterSummary]]


class TooManyPeriodsSelected(InvalidInput):
    """The events are in more periods than a preview looks at."""

    code = "too_many_periods"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEffect:
    """The usage of a meter in a period, as it is and as it would be."""

    period: Period
    meter: Meter
    before: MeterUsage
    after: MeterUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidPreview:
    """What taking events back would do. Unmatched ones count nowhere, so they change nothing."""

    event_count: int
    unmatched_count: int
    effects: tuple[UsageEffect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchPreview:
    """What giving unmatched events to a subscription would do."""

    event_count: int
    effects: tuple[UsageEffect, ...]


@transaction.atomic
def preview_void(*, selection: EventSelection, at: datetime, actor: Actor) -> VoidPreview:
    """Tell how many events would be taken back, and what that would change in each period; change nothing.

    Raises: as `void_events`; TooManyPeriodsSelected.
    Locks: slots (exclusive), until it is rolled back.
    """
    periods = _list_periods(selection)
    lock_slots_exclusive({period.subscription_id for period in periods})
    before = _measure(periods, at=at)
    correction = void_events(selection=selection, reason="Preview", at=at, actor=actor)
    after = _measure(periods, at=at)
    unmatched = EventVoid.objects.filter(correction=correction, segment_id__isnull=True)
    preview = VoidPreview(
        event_count=correction.event_count,
        unmatched_count=unmatched.count(),
        effects=_compare(periods, before, after),
    )
    transaction.set_rollback(True)
    return preview


@transaction.atomic
def preview_match(
    *, selection: EventSelection, subscription_id: UUID, at: datetime, actor: Actor
) -> MatchPreview:
    """Tell how many events a subscription would take, and what that would change in its periods.

    Raises: as `match_selected_events`; TooManyPeriodsSelected.
    Locks: slots (exclusive), until it is rolled back.
    """
    lock_slots_exclusive([subscription_id, selection.customer_id])
    with transaction.atomic():
        matched = match_selected_events(
            selection=selection, subscription_id=subscription_id, reason="Preview", at=at, actor=actor
        )
        periods = _list_periods_of(matched.segment_ids)
        after = _measure(periods, at=at)
        transaction.set_rollback(True)
    # A period that only the events have made is there no more, and had no usage.
    before = _measure(periods, at=at)
    return MatchPreview(event_count=matched.count, effects=_compare(periods, before, after))


def _compare(periods: Sequence[Period], before: Measured, after: Measured) -> tuple[UsageEffect, ...]:
    return tuple(
        UsageEffect(period=period, meter=was.meter, before=was.usage, after=becomes.usage)
        for period in periods
        for was, becomes in zip(before[period.pk], after[period.pk], strict=True)
        if was.usage != becomes.usage
    )


def _list_periods(selection: EventSelection) -> list[Period]:
    matched = select_events(selection).filter(segment_id__isnull=False)
    return _list_periods_of(matched.values_list("segment_id", flat=True).distinct()[: VOID_LIMIT + 1])


def _list_periods_of(segment_ids: Iterable[UUID | None]) -> list[Period]:
    periods = list(
        Period.objects.filter(segments__in=list(segment_ids))
        .select_related("subscription")
        .order_by("subscription_id", "number")
        .distinct()[: PREVIEWED_PERIODS_LIMIT + 1]
    )
    if len(periods) > PREVIEWED_PERIODS_LIMIT:
        detail = f"The events are in more than {PREVIEWED_PERIODS_LIMIT} periods. Look at fewer at a time."
        raise TooManyPeriodsSelected(detail)
    return periods


def _measure(periods: Sequence[Period], *, at: datetime) -> Measured:
    return {
        period.pk: read_usage_summary(subscription=period.subscription, period=period, at=at).meters
        for period in periods
    }
