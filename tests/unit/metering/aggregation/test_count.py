"""Count: each event counts as one."""

from metering.aggregation.count import Count
from metering.aggregation.types import Contribution, Definition, State
from tests.unit.metering.aggregation.measuring import april, measure_nothing, measure_sizes

COUNT = Count.from_definition(Definition())


class TestContribute:
    def test_is_one_whatever_the_event_carries(self) -> None:
        for properties in ({}, {"size": "many"}, {"size": -5}, {"size": None}):
            assert COUNT.contribute(properties, timestamp=april(1)) == Contribution(1)


class TestMeasure:
    def test_is_the_number_of_events(self) -> None:
        assert measure_sizes(COUNT, 7, 7, None, "many") == 4
        assert measure_nothing(COUNT) == 0


class TestCount:
    def test_is_a_flow_of_totals(self) -> None:
        assert (COUNT.state, COUNT.is_flow) == (State.TOTALS, True)
