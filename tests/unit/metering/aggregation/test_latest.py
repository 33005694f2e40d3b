"""Latest: the value of the last event."""

from datetime import timedelta
from itertools import permutations

import pytest

from metering.aggregation.latest import Latest
from metering.aggregation.types import InvalidValue, State
from tests.unit.metering.aggregation.measuring import (
    NEGATIVES,
    NOT_NUMBERS,
    SIZE,
    april,
    measure,
    measure_nothing,
)

LATEST = Latest.from_definition(SIZE)
MARCH = april(1).replace(month=3)


class TestContribute:
    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert LATEST.contribute({"other": 1}, timestamp=april(1)) is None
        assert LATEST.contribute({"size": None}, timestamp=april(1)) is None

    @pytest.mark.parametrize("value", NEGATIVES + NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_quantity(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="size"):
            LATEST.contribute({"size": value}, timestamp=april(1))


class TestMeasure:
    def test_is_the_value_of_the_last_timestamp_whatever_came_last(self) -> None:
        for events in permutations([(april(3), 7), (april(5), 2), (april(4), 9)]):
            assert measure(LATEST, *events) == 2

    def test_tells_instants_apart_to_the_microsecond(self) -> None:
        later = april(3) + timedelta(microseconds=1)

        assert measure(LATEST, (later, 1), (april(3), 5)) == 1

    def test_is_the_greatest_value_of_one_instant(self) -> None:
        for events in permutations([(april(3), 7), (april(3), 9), (april(3), 8), (april(2), 50)]):
            assert measure(LATEST, *events) == 9

    def test_is_that_of_a_late_event_only_if_there_is_no_other(self) -> None:
        # Both count at the start of the month; they are compared by their own timestamps.
        assert measure(LATEST, (MARCH, 8)) == 8
        assert measure(LATEST, (MARCH + timedelta(days=1), 4), (MARCH, 8)) == 4
        assert measure(LATEST, (april(1), 3), (MARCH, 8)) == 3

    def test_passes_over_an_event_without_the_property(self) -> None:
        assert measure(LATEST, (april(3), 7), (april(4), None)) == 7

    def test_may_be_zero(self) -> None:
        assert measure(LATEST, (april(3), 7), (april(4), 0)) == 0

    def test_is_nothing_without_an_event(self) -> None:
        assert measure_nothing(LATEST) == 0


class TestLatest:
    def test_is_a_level_of_a_leader(self) -> None:
        assert (LATEST.state, LATEST.is_flow) == (State.LEADER, False)
