from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from catalog.pricing.matrix import Cell, Matrix, write_values
from catalog.pricing.types import (
    Charge,
    ChargeStep,
    Dimension,
    GroupValues,
    InvalidPricingParams,
    Stage,
    Usage,
)

# In dollars for a million tokens: gpt-4 30 in and 60 out, anything else of gpt-4 45; of other models 1 for
# cached tokens and 5 for all else.
PARAMS: dict[str, Any] = {
    "dimensions": ["model", "token_type"],
    "cells": [
        {"values": ["gpt-4", "input"], "unit_amount_nanos": "30000000"},
        {"values": ["gpt-4", "output"], "unit_amount_nanos": "60000000"},
        {"values": ["gpt-4", "cached"], "unit_amount_nanos": "15000000"},
        {"values": ["gpt-4", None], "unit_amount_nanos": "45000000"},
        {"values": [None, "cached"], "unit_amount_nanos": "1000000"},
    ],
    "default_unit_amount_nanos": "5000000",
}
MODEL = Matrix(
    ("model", "token_type"),
    (
        Cell(("gpt-4", "input"), 30_000_000),
        Cell(("gpt-4", "output"), 60_000_000),
        Cell(("gpt-4", "cached"), 15_000_000),
        Cell(("gpt-4", None), 45_000_000),
        Cell((None, "cached"), 1_000_000),
    ),
    5_000_000,
)


def with_cells(*cells: list[Any], dimensions: list[str] | None = None) -> dict[str, Any]:
    """Write parameters with cells for these values."""
    return {
        "dimensions": dimensions or ["model", "token_type"],
        "cells": [{"values": values, "unit_amount_nanos": "1"} for values in cells],
        "default_unit_amount_nanos": "1",
    }


class TestFromParams:
    def test_takes_cells(self) -> None:
        assert Matrix.from_params(PARAMS) == MODEL

    def test_takes_one_dimension(self) -> None:
        params = with_cells(["gpt-4"], ["claude"], dimensions=["model"])

        assert Matrix.from_params(params) == Matrix(
            ("model",), (Cell(("gpt-4",), 1), Cell(("claude",), 1)), 1
        )

    def test_takes_a_thousand_cells(self) -> None:
        params = with_cells(*([f"model-{number}", None] for number in range(1_000)))

        assert len(Matrix.from_params(params).cells) == 1_000

    @pytest.mark.parametrize(
        ("params", "field"),
        [
            ({}, "dimensions"),
            ({**PARAMS, "dimensions": []}, "dimensions"),
            ({**PARAMS, "dimensions": ["a", "b", "c"]}, "dimensions"),
            ({**PARAMS, "dimensions": ["model", "model"]}, "dimensions.1"),
            ({**PARAMS, "dimensions": ["model", ""]}, "dimensions.1"),
            ({**PARAMS, "dimensions": ["model", 1]}, "dimensions.1"),
            ({**PARAMS, "cells": []}, "cells"),
            ({**PARAMS, "cells": ["a"]}, "cells.0"),
            ({**PARAMS, "default_unit_amount_nanos": None}, "default_unit_amount_nanos"),
            ({**PARAMS, "default": "1"}, "default"),
            (
                {**PARAMS, "cells": [{"values": ["a", "b"], "unit_amount_nanos": 0.5}]},
                "cells.0.unit_amount_nanos",
            ),
            ({**PARAMS, "cells": [{"values": ["a", "b"]}]}, "cells.0.unit_amount_nanos"),
            ({**PARAMS, "cells": [{"unit_amount_nanos": "1"}]}, "cells.0.values"),
            ({**PARAMS, "cells": [{"values": ["a"], "unit_amount_nanos": "1", "x": 1}]}, "cells.0.x"),
            (with_cells(["a"]), "cells.0.values"),
            (with_cells(["a", "b", "c"]), "cells.0.values"),
            (with_cells(["a", "b"], ["a", 1]), "cells.1.values.1"),
            (with_cells(["a", ""]), "cells.0.values.1"),
            (with_cells(["a", "b" * 256]), "cells.0.values.1"),
            (with_cells(["a", "\x00"]), "cells.0.values.1"),
            (with_cells(["a", "b"], [None, None]), "cells.1.values"),
            (with_cells(*([f"model-{number}", None] for number in range(1_001))), "cells"),
        ],
    )
    def test_names_what_is_wrong(self, params: dict[str, Any], field: str) -> None:
        with pytest.raises(InvalidPricingParams) as caught:
            Matrix.from_params(params)

        assert [error.field for error in caught.value.errors] == [field]

    @pytest.mark.parametrize(
        ("cells", "named"),
        [
            ((["a", "b"], ["c", "d"], ["a", "b"]), "model a, token_type b"),
            ((["a", None], ["c", "d"], ["a", None]), "model a"),
        ],
    )
    def test_refuses_equal_cells(self, cells: tuple[list[Any], ...], named: str) -> None:
        with pytest.raises(InvalidPricingParams, match=f"Two cells are for {named}\\.") as caught:
            Matrix.from_params(with_cells(*cells))

        assert [error.field for error in caught.value.errors] == ["cells.2.values"]

    def test_refuses_two_cells_that_fit_equally_well(self) -> None:
        params = with_cells([None, "output"], ["a", "input"], ["a", None])

        with pytest.raises(InvalidPricingParams, match="model a with token_type output") as caught:
            Matrix.from_params(params)

        assert [error.field for error in caught.value.errors] == ["cells.2.values"]

    def test_takes_them_where_a_third_one_decides(self) -> None:
        params = with_cells([None, "output"], ["a", "output"], ["a", None])

        assert len(Matrix.from_params(params).cells) == 3


class TestGrouping:
    def test_names_the_values_of_each_dimension(self) -> None:
        assert MODEL.grouping == [
            Dimension("model", frozenset({"gpt-4"})),
            Dimension("token_type", frozenset({"input", "output", "cached"})),
        ]


class TestCharge:
    @pytest.mark.parametrize(
        ("values", "amount_nanos"),
        [
            (("gpt-4", "input"), 30_000_000),
            (("gpt-4", "cached"), 15_000_000),
            (("gpt-4", "audio"), 45_000_000),
            (("gpt-4", None), 45_000_000),
            (("llama", "cached"), 1_000_000),
            ((None, "cached"), 1_000_000),
            (("llama", "input"), 5_000_000),
            ((None, None), 5_000_000),
        ],
    )
    def test_takes_the_most_exact_cell(self, values: GroupValues, amount_nanos: int) -> None:
        assert MODEL.charge(Usage(Decimal(1), {values: Decimal(1)}), Stage.FINAL).amount_nanos == amount_nanos

    def test_explains_each_cell_that_was_used(self) -> None:
        usage = Usage(
            Decimal(2_501_250),
            {
                ("llama", "output"): Decimal(250),
                (None, "cached"): Decimal(1_000_000),
                ("gpt-4", None): Decimal(1_000),
                ("llama", "cached"): Decimal(500_000),
                ("gpt-4", "input"): Decimal(1_000_000),
                ("gpt-4", "output"): Decimal(0),
            },
        )

        assert MODEL.charge(usage, Stage.IN_PROGRESS) == Charge(
            (
                ChargeStep(
                    '["gpt-4","input"]',
                    "model gpt-4, token_type input",
                    Decimal(1_000_000),
                    30_000_000,
                    30_000_000_000_000,
                ),
                ChargeStep('["gpt-4",null]', "model gpt-4", Decimal(1_000), 45_000_000, 45_000_000_000),
                ChargeStep(
                    '[null,"cached"]', "token_type cached", Decimal(1_500_000), 1_000_000, 1_500_000_000_000
                ),
                ChargeStep(
                    "default", "Any other model and token_type", Decimal(250), 5_000_000, 1_250_000_000
                ),
            )
        )

    def test_prices_what_is_in_no_group_by_the_default(self) -> None:
        usage = Usage(Decimal(10), {("gpt-4", "input"): Decimal(4)})

        assert [(step.key, step.quantity) for step in MODEL.charge(usage, Stage.FINAL).steps] == [
            ('["gpt-4","input"]', Decimal(4)),
            ("default", Decimal(6)),
        ]

    def test_rounds_each_cell_once_however_many_groups_it_has(self) -> None:
        # Three groups of 0.4 tokens are 1.2 nanos, and not three times nothing.
        model = Matrix(("model", "token_type"), (Cell(("a", None), 1),), 0)
        groups = {("a", kind): Decimal("0.4") for kind in ("x", "y", None)}

        assert model.charge(Usage(Decimal("1.2"), groups), Stage.FINAL).amount_nanos == 1

    def test_has_no_step_where_nothing_was_used(self) -> None:
        assert MODEL.charge(Usage.of(0), Stage.FINAL) == Charge(())

    def test_matches_one_dimension(self) -> None:
        model = Matrix(("model",), (Cell(("a",), 2),), 3)
        usage = Usage(Decimal(6), {("a",): Decimal(1), ("b",): Decimal(2), (None,): Decimal(3)})

        assert [(step.description, step.amount_nanos) for step in model.charge(usage, Stage.FINAL).steps] == [
            ("model a", 2),
            ("Any other model", 15),
        ]


class TestScale:
    def test_changes_no_rate(self) -> None:
        assert MODEL.scale(Fraction(17, 31)) == MODEL


class TestToParams:
    def test_writes_numbers_as_strings(self) -> None:
        assert MODEL.to_params() == PARAMS


class TestWriteValues:
    def test_tells_all_values_apart(self) -> None:
        values: list[GroupValues] = [("a,b",), ("a", "b"), ('a","b',), ("a", None), ("a", "null"), ("é",)]

        assert [write_values(each) for each in values] == [
            '["a,b"]',
            '["a","b"]',
            '["a\\",\\"b"]',
            '["a",null]',
            '["a","null"]',
            '["é"]',
        ]
