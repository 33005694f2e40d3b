"""Sum: the values add up."""

from decimal import Decimal

import pytest

from metering.aggregation.sum import Sum
from metering.aggregation.types import Contribution, InvalidValue, State
from tests.unit.metering.aggregation.measuring import (
    NEGATIVES,
    NOT_NUMBERS,
    SIZE,
    accumulate,
    april,
    measure_nothing,
    measure_sizes,
)

SUM = Sum.from_definition(SIZE)


class TestContribute:
    def test_adds_the_value(self) -> None:
        assert SUM.contribute({"size": "12.5"}, timestamp=april(1)) == Contribution(Decimal("12.5"))

    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert SUM.contribute({"other": 1}, timestamp=april(1)) is None
        assert SUM.contribute({"size": None}, timestamp=april(1)) is None

    @pytest.mark.parametrize("value", NEGATIVES + NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_quantity(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="size"):
            SUM.contribute({"size": value}, timestamp=april(1))


class TestMeasure:
    def test_is_the_sum(self) -> None:
        assert measure_sizes(SUM, 1, "2.5", None, 0, 4) == Decimal("7.5")
        assert measure_nothing(SUM) == 0

    def test_keeps_every_digit(self) -> None:
        # 10^30 - 1, three times, and a 10^-30.
        total = measure_sizes(SUM, *3 * [10**30 - 1], "1e-30")

        assert total == Decimal("2999999999999999999999999999997.000000000000000000000000000001")

    def test_tells_the_late_part(self) -> None:
        accumulated = accumulate(SUM, (april(1), 3), (april(1).replace(month=3), 4)).read(SUM)

        assert (accumulated.total, accumulated.late_total) == (7, 4)
        assert (accumulated.event_count, accumulated.late_count) == (2, 1)


class TestSum:
    def test_is_a_flow_of_totals(self) -> None:
        assert (SUM.state, SUM.is_flow) == (State.TOTALS, True)
