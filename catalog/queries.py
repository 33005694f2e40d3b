"""Reads of the catalogue. Each makes a constant number of queries, however many rows it is asked for."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from billing_project.core.errors import NotFound
from catalog.models import CatalogStatus, Meter, Plan, PlanVersion, Price, Product, Sku
from catalog.pricing.registry import build_model
from catalog.pricing.types import Charge, Stage


@dataclass(frozen=True, slots=True)
class SkuDetails:
    """A SKU as it is shown: with its latest price. One that was archived before it was ever sold has none."""

    sku: Sku
    price: Price | None


@dataclass(frozen=True, slots=True)
class PlanDetails:
    """A plan as it is shown: with one of its versions, and the SKUs in that."""

    plan: Plan
    version: PlanVersion
    skus: tuple[SkuDetails, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """What a quantity of a SKU costs in a whole period."""

    price: Price
    quantity: Decimal
    charge: Charge


def get_product(product_id: UUID) -> Product:
    """Return a product.

    Raises: NotFound.
    """
    product = Product.objects.filter(pk=product_id).first()
    if product is None:
        raise NotFound(f"There is no product {product_id}.")
    return product


def get_plan(plan_id: UUID) -> Plan:
    """Return a plan.

    Raises: NotFound.
    """
    plan = Plan.objects.filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(f"There is no plan {plan_id}.")
    return plan


def get_plan_version(plan_version_id: UUID) -> PlanVersion:
    """Return a version of a plan, with the plan on it.

    Raises: NotFound.
    """
    version = PlanVersion.objects.select_related("plan").filter(pk=plan_version_id).first()
    if version is None:
        raise NotFound(f"There is no plan version {plan_version_id}.")
    return version


def get_numbered_version(*, plan_id: UUID, number: int) -> PlanVersion:
    """Return the version of a plan that has that number, with the plan on it.

    Raises: NotFound.
    """
    version = PlanVersion.objects.select_related("plan").filter(plan_id=plan_id, number=number).first()
    if version is None:
        raise NotFound(f"Plan {plan_id} has no version {number}.")
    return version


def get_latest_version(plan_id: UUID) -> PlanVersion:
    """Return the latest version of a plan, with the plan on it. It may change until it is published.

    Raises: NotFound.
    """
    versions = PlanVersion.objects.select_related("plan").filter(plan_id=plan_id)
    version = versions.order_by("-number").first()
    if version is None:
        raise NotFound(f"There is no plan {plan_id}.")
    return version


def get_sku(sku_id: UUID) -> Sku:
    """Return a SKU.

    Raises: NotFound.
    """
    sku = Sku.objects.filter(pk=sku_id).first()
    if sku is None:
        raise NotFound(f"There is no SKU {sku_id}.")
    return sku


def get_meter(meter_id: UUID) -> Meter:
    """Return a meter.

    Raises: NotFound.
    """
    meter = Meter.objects.filter(pk=meter_id).first()
    if meter is None:
        raise NotFound(f"There is no meter {meter_id}.")
    return meter


def read_prices(plan_version_ids: Collection[UUID]) -> dict[UUID, tuple[Price, ...]]:
    """Read what each plan version charges, in the order of the plan, with SKU and meter on each price."""
    prices = _join_price().filter(plan_version_id__in=plan_version_ids).order_by("position", "pk")
    by_version: defaultdict[UUID, list[Price]] = defaultdict(list)
    for price in prices:
        by_version[price.plan_version_id].append(price)
    return {version_id: tuple(by_version[version_id]) for version_id in plan_version_ids}


def read_meters_by_event_type(event_types: Collection[str]) -> dict[str, tuple[Meter, ...]]:
    """Read the meters that count events of each of these types; a type that nothing counts has none."""
    meters = Meter.objects.filter(event_type__in=event_types, status=CatalogStatus.ACTIVE).order_by("pk")
    by_type: defaultdict[str, list[Meter]] = defaultdict(list)
    for meter in meters:
        by_type[meter.event_type].append(meter)
    return {event_type: tuple(by_type[event_type]) for event_type in event_types}


def read_plan_details(plans: Sequence[Plan]) -> list[PlanDetails]:
    """Read the latest version of each plan, and the SKUs in it."""
    latest = PlanVersion.objects.filter(plan__in=plans).order_by("plan_id", "-number").distinct("plan_id")
    versions = {version.plan_id: version for version in latest}
    prices = read_prices({version.pk for version in versions.values()})
    return [
        _describe_plan(plan, version=versions[plan.pk], prices=prices[versions[plan.pk].pk]) for plan in plans
    ]


def describe_version(version: PlanVersion) -> PlanDetails:
    """Read the SKUs in one version of a plan."""
    return _describe_plan(version.plan, version=version, prices=read_prices([version.pk])[version.pk])


def read_sku_details(skus: Sequence[Sku]) -> list[SkuDetails]:
    """Read the price of each SKU in the latest version of its plan that has one."""
    latest = _join_price().filter(sku__in=skus).order_by("sku_id", "-plan_version__number").distinct("sku_id")
    prices = {price.sku_id: price for price in latest}
    return [SkuDetails(sku=sku, price=prices.get(sku.pk)) for sku in skus]


def describe_sku(sku: Sku) -> SkuDetails:
    """Read the latest price of one SKU."""
    return read_sku_details([sku])[0]


def quote_sku(*, sku_id: UUID, quantity: Decimal) -> Quote:
    """Price a quantity by a SKU's latest price, as if it were the whole usage of a period that is over.

    Raises: NotFound.
    """
    price = describe_sku(get_sku(sku_id)).price
    if price is None:
        raise NotFound(f"SKU {sku_id} was archived before it had a price to keep.")
    charge = build_model(price.pricing_model, price.params).charge(quantity, Stage.FINAL)
    return Quote(price=price, quantity=quantity, charge=charge)


def _describe_plan(plan: Plan, *, version: PlanVersion, prices: Iterable[Price]) -> PlanDetails:
    skus = tuple(SkuDetails(sku=price.sku, price=price) for price in prices)
    return PlanDetails(plan=plan, version=version, skus=skus)


def _join_price() -> QuerySet[Price]:
    return Price.objects.select_related("sku", "meter", "plan_version")
