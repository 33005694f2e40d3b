"""Min: the least value."""

from decimal import Decimal

import pytest

from metering.aggregation.min import Min
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

MIN = Min.from_definition(SIZE)


class TestContribute:
    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert MIN.contribute({"other": 1}, timestamp=april(1)) is None
        assert MIN.contribute({"size": None}, timestamp=april(1)) is None

    @pytest.mark.parametrize("value", NEGATIVES + NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_quantity(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="size"):
            MIN.contribute({"size": value}, timestamp=april(1))


class TestMeasure:
    def test_is_the_least_value(self) -> None:
        assert measure_sizes(MIN, 3, "1.5", 2, None, 9) == Decimal("1.5")

    def test_may_be_zero(self) -> None:
        assert measure_sizes(MIN, 3, 0, 2) == 0

    def test_is_nothing_without_an_event(self) -> None:
        assert measure_nothing(MIN) == measure_sizes(MIN, None) == 0

    def test_takes_late_values_for_those_of_the_month(self) -> None:
        assert measure(MIN, (april(3), 5), (april(1).replace(month=3), 2)) == 2

    def test_looks_at_every_digit(self) -> None:
        long = "9" * 30 + "." + "9" * 29

        assert measure_sizes(MIN, long + "8", long + "7", long + "9") == Decimal(long + "7")


class TestMin:
    def test_is_a_level_of_a_leader(self) -> None:
        assert (MIN.state, MIN.is_flow) == (State.LEADER, False)
