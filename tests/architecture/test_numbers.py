"""Money and quantities are exact: no float comes near them, and every division names its rounding."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import Module, parse, place, read_product

EXACT_PLACES = (
    "billing_project/core/money.py",
    "catalog/pricing",
    "metering/aggregation",
    "subscriptions/proration.py",
    "invoicing/rating",
    "invoicing/invoices/totals.py",
)


def find_inexact(module: Module) -> Iterator[str]:
    """Find floats, and divisions that do not say how they round."""
    for node in ast.walk(module.tree):
        match node:
            case ast.Constant(value=float(number)):
                yield place(module, node, f"float literal {number}")
            case ast.Name(id="float"):
                yield place(module, node, "float")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield place(module, node, "division by /")


def is_exact_place(module: Module) -> bool:
    """Whether a module's arithmetic makes an amount."""
    return any(module.path == name or module.path.startswith(f"{name}/") for name in EXACT_PLACES)


class TestExactPlaces:
    @pytest.mark.parametrize("name", EXACT_PLACES)
    def test_exist(self, name: str) -> None:
        assert any(module.path == name or module.path.startswith(f"{name}/") for module in read_product())

    def test_have_no_floats_and_no_division(self) -> None:
        found = [
            breach for module in read_product() if is_exact_place(module) for breach in find_inexact(module)
        ]

        assert found == [], "\n".join(found)


class TestFindInexact:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("rate = 0.2", "float literal 0.2"),
            ("rate = 1e6", "float literal 1000000.0"),
            ("rate = float(amount)", "float"),
            ("def charge(rate: float) -> int: ...", "float"),
            ("half = amount / 2", "division by /"),
            ("amount /= 2", "division by /"),
        ],
    )
    def test_sees(self, text: str, message: str) -> None:
        assert list(find_inexact(parse(text))) == [f"catalog/sample.py:1: {message}"]

    def test_lets_whole_numbers_pass(self) -> None:
        assert list(find_inexact(parse("share = amount // 2 + 10**12 % 7"))) == []
