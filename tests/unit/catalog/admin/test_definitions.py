"""Meters in words."""

from decimal import Decimal

import pytest

from catalog.admin.definitions import describe_filter, describe_filters_of, describe_quantity_of
from catalog.models import Aggregation, Meter
from catalog.property_filters import FilterOperator, PropertyFilter


class TestDescribeQuantityOf:
    @pytest.mark.parametrize(
        ("meter", "sentence"),
        [
            (Meter(aggregation="Sum", property="tokens"), "The sum of tokens"),
            (Meter(aggregation="Count"), "The number of events"),
            (
                Meter(aggregation="Percentile", property="ms", percentile=Decimal("99.90")),
                "Percentile 99.9 of ms",
            ),
            (
                Meter(aggregation="WeightedSum", property="seats", carries_over=True),
                "The sum of the changes of seats, weighted by time, from the level of the period before",
            ),
        ],
        ids=repr,
    )
    def test_says_what_is_made_of_events(self, meter: Meter, sentence: str) -> None:
        assert describe_quantity_of(meter) == sentence

    @pytest.mark.parametrize("aggregation", Aggregation)
    def test_knows_every_aggregation(self, aggregation: Aggregation) -> None:
        meter = Meter(aggregation=aggregation, property="tokens", percentile=Decimal(95))

        assert ("tokens" in describe_quantity_of(meter)) is (aggregation != Aggregation.COUNT)


class TestDescribeFilter:
    @pytest.mark.parametrize(
        ("operator", "values", "sentence"),
        [
            ("Equals", ("small",), 'model is "small"'),
            ("NotEquals", ("small",), 'model is not "small"'),
            ("In", ("large", "small"), 'model is one of "large", "small"'),
            ("NotIn", ("large", "small"), 'model is none of "large", "small"'),
            ("Exists", (), "model is given"),
            ("Missing", (), "model is not given"),
            ("GreaterThan", ("5",), "model is greater than 5"),
            ("GreaterOrEqual", ("5",), "model is at least 5"),
            ("LessThan", ("5",), "model is less than 5"),
            ("LessOrEqual", ("5",), "model is at most 5"),
        ],
    )
    def test_says_what_it_asks_for(self, operator: str, values: tuple[str, ...], sentence: str) -> None:
        assert describe_filter(PropertyFilter("model", FilterOperator(operator), values)) == sentence

    def test_takes_a_property_as_it_is_called(self) -> None:
        condition = PropertyFilter("{values}", FilterOperator.EQUALS, ("{property}",))

        assert describe_filter(condition) == '{values} is "{property}"'


class TestDescribeFiltersOf:
    def test_says_that_there_are_none(self) -> None:
        assert describe_filters_of(Meter()) == "All events of the type"

    def test_escapes_what_was_typed(self) -> None:
        meter = Meter(filters=[{"property": "<b>", "operator": "Exists", "values": []}])

        assert describe_filters_of(meter) == "<div>&lt;b&gt; is given</div>"
