"""Models of the catalogue, a file for each aggregate."""

from catalog.models.meters import Aggregation, Meter
from catalog.models.plans import Anchor, BillingCadence, Plan, PlanVersion, TrialUsage
from catalog.models.products import CatalogStatus, Product
from catalog.models.skus import BillingTiming, Price, PricingModel, Sku, TaxBehavior

__all__ = [
    "Aggregation",
    "Anchor",
    "BillingCadence",
    "BillingTiming",
    "CatalogStatus",
    "Meter",
    "Plan",
    "PlanVersion",
    "Price",
    "PricingModel",
    "Product",
    "Sku",
    "TaxBehavior",
    "TrialUsage",
]
