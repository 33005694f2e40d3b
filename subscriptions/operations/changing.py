"""Changing what a subscription is charged by: its plan, what is licensed, and prices of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, FieldError, InvalidInput, NotFound
from catalog.models import CatalogStatus, PlanVersion, Price, PricingModel
from catalog.operations import publish_version
from catalog.pricing.registry import build_model
from catalog.queries import get_latest_version, get_numbered_version, get_plan_version, read_prices
from subscriptions.instants import When, find_instant, read_terms_at
from subscriptions.models import ChangeKind, PlannedChange, Subscription, SubscriptionItem
from subscriptions.operations.creation import CurrencyNotOffered, PlanArchived, UnknownPlan
from subscriptions.operations.planning import lock_for_move, plan_change
from subscriptions.quantities import InvalidQuantities, find_quantity_problems
from subscriptions.timeline import Shift, Terms

PHASE_LIMIT = 50


class NothingToChange(Conflict):
    """What is asked for holds at that instant already."""

    code = "nothing_to_change"


class InvalidOverride(InvalidInput):
    """A price of the subscription's own names a SKU that it has not, or is no price for it."""

    code = "invalid_override"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride:
    """A price for one subscription, in place of the plan's. `params` are the pricing model's own."""

    pricing_model: PricingModel
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChange:
    """What is to be different. What is not named stays.

    The plan is followed in its latest version, unless a number is given. `quantities` and `overrides` are by
    SKU; an override of None gives the plan's price back.
    """

    plan_id: UUID | None = None
    version_number: int | None = None
    quantities: Mapping[UUID, Decimal] = field(default_factory=dict)
    overrides: Mapping[UUID, PriceOverride | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A change that begins at an instant."""

    starts_at: datetime
    change: SubscriptionChange


@transaction.atomic
def change_subscription(
    *,
    subscription_id: UUID,
    change: SubscriptionChange,
    when: When | datetime,
    at: datetime,
    actor: Actor,
) -> Subscription:
    """Change plan, quantities or prices: at once, at the end of the period, or at an instant.

    A plan of the same cadence and kind of anchor parts the period there. Another ends the period, and begins
    periods of its own; in a trial, these begin with its end. What fees come to more or less is on the invoice
    of the period's end. Quantities stay as they are where they are not named and the new plan has the SKU.

    Raises: NotFound; SubscriptionEnded; InstantNotAhead; UnknownPlan; PlanArchived; CurrencyNotOffered;
        InvalidQuantities; InvalidOverride; NothingToChange; TooManyPlanned; TooManyChanges.
    Locks: slot (exclusive), customer, subscription, periods; plan and plan version, if it is the version's
        first subscription.
    Emits: subscription.updated.
    """
    subscription = lock_for_move(subscription_id=subscription_id, at=at, actor=actor)
    _plan_change(subscription, change, when=when, at=at, actor=actor)
    return subscription


@transaction.atomic
def schedule_phases(
    *, subscription_id: UUID, phases: Sequence[Phase], at: datetime, actor: Actor
) -> Subscription:
    """Plan several changes, each for its own instant: a ramp, or an offer for the first months.

    Raises: as `change_subscription`; InvalidInput for too many phases, or phases that are not in order.
    Locks: as `change_subscription`.
    Emits: subscription.updated, for each.
    """
    if not 1 <= len(phases) <= PHASE_LIMIT:
        raise InvalidInput(f"Give from 1 to {PHASE_LIMIT} phases.", field="phases")
    starts = [phase.starts_at for phase in phases]
    if sorted(set(starts)) != starts:
        raise InvalidInput("Phases come in order, each at an instant of its own.", field="phases")
    subscription = lock_for_move(subscription_id=subscription_id, at=at, actor=actor)
    for phase in phases:
        _plan_change(subscription, phase.change, when=phase.starts_at, at=at, actor=actor)
    return subscription


def _plan_change(
    subscription: Subscription,
    change: SubscriptionChange,
    *,
    when: When | datetime,
    at: datetime,
    actor: Actor,
) -> None:
    instant = find_instant(subscription, when=when, at=at)
    terms = read_terms_at(subscription, at=instant)
    version = _choose_version(change, terms=terms, at=at, actor=actor)
    prices = read_prices([version.pk])[version.pk]
    _check(subscription, change, prices=prices)
    items = _ensure_items(subscription, prices)
    is_other_version = version.pk != terms.plan_version_id
    quantities: dict[str, str | None] = {
        str(items[sku_id].pk): format(quantity, "f") for sku_id, quantity in change.quantities.items()
    }
    if is_other_version:
        licensed = [str(items[price.sku_id].pk) for price in prices if not price.is_metered]
        quantities = {item: quantities.get(item) for item in licensed}
    planned = PlannedChange(
        kind=ChangeKind.CHANGE,
        effective_at=instant,
        plan_version=version if is_other_version else None,
        quantities=quantities,
        overrides={
            str(items[sku_id].pk): None if override is None else _write_override(override)
            for sku_id, override in change.overrides.items()
        },
    )
    _refuse_if_nothing_changes(planned, terms)
    details: dict[str, tuple[object, object]] = {"quantities": (None, quantities)} if quantities else {}
    if is_other_version:
        details["plan_version_id"] = (terms.plan_version_id, version.pk)
    if planned.overrides:
        details["overrides"] = (None, planned.overrides)
    plan_change(change=planned, subscription=subscription, details=details, at=at, actor=actor)


def _choose_version(change: SubscriptionChange, *, terms: Terms, at: datetime, actor: Actor) -> PlanVersion:
    if change.plan_id is None:
        return get_plan_version(terms.plan_version_id)
    try:
        if change.version_number is None:
            version = get_latest_version(change.plan_id)
        else:
            version = get_numbered_version(plan_id=change.plan_id, number=change.version_number)
    except NotFound as error:
        raise UnknownPlan(error.detail, field="plan_id") from None
    is_its_own = version.plan_id == get_plan_version(terms.plan_version_id).plan_id
    if version.plan.status != CatalogStatus.ACTIVE and not is_its_own:
        raise PlanArchived(f"The plan {version.plan} is archived.", field="plan_id")
    return publish_version(plan_version_id=version.pk, at=at, actor=actor)


def _check(subscription: Subscription, change: SubscriptionChange, *, prices: Sequence[Price]) -> None:
    others = sorted({price.currency for price in prices} - {subscription.currency})
    if others:
        raise CurrencyNotOffered(
            f"The subscription is billed in {subscription.currency}, and the plan has prices in "
            f"{', '.join(others)}.",
            field="plan_id",
        )
    is_licensed = {price.sku_id: not price.is_metered for price in prices}
    problems = find_quantity_problems(change.quantities, is_licensed=is_licensed)
    if problems:
        raise InvalidQuantities("Not every quantity can be licensed.", errors=problems)
    by_sku = {price.sku_id: price for price in prices}
    faults = [
        fault
        for sku_id, override in change.overrides.items()
        for fault in _find_override_faults(sku_id, override, price=by_sku.get(sku_id))
    ]
    if faults:
        raise InvalidOverride("Not every price can be had.", errors=faults)


def _find_override_faults(
    sku_id: UUID, override: PriceOverride | None, *, price: Price | None
) -> list[FieldError]:
    field_name = f"overrides.{sku_id}"
    if price is None:
        return [FieldError(field_name, "unknown_sku", "The plan has no such SKU.")]
    if override is None:
        return []
    try:
        model = build_model(override.pricing_model, override.params)
    except InvalidInput as error:
        return [FieldError(field_name, error.code, error.detail)]
    if not model.grouping:
        return []
    names = [dimension.name for dimension in model.grouping]
    if price.meter is None or not price.meter.adds_up() or price.meter.list_lacking(names):
        detail = "The meter of the SKU does not add up by what the price tells apart."
        return [FieldError(field_name, "dimension_not_grouped", detail)]
    return []


def _write_override(override: PriceOverride) -> dict[str, object]:
    model = build_model(override.pricing_model, override.params)
    return {"pricing_model": override.pricing_model.value, "params": model.to_params()}


def _ensure_items(subscription: Subscription, prices: Sequence[Price]) -> Mapping[UUID, SubscriptionItem]:
    """Give each SKU of a plan version an item; one of which something is licensed begins with one of it."""
    items = {item.sku_id: item for item in SubscriptionItem.objects.filter(subscription=subscription)}
    for price in prices:
        if price.sku_id not in items:
            items[price.sku_id] = SubscriptionItem.objects.create(
                subscription=subscription,
                sku_id=price.sku_id,
                quantity=None if price.is_metered else Decimal(1),
            )
    return items


def _refuse_if_nothing_changes(change: PlannedChange, terms: Terms) -> None:
    shift = Shift(
        at=change.effective_at,
        plan_version_id=change.plan_version_id,
        quantities=change.quantities,
        overrides=change.overrides,
    )
    if shift.change(terms) == terms:
        raise NothingToChange(f"That holds at {change.effective_at:%Y-%m-%d %H:%M} UTC already.")
