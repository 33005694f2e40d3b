"""Staff pages of the catalogue. Names and states are edited; terms and prices are shown."""

from catalog.admin.meters import MeterAdmin
from catalog.admin.plans import PlanAdmin, PlanVersionAdmin
from catalog.admin.products import ProductAdmin
from catalog.admin.skus import PriceAdmin, SkuAdmin

__all__ = ["MeterAdmin", "PlanAdmin", "PlanVersionAdmin", "PriceAdmin", "ProductAdmin", "SkuAdmin"]
