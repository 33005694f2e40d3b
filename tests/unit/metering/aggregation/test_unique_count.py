"""UniqueCount: how many different values there are."""

from decimal import Decimal

import pytest

from metering.aggregation.types import Contribution, InvalidValue, State
from metering.aggregation.unique_count import UniqueCount
from tests.unit.metering.aggregation.measuring import SIZE, april, measure_nothing, measure_sizes

UNIQUE = UniqueCount.from_definition(SIZE)


class TestContribute:
    @pytest.mark.parametrize(
        ("value", "member"),
        [
            ("eu-west", "eu-west"),
            ("", ""),
            (1, "1"),
            (Decimal("1.50"), "1.5"),
            (Decimal("1E+3"), "1000"),
            (-1, "-1"),
            (False, "false"),
            ("x" * 255, "x" * 255),
        ],
    )
    def test_keeps_the_text_of_the_value(self, value: object, member: str) -> None:
        contribution = UNIQUE.contribute({"size": value}, timestamp=april(1))

        assert contribution == Contribution(Decimal(0), member=member)

    def test_does_not_count_an_event_without_the_property(self) -> None:
        assert UNIQUE.contribute({"other": 1}, timestamp=april(1)) is None
        assert UNIQUE.contribute({"size": None}, timestamp=april(1)) is None

    @pytest.mark.parametrize(
        "value", [[], ["a"], {}, {"a": 1}, "x" * 256, 10**255], ids=lambda it: repr(it)[:9]
    )
    def test_refuses_what_cannot_be_compared_or_kept(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="'size' must be a text"):
            UNIQUE.contribute({"size": value}, timestamp=april(1))


class TestMeasure:
    def test_is_the_number_of_different_values(self) -> None:
        assert measure_sizes(UNIQUE, "a", "b", "a", None, "c", "a") == 3

    def test_compares_texts(self) -> None:
        assert measure_sizes(UNIQUE, 1, Decimal("1.0"), "1") == 1
        assert measure_sizes(UNIQUE, *[True, "true"]) == 1
        # A text is not read as a number, nor in another case, nor without its spaces.
        assert measure_sizes(UNIQUE, "1", "1.0", "a", "A", "a ", "") == 6

    def test_is_nothing_without_an_event(self) -> None:
        assert measure_nothing(UNIQUE) == measure_sizes(UNIQUE, None) == 0


class TestReduce:
    def test_counts_a_value_once_however_often_it_came(self) -> None:
        assert UNIQUE.reduce({"a": 7, "b": 1}) == 2


class TestUniqueCount:
    def test_is_a_level_of_values(self) -> None:
        assert (UNIQUE.state, UNIQUE.is_flow) == (State.VALUES, False)
