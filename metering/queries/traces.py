"""Tracing events: how each was matched, what it adds to which meters, and how that is billed, or why not."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from billing_project.core.models import AuditEntry
from catalog.models import CatalogStatus, Meter
from metering.aggregation.types import Contribution
from metering.meters import build_rule
from metering.models import EventVoid, UsageCorrection, UsageEvent
from metering.ports import BillingState, ChargedUsage, MeterBilling, explain_billing
from metering.queries.contributions import explain_contribution, read_event_groups
from metering.queries.corrections import read_charged
from metering.queries.events import EventDetails, read_event_details
from subscriptions.models import Period, Subscription

# What the audit trail calls it.
VOIDED, MATCHED = "usage.voided", "usage.matched"

# What a customer still has to hear of comes before what is done with.
_ORDER = (
    BillingState.CREDIT_DUE,
    BillingState.UPCOMING,
    BillingState.DRAFTED,
    BillingState.CREDITED,
    BillingState.BILLED,
    BillingState.FORGIVEN,
    BillingState.NOTHING_DUE,
    BillingState.VOIDED,
    BillingState.NOT_COUNTED,
    BillingState.NOT_CHARGED,
)
_UNMATCHED = MeterBilling(
    state=BillingState.UNMATCHED,
    detail="No subscription of the customer charged for events of its type when it came.",
)
_VOIDED_UNMATCHED = MeterBilling(
    state=BillingState.VOIDED, detail="It was taken back, and had not been matched."
)
_OF_NO_METER = MeterBilling(
    state=BillingState.NOT_CHARGED, detail="No SKU of the plan version charges for events of its type."
)
_NOT_CHARGED = MeterBilling(
    state=BillingState.NOT_CHARGED, detail="No SKU of the plan version charges this meter."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterTrace:
    """What an event adds to a meter, and how that is billed. Without a contribution, the billing says why."""

    meter: Meter
    is_charged: bool
    contribution: Contribution | None
    groups: Mapping[str, str | None] | None
    billing: MeterBilling


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidTrace:
    """That an event was taken back, and what the audit trail has on it."""

    void: EventVoid
    entry: AuditEntry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrace(EventDetails):
    """What became of an event. One that was taken back has added to meters what it says, and does no more.

    `missed_period` is the period of its own time, which was closed when it came; `replaced_event_id` is the
    event that it was put in the place of.
    """

    missed_period: Period | None
    replaced_event_id: str | None
    voided: VoidTrace | None
    meters: tuple[MeterTrace, ...]

    @property
    def billing(self) -> MeterBilling:
        """How the event as a whole is billed: as the meter is of which there is most to say."""
        if self.segment is None:
            return _UNMATCHED if self.void is None else _VOIDED_UNMATCHED
        charged = [trace.billing for trace in self.meters if trace.is_charged]
        return min(charged, key=lambda billing: _ORDER.index(billing.state), default=_OF_NO_METER)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What an event comes to on a meter, or why on nothing."""

    meter: Meter
    is_charged: bool
    found: Contribution | str
    groups: Mapping[str, str | None] | None


def trace_events(events: Sequence[UsageEvent]) -> list[EventTrace]:
    """Say what became of events, with a constant number of queries."""
    details = read_event_details(events)
    counted = _count(details)
    billed = _read_billing(details, counted)
    missed = _read_missed_periods(details)
    replaced = _read_replaced(events)
    entries = _read_entries(detail.void for detail in details if detail.void is not None)
    return [
        EventTrace(
            event=detail.event,
            segment=detail.segment,
            void=detail.void,
            missed_period=missed.get(detail.event.uid),
            replaced_event_id=replaced.get((detail.event.customer_id, detail.event.event_id)),
            voided=None
            if detail.void is None
            else VoidTrace(void=detail.void, entry=entries.get(detail.void.correction_id)),
            meters=tuple(_trace(one, billed.get(detail.event.uid, {})) for one in own),
        )
        for detail, own in zip(details, counted, strict=True)
    ]


def _trace(counted: _Counted, billed: Mapping[UUID, MeterBilling]) -> MeterTrace:
    if isinstance(counted.found, str):
        billing = MeterBilling(state=BillingState.NOT_COUNTED, detail=counted.found)
    elif counted.is_charged:
        billing = billed[counted.meter.pk]
    else:
        billing = _NOT_CHARGED
    return MeterTrace(
        meter=counted.meter,
        is_charged=counted.is_charged,
        contribution=None if isinstance(counted.found, str) else counted.found,
        groups=counted.groups,
        billing=billing,
    )


def _count(details: Sequence[EventDetails]) -> list[list[_Counted]]:
    """Count each event on the meters of its type, as it was counted when it came, or by a fill since then.

    What a plan charges for comes first. An archived meter counts only where it is charged for.
    """
    segments = {detail.segment.pk: detail.segment for detail in details if detail.segment is not None}
    charged = read_charged(segments.values())
    wanted = {meter_id for meter_ids in charged.values() for meter_id in meter_ids}
    types = {detail.event.event_type for detail in details if detail.segment is not None}
    meters: defaultdict[str, list[Meter]] = defaultdict(list)
    found = Meter.objects.filter(Q(status=CatalogStatus.ACTIVE) | Q(pk__in=wanted), event_type__in=types)
    for meter in found.order_by("code"):
        meters[meter.event_type].append(meter)
    return [
        [] if detail.segment is None else _count_one(detail, meters[detail.event.event_type], charged)
        for detail in details
    ]


def _count_one(
    detail: EventDetails, meters: Sequence[Meter], charged: Mapping[UUID, frozenset[UUID]]
) -> list[_Counted]:
    assert detail.segment is not None
    counted = []
    for meter in meters:
        is_charged = meter.pk in charged[detail.segment.pk]
        if not is_charged and meter.status != CatalogStatus.ACTIVE:
            continue
        rule = build_rule(meter)
        found = explain_contribution(detail.event, rule)
        groups = None if isinstance(found, str) else read_event_groups(detail.event, rule)
        counted.append(_Counted(meter, is_charged, found, groups))
    return sorted(counted, key=lambda one: not one.is_charged)


def _read_billing(
    details: Sequence[EventDetails], counted: Sequence[Sequence[_Counted]]
) -> dict[UUID, Mapping[UUID, MeterBilling]]:
    """Ask how what the events add to charged meters is billed."""
    matched = _read_matched(details)
    usages = []
    for detail, own in zip(details, counted, strict=True):
        meter_ids = tuple(one.meter.pk for one in own if one.is_charged and not isinstance(one.found, str))
        if detail.segment is not None and meter_ids:
            usages.append(
                ChargedUsage(
                    event=detail.event,
                    counted_since=matched.get(detail.event.uid, detail.event.uid),
                    segment=detail.segment,
                    meter_ids=meter_ids,
                    void=detail.void,
                )
            )
    billed = zip(usages, explain_billing(usages), strict=True)
    return {usage.event.uid: by_meter for usage, by_meter in billed}


def _read_matched(details: Sequence[EventDetails]) -> dict[UUID, UUID]:
    """Read when events were matched that came before their subscription: the ids of the entries on that.

    A new subscription takes at once what is stamped from its start on. The rest, staff have it take; if they
    did so more than once, the last time is taken, so that no invoice is named that may not have the event.
    """
    earlier = [
        (detail.event, detail.segment.subscription)
        for detail in details
        if detail.segment is not None and detail.event.uid < detail.segment.subscription_id
    ]
    if not earlier:
        return {}
    entries = AuditEntry.objects.filter(
        subject_type=Subscription._meta.label,
        subject_id__in={str(subscription.pk) for _, subscription in earlier},
        action=MATCHED,
    )
    found: defaultdict[str, list[UUID]] = defaultdict(list)
    for subscription_id, entry_id in entries.order_by("id").values_list("subject_id", "id"):
        found[subscription_id].append(entry_id)
    return {
        event.uid: found[str(subscription.pk)][0 if event.timestamp >= subscription.starts_at else -1]
        for event, subscription in earlier
        if found[str(subscription.pk)]
    }


def _read_missed_periods(details: Sequence[EventDetails]) -> dict[UUID, Period]:
    """Read the periods of their own time that late events have missed, in one query.

    An event that is older than its subscription belongs to the first period.
    """
    late = [
        (detail.event, detail.segment)
        for detail in details
        if detail.event.is_late and detail.segment is not None
    ]
    if not late:
        return {}
    stamped = [event.timestamp for event, _ in late]
    found = Period.objects.filter(
        Q(number=0) | Q(starts_at__lte=max(stamped), ends_at__gt=min(stamped)),
        subscription_id__in={segment.subscription_id for _, segment in late},
    )
    periods: defaultdict[UUID, list[Period]] = defaultdict(list)
    for period in found.order_by("number"):
        periods[period.subscription_id].append(period)
    return {
        event.uid: next(
            (
                period
                for period in periods[segment.subscription_id]
                if period.starts_at <= event.timestamp < period.ends_at
            ),
            periods[segment.subscription_id][0],
        )
        for event, segment in late
    }


def _read_replaced(events: Sequence[UsageEvent]) -> dict[tuple[UUID, str], str]:
    """Read which events these were put in the place of."""
    amended = EventVoid.objects.filter(
        customer_id__in={event.customer_id for event in events},
        replacement_event_id__in={event.event_id for event in events},
    )
    return {
        (void.customer_id, void.replacement_event_id): void.event_id
        for void in amended
        if void.replacement_event_id is not None
    }


def _read_entries(voids: Iterable[EventVoid]) -> dict[UUID, AuditEntry]:
    """Read the entries of the audit trail that say who took events back, by correction."""
    correction_ids = {str(void.correction_id) for void in voids}
    if not correction_ids:
        return {}
    entries = AuditEntry.objects.filter(
        subject_type=UsageCorrection._meta.label, subject_id__in=correction_ids, action=VOIDED
    )
    return {UUID(entry.subject_id): entry for entry in entries}
