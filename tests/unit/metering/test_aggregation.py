"""What an event contributes to a meter."""

from decimal import Decimal

import pytest

from metering.aggregation.count import Count
from metering.aggregation.registry import AGGREGATIONS, build_aggregation
from metering.aggregation.sum import Sum
from metering.aggregation.types import InvalidValue

TOKENS = Sum("tokens")


class TestSum:
    @pytest.mark.parametrize(
        ("value", "quantity"),
        [
            (0, Decimal(0)),
            (10, Decimal(10)),
            (Decimal("0.000000000000000000000000000001"), Decimal("0.000000000000000000000000000001")),
            ("12.5", Decimal("12.5")),
            ("1e3", Decimal(1000)),
            (10**30 - 1, Decimal(10**30 - 1)),
            ("-0", Decimal(0)),
        ],
    )
    def test_adds_a_number_or_one_in_a_string(self, value: object, quantity: Decimal) -> None:
        assert TOKENS.contribute({"tokens": value}) == quantity

    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert TOKENS.contribute({"other": 1}) is None
        assert TOKENS.contribute({"tokens": None}) is None

    @pytest.mark.parametrize(
        "value",
        [
            -1, "-1", Decimal("-0.1"),
            True, "many", "", " 1", "1_000", "NaN", "Infinity", "٣", [], {}, [1], "0x10", "+1",
            10**30, "1" + "0" * 30, Decimal("1E+30"), Decimal("1E-31"), Decimal("1E-400"), "1e999", "9" * 400,
        ],
        ids=repr,
    )  # fmt: skip
    def test_refuses_what_is_no_quantity(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="tokens"):
            TOKENS.contribute({"tokens": value})


class TestCount:
    def test_counts_each_event_once(self) -> None:
        assert Count().contribute({}) == Count().contribute({"tokens": "many"}) == 1


class TestBuildAggregation:
    def test_builds_the_rule_of_a_meter(self) -> None:
        assert build_aggregation(aggregation="Sum", property_name="tokens") == TOKENS
        assert build_aggregation(aggregation="Count", property_name="") == Count()

    def test_knows_only_rules_without_memory(self) -> None:
        for aggregation in AGGREGATIONS.values():
            rule = aggregation.from_meter(property_name="tokens")
            assert rule.contribute({"tokens": 3}) == rule.contribute({"tokens": 3})
