"""Percentile: by nearest rank, always a value that occurred."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from metering.aggregation.percentile import Percentile
from metering.aggregation.types import Contribution, Definition, InvalidValue, State
from tests.unit.metering.aggregation.measuring import (
    NEGATIVES,
    NOT_NUMBERS,
    SIZE,
    april,
    measure_nothing,
    measure_sizes,
)


def make_percentile(percentile: str) -> Percentile:
    return Percentile.from_definition(Definition(property_name="size", percentile=Decimal(percentile)))


P95 = make_percentile("95")


class TestContribute:
    @pytest.mark.parametrize(
        ("value", "member"), [(1, "1"), ("1.50", "1.5"), (Decimal("1E+3"), "1000"), ("-0", "0")]
    )
    def test_keeps_the_value_in_digits(self, value: object, member: str) -> None:
        contribution = P95.contribute({"size": value}, timestamp=april(1))

        assert contribution == Contribution(Decimal(member), member=member)

    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert P95.contribute({"other": 1}, timestamp=april(1)) is None
        assert P95.contribute({"size": None}, timestamp=april(1)) is None

    @pytest.mark.parametrize("value", NEGATIVES + NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_quantity(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="size"):
            P95.contribute({"size": value}, timestamp=april(1))


class TestMeasure:
    @pytest.mark.parametrize(
        ("percentile", "sizes", "value"),
        [
            ("95", range(1, 21), "19"),  # Place 0.95 x 20 = 19.
            ("95", range(1, 22), "20"),  # Place 19.95, so 20.
            ("50", [4, 1, 3, 2], "2"),  # Place 2 of the four in order.
            ("50.1", [4, 1, 3, 2], "3"),  # Place 2.004, so 3.
            ("25", [4, 1, 3, 2], "1"),
            ("100", [4, 1, 3, 2], "4"),
            ("0.1", [4, 1, 3, 2], "1"),  # Place 0.004, so 1.
            ("99.9", range(1, 1001), "999"),  # Place 999, where floats come to 999.0000000000001, so 1000.
            ("95", [7], "7"),
            ("1", [7], "7"),
            ("75", [1, 9, 1, 1], "1"),  # Place 3, and the first three are ones.
            ("76", [1, 9, 1, 1], "9"),  # Place 3.04, so 4.
            ("50", [0, 0, 5], "0"),
            ("50", ["9", "10", "100"], "10"),  # In the order of numbers, not of texts.
            ("50", ["0.5", "0.25", "0.125"], "0.25"),
        ],
    )
    def test_is_the_value_at_its_place(self, percentile: str, sizes: Sequence[object], value: str) -> None:
        assert measure_sizes(make_percentile(percentile), *sizes) == Decimal(value)

    def test_is_nothing_without_an_event(self) -> None:
        assert measure_nothing(P95) == measure_sizes(P95, None) == 0


class TestPercentile:
    def test_is_a_level_of_values(self) -> None:
        assert (P95.state, P95.is_flow) == (State.VALUES, False)

    def test_needs_to_know_which_one(self) -> None:
        with pytest.raises(AssertionError, match="which one"):
            Percentile.from_definition(SIZE)
