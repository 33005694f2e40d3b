"""Operations on SKUs and their prices. A price belongs to a plan version, and is frozen with it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Max

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.currencies import is_currency
from billing_project.core.errors import Conflict, InvalidInput, NotFound
from catalog.locks import lock_latest_version, lock_meter_by_code, lock_sku
from catalog.models import (
    BillingTiming,
    CatalogStatus,
    Meter,
    PlanVersion,
    Price,
    PricingModel,
    Sku,
    TaxBehavior,
)
from catalog.operations.meters import MeterDefinition, find_or_make_meter
from catalog.operations.versions import ensure_editable_version
from catalog.pricing.registry import build_model
from catalog.pricing.types import Pricing
from catalog.queries import get_sku

MAX_PRICES_PER_VERSION = 200
_SKU_FIELDS = ("name", "status")
_PRICE_FIELDS = (
    "pricing_model",
    "params",
    "currency",
    "meter_id",
    "billing_timing",
    "tax_behavior",
    "tax_category",
)


class UnknownPlan(InvalidInput):
    """There is no plan of that id."""

    code = "unknown_plan"


class PlanArchived(Conflict):
    """An archived plan takes no further SKUs."""

    code = "plan_archived"


class PlanFull(Conflict):
    """A plan can be shown and copied as a whole, so its SKUs have a limit."""

    code = "plan_full"


class SkuArchived(Conflict):
    """An archived SKU is not sold any more; another one can be added in its place."""

    code = "sku_archived"


class UnknownCurrency(InvalidInput):
    """The code is not that of a currency in circulation."""

    code = "unknown_currency"


class UnknownMeter(InvalidInput):
    """There is no meter of that code."""

    code = "unknown_meter"


class MeterArchived(Conflict):
    """An archived meter counts for nothing new."""

    code = "meter_archived"


class MeteredInAdvance(InvalidInput):
    """What is used is known only afterwards."""

    code = "metered_in_advance"


class MeterTooCoarse(InvalidInput):
    """A price that tells usage apart needs a meter that does, by adding up or counting each group."""

    code = "meter_too_coarse"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTerms:
    """What a SKU costs. `params` are the pricing model's own, as they came in."""

    pricing_model: PricingModel
    params: Mapping[str, object]
    currency: str
    billing_timing: BillingTiming = BillingTiming.ARREARS
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    tax_category: str = ""


class SkuChanges(TypedDict, total=False):
    """What can be changed on a SKU; a key that is missing stays as it is.

    Of `params`, each that is given replaces its like, and null takes one away; with another pricing model all
    are taken anew. What a SKU counts, and in which currency, stays: that would be another SKU.
    """

    name: str
    status: CatalogStatus
    pricing_model: PricingModel
    params: Mapping[str, object]
    billing_timing: BillingTiming
    tax_behavior: TaxBehavior
    tax_category: str


@transaction.atomic
def add_sku(
    *,
    plan_id: UUID,
    name: str,
    terms: PriceTerms,
    meter: MeterDefinition | None = None,
    meter_code: str = "",
    at: datetime,
    actor: Actor,
) -> Sku:
    """Add a SKU to a plan, in the version that can be edited; if the latest is published, in the next.

    With a definition of a meter, that meter is found or made; with a code alone it is found; with neither, it
    charges for the quantity that a subscription holds. A definition without groups takes those that the price
    tells apart.

    Raises: UnknownPlan; PlanArchived; PlanFull; UnknownCurrency; UnknownMeter; MeterCodeTaken; MeterArchived;
        MeteredInAdvance; MeterTooCoarse; InvalidPricingParams.
    Locks: plan, plan version, meter.
    """
    if not is_currency(terms.currency):
        raise UnknownCurrency(f"{terms.currency!r} is not the code of a currency.", field="currency")
    if terms.billing_timing == BillingTiming.ADVANCE and (meter is not None or meter_code):
        raise _metered_in_advance()
    model = _build_model(terms.pricing_model, terms.params)
    if meter is not None and not meter.group_by:
        meter = replace(meter, group_by=tuple(dimension.name for dimension in model.grouping))
    try:
        plan = lock_latest_version(plan_id=plan_id).plan
    except NotFound as error:
        raise UnknownPlan(error.detail, field="plan_id") from None
    if plan.status == CatalogStatus.ARCHIVED:
        raise PlanArchived(f"The plan {plan} is archived.", field="plan_id")
    version = ensure_editable_version(plan_id=plan_id, at=at, actor=actor)
    its_meter = _take_meter(meter, code=meter_code, at=at, actor=actor)
    _check_meter(its_meter, model)
    sku = Sku(plan=plan, name=name)
    sku.save(force_insert=True)
    price = Price(
        plan_version=version,
        sku=sku,
        position=_take_position(version),
        pricing_model=terms.pricing_model,
        params=model.to_params(),
        currency=terms.currency,
        meter=its_meter,
        billing_timing=terms.billing_timing,
        tax_behavior=terms.tax_behavior,
        tax_category=terms.tax_category,
    )
    price.save(force_insert=True)
    changes = audit.made(sku, "plan_id", *_SKU_FIELDS) | audit.made(price, "plan_version_id", *_PRICE_FIELDS)
    audit.record("sku.created", subject=sku, changes=changes, actor=actor, at=at)
    return sku


@transaction.atomic
def update_sku(*, sku_id: UUID, changes: SkuChanges, at: datetime, actor: Actor) -> Sku:
    """Change a SKU. Other terms than those of a published version make the next version; so does archiving.

    Raises: NotFound; SkuArchived; MeteredInAdvance; MeterTooCoarse; InvalidPricingParams.
    Locks: plan, plan version, SKU.
    """
    latest = lock_latest_version(plan_id=get_sku(sku_id).plan_id)
    sku = lock_sku(sku_id)
    if sku.status == CatalogStatus.ARCHIVED:
        if {"status": CatalogStatus.ARCHIVED, **changes} != {"status": CatalogStatus.ARCHIVED}:
            raise SkuArchived(f"The SKU {sku} is archived.")
        return sku
    changed = audit.set_fields(sku, {name: value for name, value in changes.items() if name in _SKU_FIELDS})
    if changed:
        sku.save(update_fields=changed)
    terms = _choose_terms(Price.objects.select_related("meter").get(plan_version=latest, sku=sku), changes)
    if terms:
        version = ensure_editable_version(plan_id=sku.plan_id, at=at, actor=actor)
        price = Price.objects.get(plan_version=version, sku=sku)
        changed |= audit.set_fields(price, terms)
        price.save(update_fields=terms)
    if sku.status == CatalogStatus.ARCHIVED:
        version = ensure_editable_version(plan_id=sku.plan_id, at=at, actor=actor)
        Price.objects.filter(plan_version=version, sku=sku).delete()
    if changed:
        audit.record("sku.updated", subject=sku, changes=changed, actor=actor, at=at)
    return sku


def _choose_terms(price: Price, changes: SkuChanges) -> dict[str, object]:
    """Pick what would become different on a price.

    Raises: MeteredInAdvance; MeterTooCoarse; InvalidPricingParams.
    """
    pricing_model = changes.get("pricing_model", price.pricing_model)
    kept = price.params if pricing_model == price.pricing_model else {}
    model = _build_model(pricing_model, {**kept, **changes.get("params", {})})
    _check_meter(price.meter, model)
    terms: dict[str, object] = {
        "pricing_model": pricing_model,
        "params": model.to_params(),
        "billing_timing": changes.get("billing_timing", price.billing_timing),
        "tax_behavior": changes.get("tax_behavior", price.tax_behavior),
        "tax_category": changes.get("tax_category", price.tax_category),
    }
    if price.is_metered and terms["billing_timing"] == BillingTiming.ADVANCE:
        raise _metered_in_advance()
    return {name: value for name, value in terms.items() if value != getattr(price, name)}


def _build_model(pricing_model: str, params: Mapping[str, object]) -> Pricing:
    """Build a price from parameters as they came in; null means that one is not given.

    Raises: InvalidPricingParams.
    """
    given = {name: value for name, value in params.items() if value is not None}
    return build_model(pricing_model, given)


def _check_meter(meter: Meter | None, model: Pricing) -> None:
    """Refuse a price whose meter does not keep apart what the price tells apart.

    Raises: MeterTooCoarse.
    """
    names = [dimension.name for dimension in model.grouping]
    if not names:
        return
    if meter is None:
        raise MeterTooCoarse(
            "A price by properties needs a meter: what a subscription holds has none.", field="pricing_model"
        )
    if not meter.adds_up():
        raise MeterTooCoarse(
            f"A price by properties needs a Sum or Count meter, and {meter.code!r} is a {meter.aggregation}.",
            field="aggregation",
        )
    lacking = meter.list_lacking(names)
    if lacking:
        raise MeterTooCoarse(
            f"The meter {meter.code!r} does not group usage by {' and '.join(lacking)}: take one that does.",
            field="group_by",
        )


def _take_meter(definition: MeterDefinition | None, *, code: str, at: datetime, actor: Actor) -> Meter | None:
    """Find or make the meter of a SKU, under its lock; None for a SKU without one.

    Raises: UnknownMeter; MeterCodeTaken; MeterArchived.
    """
    if definition is not None:
        meter = find_or_make_meter(definition=definition, code=code, at=at, actor=actor)
    elif code:
        try:
            meter = lock_meter_by_code(code)
        except NotFound as error:
            raise UnknownMeter(error.detail, field="meter_code") from None
    else:
        return None
    if meter.status == CatalogStatus.ARCHIVED:
        raise MeterArchived(f"The meter {meter} is archived.", field="meter_code")
    return meter


def _take_position(version: PlanVersion) -> int:
    """Find the place after the last price of a version.

    Raises: PlanFull.
    """
    found = Price.objects.filter(plan_version=version).aggregate(last=Max("position"), count=Count("pk"))
    if found["count"] >= MAX_PRICES_PER_VERSION:
        raise PlanFull(f"A plan has at most {MAX_PRICES_PER_VERSION} SKUs.")
    return 0 if found["last"] is None else int(found["last"]) + 1


def _metered_in_advance() -> MeteredInAdvance:
    return MeteredInAdvance("A metered SKU is billed in arrears.", field="billing_timing")
