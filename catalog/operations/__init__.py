"""Operations on the catalogue, a file for each aggregate: the only code that changes it."""

from catalog.operations.cells import import_cells
from catalog.operations.meters import (
    MeterChanges,
    MeterDefinition,
    create_meter,
    find_or_make_meter,
    update_meter,
)
from catalog.operations.plans import PlanChanges, PlanTerms, create_plan, update_plan
from catalog.operations.products import ProductChanges, create_product, update_product
from catalog.operations.skus import PriceTerms, SkuChanges, add_sku, update_sku
from catalog.operations.versions import ensure_editable_version, publish_version

__all__ = [
    "MeterChanges",
    "MeterDefinition",
    "PlanChanges",
    "PlanTerms",
    "PriceTerms",
    "ProductChanges",
    "SkuChanges",
    "add_sku",
    "create_meter",
    "create_plan",
    "create_product",
    "ensure_editable_version",
    "find_or_make_meter",
    "import_cells",
    "publish_version",
    "update_meter",
    "update_plan",
    "update_product",
    "update_sku",
]
