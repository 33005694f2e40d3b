"""Subscribing a customer to a plan."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, InvalidInput, NotFound
from catalog.models import CatalogStatus, PlanVersion, Price
from catalog.models.plans import MAX_TRIAL_DAYS
from catalog.operations import publish_version
from catalog.queries import get_latest_version, read_prices
from customers.locks import lock_customer
from customers.models import Customer, CustomerStatus
from subscriptions.events import SubscriptionCreated
from subscriptions.models import Subscription, SubscriptionItem, SubscriptionStatus
from subscriptions.operations.periods import ensure_periods
from subscriptions.quantities import InvalidQuantities, find_quantity_problems
from subscriptions.schedule import AnchorMode, Cadence, Schedule

# How far from now a subscription may start: what has to be caught up is bounded, and so is what can be
# mistyped.
START_RANGE = timedelta(days=3_653)

_AUDITED_FIELDS = (
    "customer_id",
    "plan_version_id",
    "status",
    "currency",
    "timezone",
    "trial_days",
    "anchor_date",
    "starts_at",
)


class UnknownCustomer(InvalidInput):
    """There is no customer of that id."""

    code = "unknown_customer"


class UnknownPlan(InvalidInput):
    """There is no plan of that id."""

    code = "unknown_plan"


class CustomerNotActive(Conflict):
    """A suspended or closed customer takes no new subscription."""

    code = "customer_not_active"


class PlanArchived(Conflict):
    """An archived plan takes no new subscription."""

    code = "plan_archived"


class CurrencyNotOffered(InvalidInput):
    """The plan has no prices in that currency."""

    code = "currency_not_offered"


class TrialTooLong(InvalidInput):
    """A trial has to end within a time that somebody will still be there to see."""

    code = "trial_too_long"


class StartTooFar(InvalidInput):
    """A start lies within ten years of now."""

    code = "start_too_far"


@transaction.atomic
def create_subscription(
    *,
    customer_id: UUID,
    plan_id: UUID,
    currency: str,
    trial_days: int | None,
    quantities: Mapping[UUID, Decimal],
    start_at: datetime | None,
    at: datetime,
    actor: Actor,
) -> Subscription:
    """Subscribe a customer to the latest version of a plan, from `at` or from `start_at` on.

    The version is published with its first subscription. `trial_days` take the place of the plan's, and
    `quantities`, by SKU, that of one for each SKU without a meter. A start in the past brings all periods
    since then, and one in the future the first. The currency is that of the plan's prices, whatever the
    customer's own is: invoices carry the subscription's.

    Raises: UnknownCustomer; CustomerNotActive; UnknownPlan; PlanArchived; CurrencyNotOffered; TrialTooLong;
        StartTooFar; InvalidQuantities.
    Locks: customer; plan and plan version, if it is the version's first subscription.
    Emits: subscription.created.
    """
    customer = _lock_active_customer(customer_id)
    version = _publish_latest_version(plan_id, at=at, actor=actor)
    prices = read_prices([version.pk])[version.pk]
    _check_currency(currency, prices)
    items = _choose_quantities(prices, quantities)
    schedule = _begin_schedule(
        version, timezone=customer.timezone, trial_days=trial_days, start_at=start_at, at=at
    )

    (epoch,) = schedule.epochs
    first = schedule.period(0)
    is_trialing = first.is_trial and first.ends_at > at
    subscription = Subscription(
        customer=customer,
        plan_version=version,
        status=SubscriptionStatus.TRIALING if is_trialing else SubscriptionStatus.ACTIVE,
        currency=currency,
        timezone=epoch.timezone,
        trial_days=epoch.trial_days,
        anchor_date=epoch.anchor_date,
        epochs=schedule.to_plain(),
        starts_at=schedule.starts_at,
    )
    subscription.save(force_insert=True)
    SubscriptionItem.objects.bulk_create(
        [
            SubscriptionItem(subscription=subscription, sku_id=sku_id, quantity=quantity)
            for sku_id, quantity in items.items()
        ]
    )
    ensure_periods(subscription_ids=[subscription.pk], until=at)

    changes = audit.made(subscription, *_AUDITED_FIELDS)
    changes["quantities"] = (
        None,
        {sku_id: quantity for sku_id, quantity in items.items() if quantity is not None},
    )
    audit.record("subscription.created", subject=subscription, changes=changes, actor=actor, at=at)
    events.emit(SubscriptionCreated(subscription), at=at)
    return subscription


def _lock_active_customer(customer_id: UUID) -> Customer:
    try:
        customer = lock_customer(customer_id)
    except NotFound as error:
        raise UnknownCustomer(error.detail, field="customer_id") from None
    if customer.status != CustomerStatus.ACTIVE:
        raise CustomerNotActive(f"Customer {customer_id} is {customer.status}.", field="customer_id")
    return customer


def _publish_latest_version(plan_id: UUID, *, at: datetime, actor: Actor) -> PlanVersion:
    try:
        version = get_latest_version(plan_id)
    except NotFound as error:
        raise UnknownPlan(error.detail, field="plan_id") from None
    if version.plan.status != CatalogStatus.ACTIVE:
        raise PlanArchived(f"The plan {version.plan} is archived.", field="plan_id")
    return publish_version(plan_version_id=version.pk, at=at, actor=actor)


def _check_currency(currency: str, prices: Sequence[Price]) -> None:
    others = sorted({price.currency for price in prices} - {currency})
    if others:
        raise CurrencyNotOffered(
            f"The plan has prices in {', '.join(others)}, so it cannot be billed in {currency}.",
            field="currency",
        )


def _choose_quantities(
    prices: Sequence[Price], quantities: Mapping[UUID, Decimal]
) -> Mapping[UUID, Decimal | None]:
    """Give each SKU of a plan version its quantity, in the plan's order: none where a meter counts it."""
    items = {
        price.sku_id: None if price.is_metered else quantities.get(price.sku_id, Decimal(1))
        for price in prices
    }
    problems = find_quantity_problems(
        quantities, is_licensed={sku_id: quantity is not None for sku_id, quantity in items.items()}
    )
    if problems:
        raise InvalidQuantities("Not every quantity can be licensed.", errors=problems)
    return items


def _begin_schedule(
    version: PlanVersion, *, timezone: str, trial_days: int | None, start_at: datetime | None, at: datetime
) -> Schedule:
    days = version.trial_days if trial_days is None else trial_days
    if not 0 <= days <= MAX_TRIAL_DAYS:
        raise TrialTooLong(f"A trial lasts from 0 to {MAX_TRIAL_DAYS} days.", field="trial_days")
    starts_at = start_at or at
    if abs(starts_at - at) > START_RANGE:
        raise StartTooFar("A subscription starts within ten years of now.", field="start_at")
    return Schedule.begin(
        cadence=Cadence(version.billing_cadence),
        anchor_mode=AnchorMode(version.anchor),
        starts_at=starts_at,
        timezone=timezone,
        trial_days=days,
    )
