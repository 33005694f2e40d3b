"""Average: the mean of the values that there are."""

from fractions import Fraction

import pytest

from metering.aggregation.average import Average
from metering.aggregation.types import InvalidValue, State
from tests.unit.metering.aggregation.measuring import (
    NEGATIVES,
    NOT_NUMBERS,
    SIZE,
    april,
    measure_nothing,
    measure_sizes,
)

AVERAGE = Average.from_definition(SIZE)


class TestContribute:
    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert AVERAGE.contribute({"other": 1}, timestamp=april(1)) is None
        assert AVERAGE.contribute({"size": None}, timestamp=april(1)) is None

    @pytest.mark.parametrize("value", NEGATIVES + NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_quantity(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="size"):
            AVERAGE.contribute({"size": value}, timestamp=april(1))


class TestMeasure:
    def test_is_the_mean_of_the_events_that_have_the_property(self) -> None:
        assert measure_sizes(AVERAGE, 1, 2, None, "4.5") == Fraction(5, 2)
        assert measure_sizes(AVERAGE, 0, 10) == 5

    def test_is_nothing_without_an_event(self) -> None:
        assert measure_nothing(AVERAGE) == measure_sizes(AVERAGE, None) == 0

    @pytest.mark.parametrize(
        ("sizes", "mean"),
        [
            ([10, 0, 0], Fraction(10, 3)),
            (["1e-30", 0, 0], Fraction(1, 3 * 10**30)),
            ([10**30 - 1, 0], Fraction(10**30 - 1, 2)),
        ],
    )
    def test_is_not_rounded(self, sizes: list[object], mean: Fraction) -> None:
        assert measure_sizes(AVERAGE, *sizes) == mean


class TestAverage:
    def test_is_a_level_of_totals(self) -> None:
        assert (AVERAGE.state, AVERAGE.is_flow) == (State.TOTALS, False)
