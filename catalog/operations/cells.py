"""Operations on the cells of a SKU with a price for each value of some properties."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from catalog.locks import lock_latest_version
from catalog.models import Sku
from catalog.operations.skus import update_sku
from catalog.pricing.price_book import read_book
from catalog.queries import get_matrix_price, get_sku


@transaction.atomic
def import_cells(*, sku_id: UUID, text: str, at: datetime, actor: Actor) -> Sku:
    """Replace the cells of a SKU by those of a sheet in CSV, and the default if the sheet has one.

    Other prices than those of a published version make the next version.

    Raises: NotFound; NoCells; SkuArchived; InvalidPricingParams.
    Locks: plan, plan version, SKU.
    """
    lock_latest_version(plan_id=get_sku(sku_id).plan_id)
    params = read_book(text, dimensions=get_matrix_price(sku_id).params["dimensions"])
    return update_sku(sku_id=sku_id, changes={"params": params}, at=at, actor=actor)
