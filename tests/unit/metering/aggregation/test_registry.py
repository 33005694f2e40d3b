"""Building the rule of a meter."""

from decimal import Decimal

from metering.aggregation.count import Count
from metering.aggregation.percentile import Percentile
from metering.aggregation.registry import AGGREGATIONS, build_aggregation
from metering.aggregation.sum import Sum
from metering.aggregation.types import Definition
from metering.aggregation.weighted_sum import WeightedSum

WHOLE = Definition(property_name="size", percentile=Decimal(95), carries_over=True)


class TestBuildAggregation:
    def test_builds_the_rule_of_a_meter(self) -> None:
        assert build_aggregation("Sum", WHOLE) == Sum("size")
        assert build_aggregation("Count", WHOLE) == Count()
        assert build_aggregation("WeightedSum", WHOLE) == WeightedSum("size", carries_over=True)
        assert build_aggregation("Percentile", WHOLE) == Percentile("size", Decimal(95))

    def test_builds_each_as_its_own_kind_and_equal_ones_alike(self) -> None:
        for name, kind in AGGREGATIONS.items():
            assert type(build_aggregation(name, WHOLE)) is kind
            assert build_aggregation(name, WHOLE) == build_aggregation(name, WHOLE)
