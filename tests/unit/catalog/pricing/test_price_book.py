from typing import Any

import pytest

from catalog.pricing.matrix import MAX_CELLS
from catalog.pricing.price_book import read_book, write_book
from catalog.pricing.types import InvalidPricingParams

DIMENSIONS = ["model", "token_type"]
PARAMS: dict[str, Any] = {
    "dimensions": DIMENSIONS,
    "cells": [
        {"values": ["gpt-4", "input"], "unit_amount_nanos": "30000000"},
        {"values": ["gpt-4", None], "unit_amount_nanos": "45000000"},
        {"values": ['the "odd", one', "cached"], "unit_amount_nanos": "1"},
    ],
    "default_unit_amount_nanos": "5000000",
}
SHEET = """\
model,token_type,unit_amount_nanos
gpt-4,input,30000000
gpt-4,,45000000
"the ""odd"", one",cached,1
,,5000000
"""
HEADER = "model,token_type,unit_amount_nanos\n"


class TestWriteBook:
    def test_writes_a_line_for_each_cell_and_the_default(self) -> None:
        assert write_book(PARAMS) == SHEET

    def test_writes_one_dimension(self) -> None:
        cells = [{"values": ["gpt-4"], "unit_amount_nanos": "1"}]
        params = {"dimensions": ["model"], "cells": cells, "default_unit_amount_nanos": "0"}

        assert write_book(params) == "model,unit_amount_nanos\ngpt-4,1\n,0\n"


class TestReadBook:
    def test_reads_what_was_written(self) -> None:
        params = read_book(SHEET, dimensions=DIMENSIONS)

        assert params == {name: PARAMS[name] for name in ("cells", "default_unit_amount_nanos")}

    def test_bears_with_spreadsheets(self) -> None:
        text = "\ufeffmodel , token_type,unit_amount_nanos\r\n\r\n gpt-4 ,input, 3 \r\n,,\r\n"

        assert read_book(text, dimensions=DIMENSIONS) == {
            "cells": [{"values": ["gpt-4", "input"], "unit_amount_nanos": "3"}]
        }

    @pytest.mark.parametrize(
        ("text", "line", "detail"),
        [
            ("", 1, "columns model,token_type,unit_amount_nanos"),
            ("token_type,model,unit_amount_nanos\n", 1, "columns model,token_type"),
            ("gpt-4,input,3\n", 1, "columns model,token_type"),
            (HEADER + "gpt-4,3\n", 2, "2 columns, and not 3"),
            (HEADER + "a,b,1\n\ngpt-4,input,3,4\n", 4, "4 columns"),
            (HEADER + "gpt-4,input,0.5\n", 2, "whole number"),
            (HEADER + "gpt-4,input,\n", 2, "whole number"),
            (HEADER + "gpt-4,input,-3\n", 2, "whole number"),
            (HEADER + "a,b,1\n,,x\n", 3, "whole number"),
            (HEADER + ",,1\n,,2\n", 3, "a default already"),
            (HEADER + f"{'a' * 256},b,1\n", 2, "1 to 255 characters"),
            (HEADER + '"a"b,c,1\n', 2, "not CSV"),
            (HEADER + "a,b,1\n" * (MAX_CELLS + 1), MAX_CELLS + 2, "at most 1000 cells"),
        ],
    )
    def test_names_the_line(self, text: str, line: int, detail: str) -> None:
        with pytest.raises(InvalidPricingParams, match=detail) as caught:
            read_book(text, dimensions=DIMENSIONS)

        assert caught.value.detail.startswith(f"Line {line}: ")
        assert [error.field for error in caught.value.errors] == [f"lines.{line}"]
