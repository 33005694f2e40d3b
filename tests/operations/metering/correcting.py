"""What the tests of corrections start from, and look at."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from catalog.models import Aggregation, BillingCadence
from catalog.operations import MeterDefinition
from subscriptions.models import Subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON
from tests.factories.metering import (
    EVENT_TYPE,
    INPUT,
    count_report,
    ingest,
    read_totals,
    read_usage,
    write_event,
)
from tests.factories.subscriptions import subscribe, utc

HOUR = timedelta(hours=1)
FIRST_END = utc(2026, 3, 2)  # Of a daily subscription that began at noon.
Event = dict[str, Any]


def subscribe_to(aggregation: Aggregation, name: str = "seats", **definition: Any) -> Subscription:
    """Subscribe a customer to a plan that charges for a meter of this kind, whose code is `it`."""
    plan = make_plan(billing_cadence=BillingCadence.DAILY)
    read = MeterDefinition.read(event_type=EVENT_TYPE, property=name, aggregation=aggregation, **definition)
    make_sku(plan, meter=read, meter_code="it")
    return subscribe(plan=plan)


def use(subscription: Subscription, value: object, *, hours: float = 0, **properties: Any) -> Event:
    """Send one event, some hours from noon on."""
    at = NOON + timedelta(hours=hours)
    event = write_event(subscription, timestamp=at, properties={"seats": value, **properties})
    assert count_report(ingest(event, at=at)) == (1, 0, 0)
    return event


def read_input(subscription: Subscription, *, period: int | None = None) -> Decimal:
    """Read how many input tokens are left."""
    return read_totals(subscription, period=period).get(INPUT, Decimal(0))


def read_it(subscription: Subscription) -> Decimal:
    """Read the quantity of the meter called `it`."""
    usage = read_usage(subscription, period=0, at=FIRST_END)
    return usage["it"].quantity if "it" in usage else Decimal(0)
