"""Max: the greatest value."""

from decimal import Decimal

import pytest

from metering.aggregation.max import Max
from metering.aggregation.types import InvalidValue, State
from tests.unit.metering.aggregation.measuring import (
    NEGATIVES,
    NOT_NUMBERS,
    SIZE,
    april,
    measure,
    measure_nothing,
    measure_sizes,
)

MAX = Max.from_definition(SIZE)


class TestContribute:
    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert MAX.contribute({"other": 1}, timestamp=april(1)) is None
        assert MAX.contribute({"size": None}, timestamp=april(1)) is None

    @pytest.mark.parametrize("value", NEGATIVES + NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_quantity(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="size"):
            MAX.contribute({"size": value}, timestamp=april(1))


class TestMeasure:
    def test_is_the_greatest_value(self) -> None:
        assert measure_sizes(MAX, 3, "11", 2, None, 9) == 11

    def test_is_nothing_without_an_event(self) -> None:
        assert measure_nothing(MAX) == measure_sizes(MAX, None) == 0

    def test_takes_late_values_for_those_of_the_month(self) -> None:
        assert measure(MAX, (april(3), 5), (april(1).replace(month=3), 8)) == 8

    def test_looks_at_every_digit(self) -> None:
        long = "9" * 30 + "." + "9" * 29

        assert measure_sizes(MAX, long + "8", long + "9", long + "7") == Decimal(long + "9")


class TestMax:
    def test_is_a_level_of_a_leader(self) -> None:
        assert (MAX.state, MAX.is_flow) == (State.LEADER, False)
