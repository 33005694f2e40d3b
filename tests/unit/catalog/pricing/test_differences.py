from typing import Any

import pytest

from catalog.pricing.differences import Difference, compare


def cell(*values: str | None, nanos: str) -> dict[str, Any]:
    """Write a cell."""
    return {"values": list(values), "unit_amount_nanos": nanos}


class TestCompare:
    @pytest.mark.parametrize(
        ("before", "after", "differences"),
        [
            ({"a": "1", "b": None}, {"b": None, "a": "1"}, []),
            ({"trial_days": 7}, {"trial_days": 14}, [("trial_days", "7", "14")]),
            ({"a": "1"}, {"b": "2"}, [("b", None, "2"), ("a", "1", None)]),
            (
                {
                    "tiers": [
                        {"up_to": "10", "unit_amount_nanos": "5"},
                        {"up_to": None, "unit_amount_nanos": "3"},
                    ]
                },
                {"tiers": [{"up_to": "20", "unit_amount_nanos": "5"}]},
                [("tiers.0.up_to", "10", "20"), ("tiers.1.unit_amount_nanos", "3", None)],
            ),
            ({"dimensions": ["a"]}, {"dimensions": ["b"]}, [("dimensions.0", "a", "b")]),
        ],
    )
    def test_lists_each_part_that_is_not_as_it_was(
        self, before: dict[str, Any], after: dict[str, Any], differences: list[tuple[str, str, str]]
    ) -> None:
        assert compare(before, after) == tuple(Difference(*each) for each in differences)

    def test_goes_by_the_values_of_cells_and_not_by_their_places(self) -> None:
        before = [
            cell("gpt-4", "input", nanos="3"),
            cell("gpt-4", None, nanos="6"),
            cell("old", None, nanos="1"),
        ]
        after = [
            cell("new", "input", nanos="9"),
            cell("gpt-4", None, nanos="5"),
            cell("gpt-4", "input", nanos="3"),
        ]

        assert compare({"cells": before}, {"cells": after}) == (
            Difference('cells.["new","input"]', None, "9"),
            Difference('cells.["gpt-4",null]', "6", "5"),
            Difference('cells.["old",null]', "1", None),
        )
