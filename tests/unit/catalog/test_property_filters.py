"""Filters on the properties of events."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from catalog.property_filters import (
    FilterOperator,
    InvalidFilter,
    PropertyFilter,
    read_filters,
    read_property_name,
    write_scalar,
)

HUNDRED = tuple(f"model-{number:02}" for number in range(100))


def make_filter(operator: str, *values: object) -> PropertyFilter:
    return PropertyFilter.from_params({"property": "p", "operator": operator, "values": list(values)})


class TestWriteScalar:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("small", "small"),
            ("", ""),
            ("1.0", "1.0"),
            (" a ", " a "),
            (True, "true"),
            (False, "false"),
            (0, "0"),
            (-7, "-7"),
            (10**40, "1" + "0" * 40),
            (Decimal("1.0"), "1"),
            (Decimal("1.50"), "1.5"),
            (Decimal("-0"), "0"),
            (Decimal(100), "100"),
            (Decimal("1E+3"), "1000"),
            (Decimal("1E-7"), "0.0000001"),
            (None, None),
            ([], None),
            (["a"], None),
            ({}, None),
            ({"a": 1}, None),
        ],
    )
    def test_gives_the_canonical_text(self, value: object, text: str | None) -> None:
        assert write_scalar(value) == text

    def test_takes_no_float(self) -> None:
        with pytest.raises(AssertionError, match="exact"):
            write_scalar(0.1)


class TestMatches:
    @pytest.mark.parametrize(
        ("value", "passes"),
        [
            ("1", True),
            (1, True),
            (Decimal("1.0"), True),
            ("1.0", False),
            (True, False),
            (2, False),
            ("", False),
            ([1], False),
            ({"p": 1}, False),
            (None, False),
        ],
        ids=repr,
    )
    def test_compares_canonical_texts(self, value: object, passes: bool) -> None:
        assert make_filter("Equals", 1).matches({"p": value}) is passes
        assert make_filter("Equals", "1").matches({"p": value}) is passes
        assert make_filter("In", "a", 1).matches({"p": value}) is passes
        assert make_filter("NotEquals", 1).matches({"p": value}) is not passes
        assert make_filter("NotIn", "a", 1).matches({"p": value}) is not passes

    def test_takes_booleans_as_the_words(self) -> None:
        for value in (True, "true"):
            assert make_filter("Equals", value).matches({"p": True})
            assert make_filter("Equals", value).matches({"p": "true"})
            assert not make_filter("Equals", value).matches({"p": False})

    def test_tells_an_empty_text_from_none(self) -> None:
        assert make_filter("Equals", "").matches({"p": ""})
        assert not make_filter("Equals", "").matches({"p": None})
        assert not make_filter("Equals", "").matches({})

    def test_looks_at_the_property_alone(self) -> None:
        assert make_filter("Equals", "a").matches({"p": "a", "q": "b"})
        assert not make_filter("Equals", "a").matches({"q": "a"})
        assert not make_filter("Equals", "a").matches({"P": "a"})

    @pytest.mark.parametrize(
        ("properties", "exists"),
        [
            ({}, False),
            ({"p": None}, False),
            ({"q": 1}, False),
            ({"p": ""}, True),
            ({"p": 0}, True),
            ({"p": False}, True),
            ({"p": []}, True),
            ({"p": {}}, True),
        ],
    )
    def test_takes_a_null_as_missing(self, properties: Mapping[str, object], exists: bool) -> None:
        assert make_filter("Exists").matches(properties) is exists
        assert make_filter("Missing").matches(properties) is not exists

    @pytest.mark.parametrize(
        ("value", "passed"),
        [
            (4, {"LessThan", "LessOrEqual"}),
            (5, {"LessOrEqual", "GreaterOrEqual"}),
            (Decimal("5.0"), {"LessOrEqual", "GreaterOrEqual"}),
            ("5", {"LessOrEqual", "GreaterOrEqual"}),
            ("5.0", {"LessOrEqual", "GreaterOrEqual"}),
            ("5e0", {"LessOrEqual", "GreaterOrEqual"}),
            ("40", {"GreaterThan", "GreaterOrEqual"}),
            (Decimal("5." + "0" * 60 + "1"), {"GreaterThan", "GreaterOrEqual"}),
            (Decimal("4." + "9" * 60), {"LessThan", "LessOrEqual"}),
            (-6, {"LessThan", "LessOrEqual"}),
            ("1e999", {"GreaterThan", "GreaterOrEqual"}),
            ("-1e999", {"LessThan", "LessOrEqual"}),
            (10**400, {"GreaterThan", "GreaterOrEqual"}),
            (True, set()),
            ("true", set()),
            ("", set()),
            ("many", set()),
            (" 6", set()),
            ("+6", set()),
            ("06", set()),
            ("6,0", set()),
            ("1e9999", set()),
            ("NaN", set()),
            ("Infinity", set()),
            ("٦", set()),
            (None, set()),
            ([6], set()),
            ({"p": 6}, set()),
        ],
        ids=lambda value: repr(sorted(value)) if isinstance(value, set) else repr(value),
    )
    def test_compares_numbers_exactly_and_nothing_else(self, value: object, passed: set[str]) -> None:
        operators = ("LessThan", "LessOrEqual", "GreaterThan", "GreaterOrEqual")
        assert {name for name in operators if make_filter(name, 5).matches({"p": value})} == passed

    def test_finds_a_missing_property_neither_above_nor_below(self) -> None:
        assert not make_filter("LessThan", 5).matches({})
        assert not make_filter("GreaterOrEqual", 5).matches({})


class TestFromParams:
    @pytest.mark.parametrize(
        ("params", "values"),
        [
            ({"operator": "Equals", "value": "small"}, ("small",)),
            ({"operator": "Equals", "values": ["small"]}, ("small",)),
            ({"operator": "Equals", "value": Decimal("1.50")}, ("1.5",)),
            ({"operator": "Equals", "value": "1.50"}, ("1.50",)),
            ({"operator": "NotEquals", "value": False}, ("false",)),
            ({"operator": "In", "value": "b"}, ("b",)),
            ({"operator": "In", "values": ["b", 1, "a", Decimal("1.0"), "b"]}, ("1", "a", "b")),
            ({"operator": "NotIn", "values": list(HUNDRED)}, HUNDRED),
            ({"operator": "Exists"}, ()),
            ({"operator": "Missing", "values": []}, ()),
            ({"operator": "GreaterThan", "value": "1.50"}, ("1.5",)),
            ({"operator": "LessOrEqual", "value": "-1e3"}, ("-1000",)),
            ({"operator": "Equals", "value": "v" * 500}, ("v" * 500,)),
        ],
    )
    def test_brings_values_into_one_form(self, params: dict[str, object], values: tuple[str, ...]) -> None:
        read = PropertyFilter.from_params({"property": "model", **params})

        assert (read.property_name, read.operator) == ("model", FilterOperator(params["operator"]))
        assert read.values == values

    def test_gives_what_to_params_writes(self) -> None:
        params = {"property": "model", "operator": "In", "values": ["large", "small"]}

        assert PropertyFilter.from_params(params).to_params() == params

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            (None, ""),
            ("Equals", ""),
            ([], ""),
            ({}, "property"),
            ({"operator": "Exists"}, "property"),
            ({"property": "", "operator": "Exists"}, "property"),
            ({"property": None, "operator": "Exists"}, "property"),
            ({"property": 7, "operator": "Exists"}, "property"),
            ({"property": "p" * 201, "operator": "Exists"}, "property"),
            ({"property": "a\x00b", "operator": "Exists"}, "property"),
            ({"property": "a\ud800", "operator": "Exists"}, "property"),
            ({"property": "p"}, "operator"),
            ({"property": "p", "operator": "equals"}, "operator"),
            ({"property": "p", "operator": ["Equals"]}, "operator"),
            ({"property": "p", "operator": "Exists", "colour": "red"}, "colour"),
            ({"property": "p", "operator": "Equals"}, "values"),
            ({"property": "p", "operator": "Equals", "values": []}, "values"),
            ({"property": "p", "operator": "Equals", "values": ["a", "b"]}, "values"),
            ({"property": "p", "operator": "Equals", "values": "a"}, "values"),
            ({"property": "p", "operator": "Equals", "value": "a", "values": ["a"]}, "value"),
            ({"property": "p", "operator": "Equals", "value": None}, "value"),
            ({"property": "p", "operator": "Equals", "value": ["a"]}, "value"),
            ({"property": "p", "operator": "Equals", "value": "v" * 501}, "value"),
            ({"property": "p", "operator": "Equals", "value": "a\x00b"}, "value"),
            ({"property": "p", "operator": "Equals", "value": Decimal("1e401")}, "value"),
            ({"property": "p", "operator": "Equals", "value": Decimal("1e-401")}, "value"),
            ({"property": "p", "operator": "In", "values": []}, "values"),
            ({"property": "p", "operator": "In", "values": list(range(101))}, "values"),
            ({"property": "p", "operator": "In", "values": ["a", None]}, "values.1"),
            ({"property": "p", "operator": "In", "values": ["a", "b", {}]}, "values.2"),
            ({"property": "p", "operator": "Exists", "value": "a"}, "values"),
            ({"property": "p", "operator": "Missing", "values": ["a"]}, "values"),
            ({"property": "p", "operator": "LessThan", "value": "many"}, "value"),
            ({"property": "p", "operator": "LessThan", "value": True}, "value"),
            ({"property": "p", "operator": "LessThan", "values": [10**31]}, "values.0"),
            ({"property": "p", "operator": "LessThan", "values": [1, 2]}, "values"),
        ],
    )
    def test_refuses_and_names_what_is_wrong(self, params: Any, field: str) -> None:
        with pytest.raises(InvalidFilter) as caught:
            PropertyFilter.from_params(params)

        assert caught.value.field == field


class TestReadFilters:
    def test_orders_them_and_takes_each_once(self) -> None:
        region = {"property": "region", "operator": "Exists"}
        large = {"property": "model", "operator": "In", "values": ["large", "small"]}
        same = {"property": "model", "operator": "In", "values": ["small", "large", "small"]}

        assert read_filters([region, large, same]) == read_filters([large, region])
        assert [each.property_name for each in read_filters([region, large, same])] == ["model", "region"]

    def test_reads_none(self) -> None:
        assert read_filters([]) == ()

    @pytest.mark.parametrize(
        ("given", "field"),
        [
            ([{"property": "p", "operator": "Exists"}, {"property": "p", "operator": "In"}], "1.values"),
            ([{"property": "p", "operator": "Exists"}, 7], "1"),
            ([{"property": f"p{number}", "operator": "Exists"} for number in range(11)], ""),
        ],
    )
    def test_says_which_is_wrong(self, given: list[object], field: str) -> None:
        with pytest.raises(InvalidFilter) as caught:
            read_filters(given)

        assert caught.value.field == field


class TestReadPropertyName:
    def test_takes_any_text_that_can_be_stored(self) -> None:
        for name in ("model", "a b", "ключ", "\U0001f600", "p" * 200):
            assert read_property_name(name, field="property") == name
