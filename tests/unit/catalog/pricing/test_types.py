from decimal import Decimal

import pytest

from catalog.pricing.types import Dimension, Usage

MODEL = Dimension("model", frozenset({"gpt-4", "claude"}))
TOKEN_TYPE = Dimension("token_type", frozenset({"input"}))


class TestUsage:
    def test_is_never_below_zero(self) -> None:
        with pytest.raises(AssertionError, match="below zero"):
            Usage.of(-1)


class TestGrouped:
    def test_merges_what_the_dimensions_do_not_tell_apart(self) -> None:
        parts = [
            (("gpt-4", "input"), Decimal(1)),
            (("gpt-4", "output"), Decimal(2)),
            (("gpt-4", None), Decimal(4)),
            (("llama", "input"), Decimal(8)),
            ((None, "input"), Decimal(16)),
            (("llama", "output"), Decimal(32)),
        ]

        usage = Usage.grouped(parts, dimensions=[MODEL, TOKEN_TYPE])

        assert usage == Usage(
            Decimal(63),
            {
                ("gpt-4", "input"): Decimal(1),
                ("gpt-4", None): Decimal(6),
                (None, "input"): Decimal(24),
                (None, None): Decimal(32),
            },
        )

    def test_of_nothing_is_nothing(self) -> None:
        assert Usage.grouped([], dimensions=[MODEL]) == Usage.of(0)

    def test_keeps_digits_that_the_default_context_would_drop(self) -> None:
        parts = [(("claude",), Decimal("12345678901234567890.123456789012")), (("claude",), Decimal(1))]

        usage = Usage.grouped(parts, dimensions=[MODEL])

        assert usage.quantity == usage.groups["claude",] == Decimal("12345678901234567891.123456789012")


class TestLess:
    GROUPS = {("b",): Decimal(5), (None,): Decimal(7), ("a",): Decimal(3)}

    @pytest.mark.parametrize(
        ("units", "a", "b", "unnamed"),
        [("0", "3", "5", "7"), ("2.5", "0.5", "5", "7"), ("4", "0", "4", "7"), ("15", "0", "0", "0")],
    )
    def test_takes_from_the_groups_in_the_order_of_their_values(
        self, units: str, a: str, b: str, unnamed: str
    ) -> None:
        usage = Usage(Decimal(15), self.GROUPS).less(Decimal(units))

        assert usage.quantity == 15 - Decimal(units)
        assert usage.groups == {("a",): Decimal(a), ("b",): Decimal(b), (None,): Decimal(unnamed)}

    def test_takes_what_is_in_no_group_last(self) -> None:
        assert Usage(Decimal(20), {("a",): Decimal(3)}).less(Decimal(5)) == Usage(
            Decimal(15), {("a",): Decimal(0)}
        )

    def test_orders_by_the_second_value_within_the_first(self) -> None:
        groups = {(None, "x"): Decimal(1), ("a", None): Decimal(1), ("a", "x"): Decimal(1)}

        left = Usage(Decimal(3), groups).less(Decimal(1)).groups

        assert left == {("a", "x"): Decimal(0), ("a", None): Decimal(1), (None, "x"): Decimal(1)}

    def test_takes_no_more_than_there_is(self) -> None:
        with pytest.raises(AssertionError, match="not 6"):
            Usage.of(5).less(Decimal(6))
