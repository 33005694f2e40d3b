"""The aggregations that a meter can have, by the value of `catalog.models.Aggregation`."""

from collections.abc import Mapping

from metering.aggregation.average import Average
from metering.aggregation.count import Count
from metering.aggregation.latest import Latest
from metering.aggregation.max import Max
from metering.aggregation.min import Min
from metering.aggregation.percentile import Percentile
from metering.aggregation.sum import Sum
from metering.aggregation.types import Aggregation, Definition
from metering.aggregation.unique_count import UniqueCount
from metering.aggregation.weighted_sum import WeightedSum

AGGREGATIONS: Mapping[str, type[Aggregation]] = {
    "Sum": Sum,
    "Count": Count,
    "Max": Max,
    "Min": Min,
    "Average": Average,
    "UniqueCount": UniqueCount,
    "Latest": Latest,
    "WeightedSum": WeightedSum,
    "Percentile": Percentile,
}


def build_aggregation(aggregation: str, definition: Definition) -> Aggregation:
    """Build the rule of a meter from its definition."""
    return AGGREGATIONS[aggregation].from_definition(definition)
