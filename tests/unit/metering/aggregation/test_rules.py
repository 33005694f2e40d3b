"""What one meter makes of one event."""

from decimal import Decimal

import pytest

from billing_project.core.ids import make_id
from catalog.property_filters import FilterOperator, PropertyFilter
from metering.aggregation.rules import MAX_GROUP_BYTES, MeterRule, read_group, write_group
from metering.aggregation.sum import Sum
from metering.aggregation.types import Contribution, InvalidValue
from tests.factories.core import NOON

PAID = PropertyFilter("tier", FilterOperator.EQUALS, ("paid",))
LARGE = PropertyFilter("size", FilterOperator.GREATER_THAN, ("100",))


def make_rule(*filters: PropertyFilter, group_by: tuple[str, ...] = ()) -> MeterRule:
    return MeterRule(make_id(), "upload", Sum("size"), filters, group_by)


class TestCount:
    def test_counts_what_passes_every_filter(self) -> None:
        rule = make_rule(PAID, LARGE)

        assert rule.count({"tier": "paid", "size": 101}, timestamp=NOON) == Contribution(Decimal(101))
        assert rule.count({"tier": "paid", "size": 100}, timestamp=NOON) is None
        assert rule.count({"tier": "free", "size": 101}, timestamp=NOON) is None
        assert rule.count({"size": 101}, timestamp=NOON) is None

    def test_counts_everything_without_filters(self) -> None:
        assert make_rule().count({"size": 1}, timestamp=NOON) == Contribution(Decimal(1))

    def test_does_not_look_at_the_value_of_what_is_filtered_out(self) -> None:
        assert make_rule(PAID).count({"tier": "free", "size": "many"}, timestamp=NOON) is None
        with pytest.raises(InvalidValue):
            make_rule(PAID).count({"tier": "paid", "size": "many"}, timestamp=NOON)


class TestFindGroup:
    def test_is_empty_without_groups(self) -> None:
        assert make_rule().find_group({"region": "eu"}) == ""

    @pytest.mark.parametrize(
        ("properties", "key"),
        [
            ({"region": "eu", "model": "a"}, '["eu","a"]'),
            ({"region": "eu"}, '["eu",null]'),
            ({"region": None, "model": ["a"]}, "[null,null]"),
            ({"region": "", "model": "null"}, '["","null"]'),
            ({"region": 1, "model": True}, '["1","true"]'),
            ({"region": Decimal("1.50"), "model": 'a"b'}, '["1.5","a\\"b"]'),
            ({"region": "Zürich", "model": "日本"}, '["Zürich","日本"]'),
        ],
    )
    def test_is_a_key_of_the_values_in_their_order(self, properties: dict[str, object], key: str) -> None:
        assert make_rule(group_by=("region", "model")).find_group(properties) == key

    def test_refuses_a_value_that_is_too_long(self) -> None:
        rule = make_rule(group_by=("region",))

        assert len(rule.find_group({"region": "x" * 255})) == 259
        with pytest.raises(InvalidValue, match="'region' groups usage"):
            rule.find_group({"region": "x" * 256})

    def test_refuses_values_that_are_too_long_together(self) -> None:
        names = tuple(f"name-{number}" for number in range(10))
        rule = make_rule(group_by=names)

        # Ten pairs of quotes, nine commas and two brackets are 31 of the bytes.
        longest = dict(zip(names, [*5 * ["x" * 255], 194 * "x", *4 * [""]], strict=True))

        assert len(rule.find_group(longest)) == MAX_GROUP_BYTES == 1500
        with pytest.raises(InvalidValue, match="together"):
            rule.find_group({**longest, names[9]: "x"})
        with pytest.raises(InvalidValue, match="together"):  # Two times 255 characters of three bytes each.
            rule.find_group({names[0]: "日" * 255, names[1]: "本" * 255})


class TestReadGroup:
    @pytest.mark.parametrize("values", [["eu", None], [""], [None], ['a"\\b', "ü", "\t"]], ids=repr)
    def test_reads_what_was_written(self, values: list[str | None]) -> None:
        assert read_group(write_group(values)) == values

    def test_finds_no_values_without_groups(self) -> None:
        assert read_group("") == []
