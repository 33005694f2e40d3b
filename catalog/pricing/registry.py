"""The pricing models by name. To add one, add its module and its line here."""

from collections.abc import Mapping

from catalog.pricing.adjusted import ADJUSTMENT_PARAMS, adjust
from catalog.pricing.committed import Committed
from catalog.pricing.flat import Flat
from catalog.pricing.graduated import Graduated
from catalog.pricing.matrix import Matrix
from catalog.pricing.package import Package
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.types import InvalidPricingParams, Pricing, PricingModel
from catalog.pricing.volume import Volume

PRICING_MODELS: dict[str, type[PricingModel]] = {
    "Flat": Flat,
    "PerUnit": PerUnit,
    "Graduated": Graduated,
    "Volume": Volume,
    "Package": Package,
    "Committed": Committed,
    "Percentage": Percentage,
    "Matrix": Matrix,
}


def build_model(pricing_model: str, params: Mapping[str, object]) -> Pricing:
    """Build a pricing model, with what adjusts it, from a price's JSON.

    Raises: InvalidPricingParams.
    """
    model_class = PRICING_MODELS.get(pricing_model)
    if model_class is None:
        raise InvalidPricingParams(f"Choose one of {', '.join(PRICING_MODELS)}.", field="pricing_model")
    own_params = {key: value for key, value in params.items() if key not in ADJUSTMENT_PARAMS}
    return adjust(model_class.from_params(own_params), params)
