"""Which segment an event belongs to, as pure rules on facts that were read.

An event goes to the earliest open period that ends after its timestamp, and counts at its timestamp or at the
period's start, whichever is later. Segments tile their period, so that is: to the first open segment that
ends after the timestamp. It is late if it missed the period it belongs to, which was closed. An event that is
older than its subscription belongs to the first period.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from billing_project.core.periods import floor_to_hour
from metering.aggregation.rules import MeterRule
from metering.aggregation.types import Contribution, InvalidValue
from metering.ingest.incoming import EventRefused, IncomingEvent, RefusalCode

FUTURE_TOLERANCE = timedelta(hours=1)
FIRST_PERIOD = 0


class CustomerFacts(msgspec.Struct, frozen=True, gc=False):
    """A customer, and what time it is for them."""

    id: UUID
    is_closed: bool
    now: datetime


class SubscriptionFacts(msgspec.Struct, frozen=True, gc=False):
    """A subscription, as ingest needs to know it. Its end may have come before it was noted as cancelled."""

    id: UUID
    customer_id: UUID
    plan_version_id: UUID
    is_cancelled: bool
    starts_at: datetime
    ends_at: datetime | None

    def is_live(self, *, at: datetime) -> bool:
        """Tell whether it takes events of that time that name no subscription."""
        return not self.is_cancelled and (self.ends_at is None or at < self.ends_at)

    def is_over(self, *, at: datetime) -> bool:
        """Tell whether no period takes an event of that time: one that ended as it began has none at all."""
        return self.ends_at is not None and (at >= self.ends_at or self.ends_at <= self.starts_at)


class SegmentFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A segment, with what matters of its period: its number, and its id if it is closed."""

    id: UUID
    subscription_id: UUID
    period_number: int
    starts_at: datetime
    ends_at: datetime
    timezone: str
    closed_period_id: UUID | None = None


class Counted(msgspec.Struct, frozen=True, gc=False):
    """What an event adds to a meter, and in which group."""

    rule: MeterRule
    group_key: str
    contribution: Contribution


class Facts(msgspec.Struct, frozen=True):
    """What was read for a batch. Segments are those of open periods, in order, by subscription.

    `candidates` are the subscriptions of customers who sent events that name none, and `metered_types` the
    types of event that a plan version has a price on.
    """

    customers: Mapping[UUID, CustomerFacts]
    subscriptions: Mapping[UUID, SubscriptionFacts]
    segments: Mapping[UUID, Sequence[SegmentFacts]]
    rules: Mapping[str, Sequence[MeterRule]]
    candidates: Mapping[UUID, Sequence[SubscriptionFacts]]
    metered_types: Mapping[UUID, frozenset[str]]


class Placement(msgspec.Struct, frozen=True, gc=False):
    """Where an event counts, and in which hour of its rollups: a local one, so that hours make up local days.

    `hour_at` is None where that is an hour of UTC, as it nearly always is. `late_period_id` is its period if
    that is closed: the subscription is over.
    """

    subscription_id: UUID
    segment_id: UUID
    billed_at: datetime
    hour_at: datetime | None
    is_late: bool
    late_period_id: UUID | None = None


def check_customer(event: IncomingEvent, facts: Facts) -> CustomerFacts:
    """Find the event's customer, who must be able to have it.

    Raises: EventRefused.
    """
    customer = facts.customers.get(event.customer_id)
    if customer is None:
        raise EventRefused(RefusalCode.UNKNOWN_CUSTOMER, f"There is no customer {event.customer_id}.")
    if customer.is_closed:
        raise EventRefused(RefusalCode.CUSTOMER_CLOSED, f"Customer {event.customer_id} is closed.")
    if event.timestamp > customer.now + FUTURE_TOLERANCE:
        detail = "The timestamp is more than an hour in the future of the customer's clock."
        raise EventRefused(RefusalCode.TIMESTAMP_IN_FUTURE, detail)
    return customer


def choose_subscription(
    event: IncomingEvent, customer: CustomerFacts, facts: Facts
) -> SubscriptionFacts | None:
    """Find the subscription that an event counts for; None if it names none and the customer has none for it.

    Raises: EventRefused.
    """
    if event.subscription_id is None:
        return _choose_live(event, customer, facts)
    subscription = facts.subscriptions.get(event.subscription_id)
    if subscription is None or subscription.customer_id != event.customer_id:
        detail = f"Customer {event.customer_id} has no subscription {event.subscription_id}."
        raise EventRefused(RefusalCode.UNKNOWN_SUBSCRIPTION, detail)
    if subscription.is_over(at=event.timestamp):
        detail = f"Subscription {subscription.id} ended before the timestamp."
        raise EventRefused(RefusalCode.SUBSCRIPTION_ENDED, detail)
    return subscription


def _choose_live(event: IncomingEvent, customer: CustomerFacts, facts: Facts) -> SubscriptionFacts | None:
    at = max(customer.now, event.timestamp)
    live = [
        subscription
        for subscription in facts.candidates.get(customer.id, ())
        if subscription.is_live(at=at)
        and event.event_type in facts.metered_types[subscription.plan_version_id]
    ]
    if len(live) > 1:
        detail = f"Customer {customer.id} has {len(live)} subscriptions that charge for {event.event_type}."
        raise EventRefused(RefusalCode.AMBIGUOUS_SUBSCRIPTION, f"{detail} Name one of them.")
    return live[0] if live else None


def count_event(
    properties: Mapping[str, object], *, timestamp: datetime, rules: Sequence[MeterRule]
) -> list[Counted]:
    """List what an event with these properties adds to the meters of its type.

    Raises: EventRefused.
    """
    counted = []
    try:
        for rule in rules:
            contribution = rule.count(properties, timestamp=timestamp)
            if contribution is not None:
                counted.append(Counted(rule, rule.find_group(properties), contribution))
    except InvalidValue as error:
        raise EventRefused(RefusalCode.INVALID_VALUE, str(error)) from None
    return counted


def count_stored_event(
    properties: Mapping[str, object], *, timestamp: datetime, rules: Sequence[MeterRule]
) -> list[Counted]:
    """List what an event that was accepted adds: nothing to a younger meter that cannot count its value."""
    counted = []
    for rule in rules:
        try:
            counted += count_event(properties, timestamp=timestamp, rules=[rule])
        except EventRefused:
            continue
    return counted


def place(*, timestamp: datetime, segments: Sequence[SegmentFacts]) -> Placement | None:
    """Put an event into the first of these segments, which are in order, that ends after its timestamp."""
    for segment in segments:
        if timestamp < segment.ends_at and segment.starts_at < segment.ends_at:
            is_early = timestamp < segment.starts_at
            billed_at = segment.starts_at if is_early else timestamp
            return Placement(
                subscription_id=segment.subscription_id,
                segment_id=segment.id,
                billed_at=billed_at,
                hour_at=None if segment.timezone == "UTC" else _find_odd_hour(billed_at, segment.timezone),
                is_late=segment.closed_period_id is not None
                or (is_early and segment.period_number > FIRST_PERIOD),
                late_period_id=segment.closed_period_id,
            )
    return None


def _find_odd_hour(at: datetime, timezone: str) -> datetime | None:
    hour = floor_to_hour(at, timezone=timezone)
    return hour if hour.minute or hour.second else None
