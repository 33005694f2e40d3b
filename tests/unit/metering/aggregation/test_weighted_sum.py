"""WeightedSum: a level, weighted by how long it held. April has thirty days."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from metering.aggregation.types import Accumulated, Contribution, Definition, InvalidValue, Span, State
from metering.aggregation.weighted_sum import WeightedSum, hold_back
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


def measure_carried(level: int, *events: tuple[object, object]) -> Fraction:
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
        assert measure(STORED, (april(1), 10), (april(11), -4)) == Fraction(220, 30)
        # 3 for six days, 5 for nine, none for fifteen: 18 + 45 = 63 over 30 days.
        assert measure(STORED, (april(16), -5), (april(1), 3), (april(7), 2)) == Fraction(63, 30)

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
        assert measure(STORED, (april(1), -5), (april(11), 10)) == Fraction(50, 30)

    def test_is_exact_to_the_microsecond_and_not_rounded(self) -> None:
        # April has 2,592 x 10^9 microseconds.
        assert measure(STORED, (APRIL.ends_at - MICROSECOND, 1)) == Fraction(1, 2_592 * 10**9)
        assert measure(STORED, (APRIL.ends_at - MICROSECOND, 2_592 * 10**9)) == 1
        assert measure(STORED, (APRIL.ends_at - MICROSECOND, 10**30 - 1)) == Fraction(
            10**30 - 1, 2_592 * 10**9
        )

    def test_is_nothing_without_an_event_or_without_time(self) -> None:
        assert measure_nothing(STORED) == 0
        assert measure(STORED, (april(1), 10), span=Span(april(1), april(1))) == 0
        level = Accumulated(carried=Decimal(5))
        assert STORED.measure(level, span=Span(april(2), april(1))) == 0


class TestHoldBack:
    """A change of 6 that is stored in the first of three spans: until 11 April, until the 21st, and to the end."""

    SPANS = (Span(april(1), april(11)), Span(april(11), april(21)), Span(april(21), APRIL.ends_at))
    HOUR = 3600 * 10**6

    def hold_back(self, *, hour: int, at: datetime, number: int = 0) -> list[tuple[int, int]]:
        """Hold back a change at so many hours after the end of the first span; count moments in hours."""
        billed_at = april(11) + timedelta(hours=hour)
        found = hold_back(Decimal(6), billed_at=billed_at, number=number, spans=self.SPANS, at=at)
        return [(place, int(moment / self.HOUR)) for place, moment in found]

    def test_leaves_alone_what_has_come(self) -> None:
        assert self.hold_back(hour=-2, at=april(10, 22)) == []
        assert self.hold_back(hour=-2, at=APRIL.ends_at) == []

    def test_lets_a_change_hold_for_no_time_until_it_has_come(self) -> None:
        # Two hours before the end, seen an hour before that: it adds 6 x -1 h of area, which is taken back.
        assert self.hold_back(hour=-2, at=april(10, 21)) == [(0, -6)]
        assert self.hold_back(hour=-2, at=april(10, 20)) == [(0, -12)]

    def test_lets_a_change_hold_from_its_instant_in_the_span_that_has_it(self) -> None:
        # An hour after the end of its span: it adds 6 x -1 h there, and 6 x 1 h too much in the next.
        assert self.hold_back(hour=1, at=april(20)) == [(0, -6), (1, 6)]
        # Half of that hour has passed in the next one.
        assert self.hold_back(hour=1, at=april(11) + timedelta(minutes=30)) == [(0, -6), (1, 3)]

    def test_goes_on_through_spans_that_have_passed_before_it(self) -> None:
        # 241 hours after the end of the first: the whole ten days of the second, and an hour of the third.
        assert self.hold_back(hour=241, at=APRIL.ends_at) == [(0, -6 * 241), (1, 6 * 240), (2, 6)]
        assert self.hold_back(hour=1, at=april(21), number=1) == []

    def test_comes_to_the_area_of_the_change_as_it_is_in_time(self) -> None:
        accumulated = accumulate(STORED, (april(11, 1), 6)).read(STORED)
        moments = dict(
            hold_back(Decimal(6), billed_at=april(11, 1), number=0, spans=self.SPANS, at=APRIL.ends_at)
        )

        def measure_span(number: int, before: Accumulated) -> Fraction:
            moment = before.moment + moments.get(number, Decimal(0))
            return STORED.measure(replace(before, moment=moment), span=self.SPANS[number])

        carried = Accumulated(carried=accumulated.total)
        assert measure_span(0, accumulated) == 0
        assert measure_span(1, carried) == Fraction(6 * 239, 240)  # All of the ten days but for an hour.
        assert measure_span(2, carried) == 6


class TestWeightedSum:
    def test_is_a_level_of_moments(self) -> None:
        assert (STORED.state, STORED.is_flow) == (State.MOMENTS, False)

    def test_knows_whether_it_carries_over(self) -> None:
        carrying = Definition(property_name="size", carries_over=True)

        assert not STORED.carries_over
        assert WeightedSum.from_definition(carrying).carries_over
