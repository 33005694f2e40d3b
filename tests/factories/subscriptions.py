"""Makers of subscriptions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from billing_project.core import invariants
from catalog.models import Plan
from customers.models import Customer
from subscriptions.models import Period, Subscription
from subscriptions.operations import create_subscription
from tests.factories.catalog import make_plan
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Write an instant briefly."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def subscribe(
    *,
    customer: Customer | None = None,
    plan: Plan | None = None,
    currency: str = "USD",
    trial_days: int | None = None,
    quantities: Mapping[UUID, Decimal] | None = None,
    start_at: datetime | None = None,
    at: datetime = NOON,
) -> Subscription:
    """Subscribe a customer to a plan: a new one to a monthly one, unless others are given."""
    return create_subscription(
        customer_id=(customer or make_customer()).pk,
        plan_id=(plan or make_plan()).pk,
        currency=currency,
        trial_days=trial_days,
        quantities=quantities or {},
        start_at=start_at,
        at=at,
        actor=TESTER,
    )


def list_bounds(subscription: Subscription) -> list[tuple[datetime, datetime]]:
    """List the bounds of a subscription's stored periods."""
    periods = Period.objects.filter(subscription=subscription).order_by("number")
    return list(periods.values_list("starts_at", "ends_at"))


def find_breaches() -> list[str]:
    """List what `check_invariants` would complain about."""
    return [breach for finding in invariants.run_checks() for breach in finding.breaches]
