"""Row locks of the catalogue. Whoever edits a plan, or is the first to subscribe to it, locks the plan."""

from uuid import UUID

from billing_project.core.errors import NotFound
from catalog.models import Meter, Plan, PlanVersion, Product, Sku


def lock_latest_version(*, plan_id: UUID) -> PlanVersion:
    """Lock a plan and its latest version, and return the version with the plan on it.

    Edits and the first subscription meet here: neither can see the version as free while the other takes it.

    Raises: NotFound.
    Locks: plan, plan version.
    """
    plan = Plan.objects.select_for_update(of=("self",), no_key=True).filter(pk=plan_id).first()
    if plan is None:
        raise NotFound(f"There is no plan {plan_id}.")
    versions = PlanVersion.objects.select_for_update(of=("self",), no_key=True).filter(plan=plan)
    version = versions.order_by("-number")[:1].get()
    version.plan = plan
    return version


def lock_product(product_id: UUID) -> Product:
    """Lock a product.

    Raises: NotFound.
    Locks: product.
    """
    product = Product.objects.select_for_update(of=("self",), no_key=True).filter(pk=product_id).first()
    if product is None:
        raise NotFound(f"There is no product {product_id}.")
    return product


def lock_sku(sku_id: UUID) -> Sku:
    """Lock a SKU. Whoever also changes its price has locked the plan before.

    Raises: NotFound.
    Locks: SKU.
    """
    sku = Sku.objects.select_for_update(of=("self",), no_key=True).filter(pk=sku_id).first()
    if sku is None:
        raise NotFound(f"There is no SKU {sku_id}.")
    return sku


def lock_meter(meter_id: UUID) -> Meter:
    """Lock a meter, so that it is not archived while a price begins to use it, nor the other way round.

    Raises: NotFound.
    Locks: meter.
    """
    meter = Meter.objects.select_for_update(of=("self",), no_key=True).filter(pk=meter_id).first()
    if meter is None:
        raise NotFound(f"There is no meter {meter_id}.")
    return meter


def lock_meter_by_code(code: str) -> Meter:
    """Lock the meter that has that code.

    Raises: NotFound.
    Locks: meter.
    """
    meter = Meter.objects.select_for_update(of=("self",), no_key=True).filter(code=code).first()
    if meter is None:
        raise NotFound(f"There is no meter {code!r}.")
    return meter
