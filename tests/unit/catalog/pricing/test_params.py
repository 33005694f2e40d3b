from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest

from catalog.pricing.params import (
    BasisPoints,
    read_amount,
    read_bps,
    read_choice,
    read_list,
    read_objects,
    read_optional_amount,
    read_optional_bps,
    read_optional_decimal,
    refuse_unknown,
    write_percent,
)
from catalog.pricing.types import InvalidPricingParams

NOT_WHOLE = [
    2.0,
    0.5,
    True,
    False,
    Decimal(2),
    "",
    " 2",
    "+2",
    "-2",
    "02",
    "2_000",
    "2.0",
    "2e3",
    "٢",
    [],
    {},
    -1,
]


def read_field(caught: pytest.ExceptionInfo[InvalidPricingParams]) -> str:
    """Read which field an error names."""
    (error,) = caught.value.errors
    assert error.code == "invalid_pricing_params"
    return error.field


class TestReadAmount:
    @pytest.mark.parametrize(
        ("value", "amount_nanos"),
        [
            ("0", 0),
            ("2000000", 2_000_000),
            (2_000_000, 2_000_000),
            ("9" * 38, 10**38 - 1),
            (10**38 - 1, 10**38 - 1),
        ],
        ids=repr,
    )
    def test_takes_strings_and_integers(self, value: object, amount_nanos: int) -> None:
        assert read_amount({"fee": value}, "fee") == amount_nanos

    @pytest.mark.parametrize("value", [*NOT_WHOLE, "9" * 39, 10**38, "9" * 1000], ids=repr)
    def test_refuses_what_is_not_a_whole_amount(self, value: object) -> None:
        with pytest.raises(InvalidPricingParams, match="whole number") as caught:
            read_amount({"fee": value}, "fee")

        assert read_field(caught) == "fee"

    @pytest.mark.parametrize("params", [{}, {"fee": None}])
    def test_requires_the_field(self, params: dict[str, object]) -> None:
        with pytest.raises(InvalidPricingParams, match="required") as caught:
            read_amount(params, "fee", within="tiers.3")

        assert read_field(caught) == "tiers.3.fee"


class TestReadOptionalAmount:
    @pytest.mark.parametrize("params", [{}, {"fee": None}])
    def test_is_none_without_the_field(self, params: dict[str, object]) -> None:
        assert read_optional_amount(params, "fee") is None

    def test_takes_zero_for_an_amount(self) -> None:
        assert read_optional_amount({"fee": "0"}, "fee") == 0

    @pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
    def test_refuses_what_is_not_a_whole_amount(self, value: object) -> None:
        with pytest.raises(InvalidPricingParams, match="whole number"):
            read_optional_amount({"fee": value}, "fee")


class TestReadOptionalDecimal:
    @pytest.mark.parametrize(
        ("value", "quantity"),
        [("10000", "10000"), (10_000, "10000"), ("0.5", "0.5"), ("1e4", "10000"), ("0", "0"), (0, "0")],
        ids=repr,
    )
    def test_takes_strings_and_integers(self, value: object, quantity: str) -> None:
        assert read_optional_decimal({"up_to": value}, "up_to") == Decimal(quantity)

    @pytest.mark.parametrize("params", [{}, {"up_to": None}])
    def test_is_none_without_the_field(self, params: dict[str, object]) -> None:
        assert read_optional_decimal(params, "up_to") is None

    @pytest.mark.parametrize(
        "value",
        [
            0.5,
            1e4,
            True,
            Decimal(2),
            "",
            "NaN",
            "Infinity",
            "-0.1",
            -1,
            "1,5",
            "1e31",
            10**31,
            pytest.param(10**5000, id="an integer that Python does not write out"),
            [],
            {},
        ],
    )
    def test_refuses_what_is_not_a_quantity(self, value: object) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            read_optional_decimal({"up_to": value}, "up_to", within="tiers.0")

        assert read_field(caught) == "tiers.0.up_to"

    @pytest.mark.parametrize("value", [0.5, True, Decimal(2), []])
    def test_asks_for_a_string_where_another_type_was_given(self, value: object) -> None:
        with pytest.raises(InvalidPricingParams, match="as a string"):
            read_optional_decimal({"up_to": value}, "up_to")


class TestReadBps:
    @pytest.mark.parametrize(("value", "bps"), [("0", 0), ("250", 250), (10_000, 10_000)], ids=repr)
    def test_takes_strings_and_integers_up_to_the_whole(self, value: object, bps: int) -> None:
        assert read_bps({"rate_bps": value}, "rate_bps") == bps

    @pytest.mark.parametrize("value", [*NOT_WHOLE, "10001", 10_001, "9" * 5000], ids=lambda it: repr(it)[:9])
    def test_refuses_what_is_no_part_of_a_whole(self, value: object) -> None:
        with pytest.raises(InvalidPricingParams, match="basis points") as caught:
            read_bps({"rate_bps": value}, "rate_bps")

        assert read_field(caught) == "rate_bps"

    @pytest.mark.parametrize("params", [{}, {"rate_bps": None}])
    def test_requires_the_field(self, params: dict[str, object]) -> None:
        with pytest.raises(InvalidPricingParams, match="required") as caught:
            read_bps(params, "rate_bps")

        assert read_field(caught) == "rate_bps"
        assert read_optional_bps(params, "rate_bps") is None


class TestWritePercent:
    @pytest.mark.parametrize(
        ("bps", "text"), [(0, "0%"), (1, "0.01%"), (250, "2.5%"), (1_000, "10%"), (10_000, "100%")]
    )
    def test_writes_no_more_than_it_needs(self, bps: int, text: str) -> None:
        assert write_percent(BasisPoints(bps)) == text


class Fruit(StrEnum):
    """Choices of the test's own."""

    APPLE = "Apple"
    PEAR = "Pear"


class TestReadChoice:
    @pytest.mark.parametrize(
        ("params", "fruit"),
        [({}, Fruit.APPLE), ({"fruit": None}, Fruit.APPLE), ({"fruit": "Pear"}, Fruit.PEAR)],
    )
    def test_reads_a_word(self, params: dict[str, object], fruit: Fruit) -> None:
        assert read_choice(params, "fruit", choices=Fruit, default=Fruit.APPLE) is fruit

    @pytest.mark.parametrize("value", ["", "pear", "PEAR", 1, True, [], {}], ids=repr)
    def test_refuses_any_other(self, value: object) -> None:
        with pytest.raises(InvalidPricingParams, match="Apple, Pear") as caught:
            read_choice({"fruit": value}, "fruit", choices=Fruit, default=Fruit.APPLE)

        assert read_field(caught) == "fruit"


class TestReadList:
    @pytest.mark.parametrize("value", [None, [], {}, "ab", [1, 2, 3]], ids=repr)
    def test_names_the_list_by_its_place(self, value: object) -> None:
        with pytest.raises(InvalidPricingParams, match="1 to 2 items") as caught:
            read_list({"values": value}, "values", at_most=2, within="cells.3")

        assert read_field(caught) == "cells.3.values"


class TestReadObjects:
    def test_takes_a_list_of_objects(self) -> None:
        tiers: list[Any] = [{"a": 1}] * 100

        assert read_objects({"tiers": tiers}, "tiers", at_most=100) == tiers

    @pytest.mark.parametrize("value", [None, [], {}, "[]", ({},), [{}] * 101])
    def test_refuses_what_is_not_a_list_of_one_to_a_hundred(self, value: object) -> None:
        with pytest.raises(InvalidPricingParams, match="1 to 100") as caught:
            read_objects({"tiers": value}, "tiers", at_most=100)

        assert read_field(caught) == "tiers"

    @pytest.mark.parametrize("item", [None, "10", 10, []], ids=repr)
    def test_names_the_item_that_is_not_an_object(self, item: object) -> None:
        with pytest.raises(InvalidPricingParams, match="object") as caught:
            read_objects({"tiers": [{}, item]}, "tiers", at_most=100)

        assert read_field(caught) == "tiers.1"


class TestRefuseUnknown:
    def test_lets_known_fields_pass(self) -> None:
        refuse_unknown({"fee": "1"}, known=["fee", "up_to"])

    def test_names_the_first_unknown_field(self) -> None:
        with pytest.raises(InvalidPricingParams, match="known here: fee, up_to") as caught:
            refuse_unknown({"fee": "1", "upto": "2", "tax": "3"}, known=["fee", "up_to"], within="tiers.0")

        assert read_field(caught) == "tiers.0.tax"
