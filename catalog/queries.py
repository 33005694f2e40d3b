"""Reads of the catalogue. Each makes a constant number of queries, however many rows it is asked for."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from billing_project.core.errors import Conflict, InvalidInput, NotFound
from catalog.models import CatalogStatus, Meter, Plan, PlanVersion, Price, PricingModel, Product, Sku
from catalog.models.plans import VERSION_FIELDS
from catalog.pricing.differences import Difference, compare
from catalog.pricing.price_book import write_book
from catalog.pricing.registry import build_model
from catalog.pricing.types import Charge, GroupValues, Stage, Usage

_PRICE_TERMS = ("pricing_model", "billing_timing", "tax_behavior", "tax_category")


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
    """What the usage of a SKU costs in a whole period."""

    price: Price
    quantity: Decimal
    charge: Charge


@dataclass(frozen=True, slots=True)
class SkuComparison:
    """In what the price of a SKU differs between two versions of its plan."""

    sku: Sku
    currency: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """In what two versions of a plan differ: in its terms, in the SKUs it has, and in what they cost."""

    before: PlanVersion
    after: PlanVersion
    terms: tuple[Difference, ...]
    added: tuple[SkuDetails, ...]
    removed: tuple[SkuDetails, ...]
    changed: tuple[SkuComparison, ...]


class NoCells(Conflict):
    """The SKU does not have a price for each value of some properties."""

    code = "no_cells"


class ValuesDoNotFit(InvalidInput):
    """A quantity is not given by the values that the price tells apart."""

    code = "values_do_not_fit"


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


def get_matrix_price(sku_id: UUID) -> Price:
    """Return the latest price of a SKU that has one for each value of some properties.

    Raises: NotFound; NoCells.
    """
    price = describe_sku(get_sku(sku_id)).price
    if price is None or price.pricing_model != PricingModel.MATRIX:
        raise NoCells(f"SKU {sku_id} has no cells: its price is not a Matrix.")
    return price


def export_cells(sku_id: UUID) -> str:
    """Write the cells of a SKU's latest price, and its default, as a sheet in CSV.

    Raises: NotFound; NoCells.
    """
    return write_book(get_matrix_price(sku_id).params)


def compare_versions(*, plan_id: UUID, from_number: int, to_number: int) -> VersionComparison:
    """Read in what two versions of a plan differ; the names of SKUs belong to no version.

    Raises: NotFound.
    """
    before, after = (get_numbered_version(plan_id=plan_id, number=each) for each in (from_number, to_number))
    prices = read_prices([before.pk, after.pk])
    old, new = (
        {(price.sku_id, price.starts_at): price for price in prices[version.pk]}
        for version in (before, after)
    )
    compared = [
        SkuComparison(price.sku, price.currency, compare(_write_price(old[key]), _write_price(price)))
        for key, price in new.items()
        if key in old
    ]
    return VersionComparison(
        before=before,
        after=after,
        terms=compare(*({name: getattr(each, name) for name in VERSION_FIELDS} for each in (before, after))),
        added=tuple(SkuDetails(price.sku, price) for key, price in new.items() if key not in old),
        removed=tuple(SkuDetails(price.sku, price) for key, price in old.items() if key not in new),
        changed=tuple(each for each in compared if each.differences),
    )


def _write_price(price: Price) -> dict[str, object]:
    """Write all of a price that a version can change."""
    return {
        **{name: getattr(price, name) for name in _PRICE_TERMS},
        **build_model(price.pricing_model, price.params).to_params(),
    }


def quote_sku(*, sku_id: UUID, quantities: Sequence[tuple[GroupValues, Decimal]]) -> Quote:
    """Price usage by a SKU's latest price, as if it were the whole of a period that is over.

    Each quantity comes with a value for each property that the price tells apart, or with none where all of
    them are unknown.

    Raises: NotFound; ValuesDoNotFit.
    """
    price = describe_sku(get_sku(sku_id)).price
    if price is None:
        raise NotFound(f"SKU {sku_id} was archived before it had a price to keep.")
    model = build_model(price.pricing_model, price.params)
    dimensions = model.grouping
    for number, (values, _) in enumerate(quantities):
        if len(values) not in {0, len(dimensions)}:
            names = ", ".join(dimension.name for dimension in dimensions) or "nothing"
            raise ValuesDoNotFit(
                f"The price tells usage apart by {names}.", field=f"quantities.{number}.values"
            )
    unknown: GroupValues = (None,) * len(dimensions)
    usage = Usage.grouped(
        [(values or unknown, quantity) for values, quantity in quantities], dimensions=dimensions
    )
    return Quote(price=price, quantity=usage.quantity, charge=model.charge(usage, Stage.FINAL))


def _describe_plan(plan: Plan, *, version: PlanVersion, prices: Iterable[Price]) -> PlanDetails:
    skus = tuple(SkuDetails(sku=price.sku, price=price) for price in prices)
    return PlanDetails(plan=plan, version=version, skus=skus)


def _join_price() -> QuerySet[Price]:
    return Price.objects.select_related("sku", "meter", "plan_version")
