"""Makers of usage: events as clients write them, and the plans that charge for them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec

from billing_project.core.ids import make_id
from billing_project.core.money import EXACT
from catalog.models import Aggregation, Meter, Plan
from catalog.operations import MeterDefinition
from customers.models import Customer
from metering.ingest.decoding import decode_batch
from metering.ingest.incoming import IncomingEvent, IngestReport, Refusal
from metering.models import UsageEvent
from metering.operations import ingest_events
from metering.queries import NO_USAGE, MeterUsage, read_segment_usage
from subscriptions.models import Period, Segment, Subscription
from subscriptions.operations import close_period
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER

EVENT_TYPE = "llm.completion"
UPLOAD = "upload"
INPUT = "llm.completion.input_tokens"
OUTPUT = "llm.completion.output_tokens"
CALLS = "llm.completion:count"
LIMIT = 10_000

_numbers = count(1)


def make_metered_plan(*, with_count: bool = False, **terms: Any) -> Plan:
    """Make a plan that charges for input and output tokens, and for calls if asked to."""
    plan = make_plan(**terms)
    for name in ("input_tokens", "output_tokens"):
        make_sku(plan, name=name, meter=MeterDefinition.read(event_type=EVENT_TYPE, property=name))
    if with_count:
        definition = MeterDefinition.read(event_type=EVENT_TYPE, aggregation=Aggregation.COUNT)
        make_sku(plan, name="calls", meter=definition)
    return plan


def define_meter(aggregation: Aggregation, **rest: Any) -> MeterDefinition:
    """Define a meter of the sizes of uploads; `rest` is that of `MeterDefinition.read`."""
    if aggregation != Aggregation.COUNT:
        rest = {"property": "size", **rest}
    if aggregation == Aggregation.PERCENTILE:
        rest = {"percentile": Decimal(95), **rest}
    return MeterDefinition.read(event_type=UPLOAD, aggregation=aggregation, **rest)


def make_plan_of(meters: Mapping[str, MeterDefinition], **terms: Any) -> Plan:
    """Make a plan with a SKU for each of these meters, which both have the name that is given."""
    plan = make_plan(**terms)
    for name, definition in meters.items():
        make_sku(plan, name=name, meter=definition, meter_code=name)
    return plan


def write_upload(
    owner: Subscription | Customer, *, timestamp: datetime, **properties: object
) -> dict[str, Any]:
    """Write an upload with these properties, as a client does."""
    return write_event(owner, event_type=UPLOAD, timestamp=timestamp, properties=properties)


def write_event(
    owner: Subscription | Customer,
    *,
    timestamp: datetime | str = NOON,
    properties: Mapping[str, object] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Write an event as a client does: for a subscription, or for a customer without naming one.

    It has an id of its own, and ten input and two output tokens, unless something else is asked for.
    """
    event: dict[str, Any] = {
        "id": f"event-{next(_numbers)}",
        "event_type": EVENT_TYPE,
        "customer_id": owner.pk if isinstance(owner, Customer) else owner.customer_id,
        "timestamp": timestamp,
        "properties": {"input_tokens": 10, "output_tokens": 2} if properties is None else properties,
    }
    if isinstance(owner, Subscription):
        event["subscription_id"] = owner.pk
    return {**event, **fields}


def decode(*events: Mapping[str, Any]) -> list[IncomingEvent | Refusal]:
    """Read events as ingest does."""
    return decode_batch(msgspec.json.encode({"events": events}, enc_hook=str), limit=LIMIT)


def ingest(*events: Mapping[str, Any], at: datetime = NOON) -> IngestReport:
    """Take a batch of events in."""
    return ingest_events(events=decode(*events), at=at)


def count_report(report: IngestReport) -> tuple[int, int, int]:
    """Tell how many events were accepted, duplicates and rejected."""
    return report.accepted, report.duplicates, report.rejected


def list_codes(report: IngestReport) -> list[tuple[int, str]]:
    """List which events were refused, and why."""
    return [(refusal.index, refusal.code.value) for refusal in report.refusals]


def get_stored(event: Mapping[str, Any]) -> UsageEvent:
    """Return what is stored of an event."""
    return UsageEvent.objects.get(customer_id=event["customer_id"], event_id=event["id"])


def get_period_number(event: Mapping[str, Any]) -> int:
    """Return the number of the period that an event is billed in."""
    segment_id = get_stored(event).segment_id
    assert segment_id is not None, "The event is unmatched."
    return Segment.objects.select_related("period").get(pk=segment_id).period.number


def read_totals(subscription: Subscription, *, period: int | None = None) -> dict[str, Decimal]:
    """Read what a subscription has used by meter, in one period or in all."""
    return {code: usage.quantity for code, usage in read_usage(subscription, period=period).items()}


def read_usage(
    subscription: Subscription, *, period: int | None = None, at: datetime = NOON
) -> dict[str, MeterUsage]:
    """Read what a subscription is billed for by meter, in one period or in all."""
    periods = Period.objects.filter(subscription=subscription)
    if period is not None:
        periods = periods.filter(number=period)
    usage: dict[str, MeterUsage] = {}
    meters = list(Meter.objects.all())
    codes = {meter.pk: meter.code for meter in meters}
    for one in periods:
        found = read_segment_usage(
            customer_id=subscription.customer_id,
            period=one,
            segments=list(one.segments.order_by("position")),
            meters=meters,
            at=at,
        )
        for (_, meter_id), part in found.items():
            before = usage.get(codes[meter_id], NO_USAGE)
            usage[codes[meter_id]] = MeterUsage(
                EXACT.add(before.quantity, part.quantity),
                EXACT.add(before.late_quantity, part.late_quantity),
                before.event_count + part.event_count,
            )
    return usage


def close(subscription: Subscription, number: int, *, at: datetime) -> Period:
    """Close a period of a subscription."""
    period = Period.objects.get(subscription=subscription, number=number)
    return close_period(period_id=period.pk, at=at, actor=TESTER)


def split_period(subscription: Subscription, *, at: datetime, number: int = 0) -> None:
    """Part a period into two segments, as a change of the plan at `at` does."""
    period = Period.objects.get(subscription=subscription, number=number)
    segment = period.segments.order_by("position").last()
    assert segment is not None, "A period has a segment."
    ends_at = segment.ends_at
    Segment.objects.filter(pk=segment.pk).update(ends_at=at)
    segment.pk, segment.position = make_id(), segment.position + 1
    segment.starts_at, segment.ends_at = at, ends_at
    segment.save(force_insert=True)
