"""The aggregations that a meter can have, by the value of `catalog.models.Aggregation`."""

from collections.abc import Mapping

from metering.aggregation.count import Count
from metering.aggregation.sum import Sum
from metering.aggregation.types import Aggregation

AGGREGATIONS: Mapping[str, type[Aggregation]] = {
    "Sum": Sum,
    "Count": Count,
}


def build_aggregation(*, aggregation: str, property_name: str) -> Aggregation:
    """Build the rule of a meter from its definition."""
    return AGGREGATIONS[aggregation].from_meter(property_name=property_name)
