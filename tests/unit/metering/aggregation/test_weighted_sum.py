"""WeightedSum: a level, weighted by how long it held. April has thirty days."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from metering.aggregation.types import Accumulated, Contribution, Definition, InvalidValue, Span, State
from metering.aggregation.weighted_sum import WeightedSum
from tests.unit.metering.aggregation.measuring import (
    APRIL,
    NOT_NUMBERS,
    SIZE,
    accumulate,
    april,
    measure,
    measure_nothing,
)

STORED = WeightedSum.from_definition(SIZE)
MARCH = april(1).replace(month=3)
MICROSECOND = timedelta(microseconds=1)


def measure_carried(level: int, *events: tuple[object, object]) -> Decimal:
    """Measure April where March ended at a level."""
    accumulated = accumulate(STORED, *events).read(STORED)  # type: ignore[arg-type]
    return STORED.measure(replace(accumulated, carried=Decimal(level)), span=APRIL)


class TestContribute:
    def test_is_a_change_up_or_down(self) -> None:
        assert STORED.contribute({"size": 10}, timestamp=april(1)) == Contribution(Decimal(10))
        assert STORED.contribute({"size": "-4.5"}, timestamp=april(1)) == Contribution(Decimal("-4.5"))

    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert STORED.contribute({"other": 1}, timestamp=april(1)) is None
        assert STORED.contribute({"size": None}, timestamp=april(1)) is None

    @pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_number(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="size"):
            STORED.contribute({"size": value}, timestamp=april(1))


class TestMeasure:
    def test_is_the_level_for_its_share_of_the_time(self) -> None:
        assert measure(STORED, (april(1), 10)) == 10
        assert measure(STORED, (april(16), 10)) == 5  # Ten for the last 15 of 30 days.
        assert measure(STORED, (april(30, 12), 60)) == 1  # Sixty for half a day of 30.

    def test_is_the_area_under_the_level(self) -> None:
        # 10 for ten days, then 6 for twenty: 100 + 120 = 220 over 30 days.
        assert measure(STORED, (april(1), 10), (april(11), -4)) == Decimal("7.333333333333")
        # 3 for six days, 5 for nine, none for fifteen: 18 + 45 = 63 over 30 days.
        assert measure(STORED, (april(16), -5), (april(1), 3), (april(7), 2)) == Decimal("2.1")

    def test_goes_on_from_the_level_that_is_carried(self) -> None:
        assert measure_carried(6) == 6
        assert measure_carried(6, (april(16), -6)) == 3  # Six for 15 of 30 days.
        assert measure_carried(6, (april(21), 3)) == 7  # Six for thirty days and three for ten: 210 / 30.

    def test_counts_a_late_change_from_the_start_of_the_span(self) -> None:
        assert measure(STORED, (MARCH, 10)) == 10
        assert measure(STORED, (MARCH, 10), (april(16), -10)) == 5

    def test_is_that_of_the_time_so_far_where_the_span_ends_now(self) -> None:
        until_now = Span(april(1), april(11))

        assert measure(STORED, (april(6), 10), span=until_now) == 5  # Ten for 5 of 10 days.
        assert measure(STORED, (april(11), 10), span=until_now) == 0  # It holds from now on.

    def test_is_never_below_zero(self) -> None:
        assert measure(STORED, (april(1), -5)) == 0
        # Five below zero for half of the month, five above it for the other half.
        assert measure(STORED, (april(1), -5), (april(16), 10)) == 0
        # The time below zero counts: -5 x 10 days + 5 x 20 days = 50, over 30 days.
        assert measure(STORED, (april(1), -5), (april(11), 10)) == Decimal("1.666666666667")

    def test_is_exact_to_the_microsecond_and_has_twelve_decimal_places(self) -> None:
        # April has 2,592 x 10^9 microseconds; one of them is 0.386 x 10^-12 of it.
        assert measure(STORED, (APRIL.ends_at - MICROSECOND, 1)) == 0
        assert measure(STORED, (APRIL.ends_at - MICROSECOND, 2)) == Decimal("1e-12")
        assert measure(STORED, (APRIL.ends_at - MICROSECOND, 2_592 * 10**9)) == 1
        # 10^30 of that is 385,802,469,135,802,469.135802469135802...; one less is 0.386 x 10^-12 less.
        assert measure(STORED, (APRIL.ends_at - MICROSECOND, 10**30 - 1)) == Decimal(
            "385802469135802469.135802469135"
        )

    def test_is_nothing_without_an_event_or_without_time(self) -> None:
        assert measure_nothing(STORED) == 0
        assert measure(STORED, (april(1), 10), span=Span(april(1), april(1))) == 0
        level = Accumulated(carried=Decimal(5))
        assert STORED.measure(level, span=Span(april(2), april(1))) == 0


class TestWeightedSum:
    def test_is_a_level_of_moments(self) -> None:
        assert (STORED.state, STORED.is_flow) == (State.MOMENTS, False)

    def test_knows_whether_it_carries_over(self) -> None:
        carrying = Definition(property_name="size", carries_over=True)

        assert not STORED.carries_over
        assert WeightedSum.from_definition(carrying).carries_over
