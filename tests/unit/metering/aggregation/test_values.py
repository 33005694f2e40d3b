"""Reading the value that a meter looks at."""

from decimal import Decimal

import pytest

from metering.aggregation.types import InvalidValue
from metering.aggregation.values import read_number, read_quantity
from tests.unit.metering.aggregation.measuring import NEGATIVES, NOT_NUMBERS

NUMBERS = [
    (0, Decimal(0)),
    (10, Decimal(10)),
    (Decimal("0.000000000000000000000000000001"), Decimal("0.000000000000000000000000000001")),
    ("12.5", Decimal("12.5")),
    ("1e3", Decimal(1000)),
    (Decimal("1E+3"), Decimal(1000)),
    (10**30 - 1, Decimal(10**30 - 1)),
    (str(10**30 - 1) + "." + 30 * "9", Decimal(str(10**30 - 1) + "." + 30 * "9")),
    ("-0", Decimal(0)),
]


class TestReadNumber:
    @pytest.mark.parametrize(("value", "number"), NUMBERS, ids=repr)
    def test_reads_a_number_or_one_in_a_string(self, value: object, number: Decimal) -> None:
        assert read_number({"size": value}, "size") == number

    @pytest.mark.parametrize(
        ("value", "number"),
        [(-1, Decimal(-1)), ("-1.5", Decimal("-1.5")), (-(10**30) + 1, Decimal(-(10**30) + 1))],
    )
    def test_reads_one_below_zero(self, value: object, number: Decimal) -> None:
        assert read_number({"size": value}, "size") == number

    def test_finds_none_where_there_is_no_value(self) -> None:
        assert read_number({"other": 1}, "size") is None
        assert read_number({"size": None}, "size") is None

    @pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_number(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="'size' cannot be counted"):
            read_number({"size": value}, "size")


class TestReadQuantity:
    @pytest.mark.parametrize(("value", "number"), NUMBERS, ids=repr)
    def test_reads_a_number_or_one_in_a_string(self, value: object, number: Decimal) -> None:
        assert read_quantity({"size": value}, "size") == number

    def test_finds_none_where_there_is_no_value(self) -> None:
        assert read_quantity({"other": 1}, "size") is None
        assert read_quantity({"size": None}, "size") is None

    @pytest.mark.parametrize("value", NEGATIVES, ids=repr)
    def test_refuses_one_below_zero(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="'size' is negative"):
            read_quantity({"size": value}, "size")

    @pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
    def test_refuses_what_is_no_number(self, value: object) -> None:
        with pytest.raises(InvalidValue, match="size"):
            read_quantity({"size": value}, "size")
