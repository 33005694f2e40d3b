import json
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing_project.core.money import (
    InvalidDecimal,
    Rounding,
    allocate,
    divide,
    format_quantity,
    multiply,
    multiply_ratio,
    parse_decimal,
    round_to,
    scale_quantity,
)

AMOUNTS = st.integers(min_value=-(10**38) + 1, max_value=10**38 - 1)
DENOMINATORS = st.one_of(st.integers(1, 20), st.integers(1, 10**40))
ROUNDINGS = st.sampled_from(Rounding)
QUANTITIES = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    st.integers(min_value=-(10**27), max_value=10**27),
    st.integers(min_value=0, max_value=27),
)
SHARES = st.fractions(min_value=0, max_value=1, max_denominator=366)
# Small numbers beside large ones, so that remainders are often equal and weights often zero.
WEIGHTS = st.lists(st.one_of(st.integers(-3, 3), st.integers(-(10**38), 10**38)), min_size=1, max_size=12)


class TestDivide:
    @given(AMOUNTS, DENOMINATORS)
    def test_agrees_with_exact_fractions(self, numerator: int, denominator: int) -> None:
        exact = Fraction(numerator, denominator)
        away_from_zero = (abs(exact) + Fraction(1, 2)).__floor__()

        assert divide(numerator, denominator, Rounding.HALF_EVEN) == round(exact)
        assert divide(numerator, denominator, Rounding.HALF_UP) == (
            away_from_zero if exact >= 0 else -away_from_zero
        )

    @given(AMOUNTS, DENOMINATORS, ROUNDINGS)
    def test_of_the_opposite_is_the_opposite(
        self, numerator: int, denominator: int, rounding: Rounding
    ) -> None:
        assert divide(-numerator, denominator, rounding) == -divide(numerator, denominator, rounding)


class TestMultiply:
    @given(AMOUNTS, QUANTITIES)
    def test_agrees_with_exact_fractions(self, rate_nanos: int, quantity: Decimal) -> None:
        assert multiply(rate_nanos, quantity, Rounding.HALF_EVEN) == round(rate_nanos * Fraction(quantity))

    @given(AMOUNTS, SHARES)
    def test_agrees_with_multiply_ratio(self, amount_nanos: int, share: Fraction) -> None:
        assert multiply_ratio(amount_nanos, share, Rounding.HALF_EVEN) == round(amount_nanos * share)


class TestRoundTo:
    @given(AMOUNTS, st.sampled_from([1, 10**9, 10**10, 10**12]), ROUNDINGS)
    def test_gives_a_multiple_that_is_at_most_half_a_step_away(
        self, amount_nanos: int, step_nanos: int, rounding: Rounding
    ) -> None:
        rounded = round_to(amount_nanos, step_nanos, rounding)

        assert rounded % step_nanos == 0
        assert 2 * abs(rounded - amount_nanos) <= step_nanos
        assert round_to(rounded, step_nanos, rounding) == rounded


class TestAllocate:
    @given(AMOUNTS, WEIGHTS)
    def test_loses_and_makes_nothing(self, total: int, weights: list[int]) -> None:
        assume(sum(weights) != 0)

        parts = allocate(total, weights)

        assert len(parts) == len(weights)
        assert sum(parts) == total

    @given(AMOUNTS, WEIGHTS)
    def test_gives_each_its_share_to_within_a_nano(self, total: int, weights: list[int]) -> None:
        whole = sum(weights)
        assume(whole != 0)

        for part, weight in zip(allocate(total, weights), weights, strict=True):
            assert abs(part - Fraction(total * weight, whole)) < 1
            assert weight != 0 or part == 0

    @given(AMOUNTS, WEIGHTS)
    def test_changes_only_signs_with_the_signs(self, total: int, weights: list[int]) -> None:
        assume(sum(weights) != 0)

        parts = allocate(total, weights)

        assert allocate(-total, weights) == [-part for part in parts]
        assert allocate(total, [-weight for weight in weights]) == parts

    @given(st.integers(0, 10**38), st.lists(st.integers(0, 10**20), min_size=1, max_size=12))
    def test_gives_no_more_to_less_weight(self, total: int, weights: list[int]) -> None:
        assume(sum(weights) != 0)

        shares = sorted(zip(weights, allocate(total, weights), strict=True))

        for (low_weight, low), (high_weight, high) in pairwise(shares):
            assert low_weight == high_weight or low <= high


class TestScaleQuantity:
    @given(QUANTITIES, SHARES)
    def test_is_at_most_half_a_step_off(self, quantity: Decimal, share: Fraction) -> None:
        scaled = scale_quantity(quantity, share, Rounding.HALF_EVEN)

        assert abs(Fraction(scaled) - Fraction(quantity) * share) * 2 <= Fraction(1, 10**12)


class TestParseDecimal:
    @given(QUANTITIES)
    def test_reads_what_format_quantity_writes(self, quantity: Decimal) -> None:
        text = format_quantity(quantity)

        assert parse_decimal(text) == quantity
        assert format_quantity(parse_decimal(text)) == text

    @given(st.integers(min_value=-(10**29), max_value=10**29), st.integers(min_value=0, max_value=9))
    def test_lets_a_whole_quantity_be_read_as_an_integer(self, number: int, zeros: int) -> None:
        quantity = Decimal(f"{number}.{'0' * zeros}") if zeros else Decimal(number)

        assert int(format_quantity(quantity)) == number

    @given(st.one_of(st.text(max_size=20), st.text("0123456789.eE+-", max_size=20)))
    def test_reads_nothing_that_json_would_not(self, text: str) -> None:
        try:
            number = parse_decimal(text)
        except InvalidDecimal:
            return
        assert number.is_finite()
        assert json.loads(text, parse_float=Decimal) == number

    @pytest.mark.parametrize("sign", ["", "-"])
    @given(whole=st.text("0123456789", min_size=1, max_size=40), decimals=st.text("0123456789", max_size=40))
    def test_bounds_the_digits_it_reads(self, sign: str, whole: str, decimals: str) -> None:
        text = f"{sign}{whole.lstrip('0') or '0'}.{decimals}0"
        is_zero = not (whole + decimals).strip("0")
        is_bounded = len(whole.lstrip("0")) <= 30 and len(decimals) < 30

        if is_zero or is_bounded:
            assert parse_decimal(text) == Decimal(text)
        else:
            with pytest.raises(InvalidDecimal):
                parse_decimal(text)
