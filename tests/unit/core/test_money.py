from decimal import Decimal, FloatOperation, Inexact, InvalidOperation, getcontext
from fractions import Fraction

import pytest

from billing_project.core.money import (
    EXACT,
    InvalidDecimal,
    Rounding,
    WeightsSumToZero,
    allocate,
    divide,
    format_quantity,
    multiply,
    multiply_ratio,
    parse_decimal,
    round_to,
    scale_quantity,
)

CENT = 10**10


class TestDivide:
    @pytest.mark.parametrize(
        ("numerator", "half_up", "half_even"),
        [
            (0, 0, 0),
            (9, 1, 1),
            (10, 1, 1),
            (14, 1, 1),
            (15, 2, 2),
            (16, 2, 2),
            (24, 2, 2),
            (25, 3, 2),
            (26, 3, 3),
            (-14, -1, -1),
            (-15, -2, -2),
            (-25, -3, -2),
            (-26, -3, -3),
            (5, 1, 0),
            (-5, -1, 0),
            (4, 0, 0),
            (-4, 0, 0),
        ],
    )
    def test_rounds_tenths(self, numerator: int, half_up: int, half_even: int) -> None:
        assert divide(numerator, 10, Rounding.HALF_UP) == half_up
        assert divide(numerator, 10, Rounding.HALF_EVEN) == half_even

    def test_sees_no_tie_in_an_odd_denominator(self) -> None:
        assert divide(1, 3, Rounding.HALF_UP) == 0
        assert divide(2, 3, Rounding.HALF_EVEN) == 1

    def test_is_exact_far_beyond_a_machine_word(self) -> None:
        assert divide(10**60 + 5, 10, Rounding.HALF_UP) == 10**59 + 1
        assert divide(10**60 + 5, 10, Rounding.HALF_EVEN) == 10**59

    @pytest.mark.parametrize("denominator", [0, -10])
    def test_refuses_a_denominator_that_is_not_above_zero(self, denominator: int) -> None:
        with pytest.raises(AssertionError, match="above zero"):
            divide(1, denominator, Rounding.HALF_UP)


class TestMultiply:
    @pytest.mark.parametrize(
        ("rate_nanos", "quantity", "amount_nanos"),
        [
            (2_000_000, "4977500", 9_955_000_000_000),
            (6_000_000, "1247500", 7_485_000_000_000),
            (1, "0.5", 0),
            (3, "0.5", 2),
            (5, "0.5", 2),
            (1, "0.50000000000000000000000000000000000001", 1),
            (7, "-0.5", -4),
            (0, "123.456", 0),
            (10**12, "0.000000000001", 1),
        ],
    )
    def test_rounds_to_a_whole_nano(self, rate_nanos: int, quantity: str, amount_nanos: int) -> None:
        assert multiply(rate_nanos, Decimal(quantity), Rounding.HALF_EVEN) == amount_nanos

    def test_keeps_digits_that_the_default_context_would_drop(self) -> None:
        quantity = Decimal("12345678901234567890.123456789012")

        assert getcontext().prec == 28
        assert multiply(10**12, quantity, Rounding.HALF_EVEN) == 12345678901234567890123456789012
        assert multiply(10**37, Decimal("1E-30"), Rounding.HALF_EVEN) == 10**7


class TestMultiplyRatio:
    def test_rounds_to_a_whole_nano(self) -> None:
        assert multiply_ratio(31_000, Fraction(17, 31), Rounding.HALF_EVEN) == 17_000
        assert multiply_ratio(100, Fraction(17, 31), Rounding.HALF_EVEN) == 55
        assert multiply_ratio(-5, Fraction(1, 2), Rounding.HALF_UP) == -3
        assert multiply_ratio(-5, Fraction(1, 2), Rounding.HALF_EVEN) == -2


class TestRoundTo:
    def test_rounds_the_walkthroughs_lines_together_and_apart(self) -> None:
        lines = [9_955_000_000_000, 7_485_000_000_000]

        assert round_to(sum(lines), CENT, Rounding.HALF_UP) == 17_440_000_000_000
        assert sum(round_to(line, CENT, Rounding.HALF_UP) for line in lines) == 17_450_000_000_000

    @pytest.mark.parametrize(
        ("amount_nanos", "cents"), [(4_999_999_999, 0), (5_000_000_000, 1), (-5_000_000_000, -1), (-1, 0)]
    )
    def test_rounds_ties_away_from_zero(self, amount_nanos: int, cents: int) -> None:
        assert round_to(amount_nanos, CENT, Rounding.HALF_UP) == cents * CENT


class TestAllocate:
    @pytest.mark.parametrize(
        ("total", "weights", "parts"),
        [
            (100, [1, 1, 1], [34, 33, 33]),
            (101, [1, 1, 1], [34, 34, 33]),
            (-100, [1, 1, 1], [-34, -33, -33]),
            (10, [1, 2, 3], [2, 3, 5]),
            (1, [1, 2, 3], [0, 0, 1]),
            (0, [3, 4], [0, 0]),
            (5, [0, 1, 0], [0, 5, 0]),
            (5, [7], [5]),
            (3, [1, 1], [2, 1]),
            (7, [10, -3], [10, -3]),
            (8, [10, -3], [11, -3]),
            (7, [-10, 3], [10, -3]),
        ],
    )
    def test_gives_the_missing_nanos_to_the_largest_remainders(
        self, total: int, weights: list[int], parts: list[int]
    ) -> None:
        assert allocate(total, weights) == parts

    @pytest.mark.parametrize("weights", [[], [0], [0, 0], [5, -5]])
    def test_refuses_weights_that_add_up_to_nothing(self, weights: list[int]) -> None:
        with pytest.raises(WeightsSumToZero):
            allocate(10, weights)


class TestScaleQuantity:
    @pytest.mark.parametrize(
        ("quantity", "ratio", "scaled"),
        [
            ("10000", Fraction(1), "10000"),
            ("10000", Fraction(17, 31), "5483.870967741935"),
            ("10000", Fraction(14, 31), "4516.129032258065"),
            ("0.3", Fraction(1, 2), "0.15"),
            ("10000", Fraction(0), "0"),
            ("0", Fraction(1, 3), "0"),
            ("0.000000000001", Fraction(1, 2), "0"),
            ("0.000000000003", Fraction(1, 2), "0.000000000002"),
        ],
    )
    def test_rounds_to_twelve_places(self, quantity: str, ratio: Fraction, scaled: str) -> None:
        result = scale_quantity(Decimal(quantity), ratio, Rounding.HALF_EVEN)

        assert format_quantity(result) == scaled


class TestExact:
    def test_keeps_digits_that_the_default_context_drops(self) -> None:
        quantity = Decimal("12345678901234567890.123456789012")

        assert EXACT.subtract(quantity, Decimal(1)) == Decimal("12345678901234567889.123456789012")
        assert quantity - 1 == Decimal("12345678901234567889.12345679")

    def test_holds_the_product_of_the_largest_amount_and_the_longest_quantity(self) -> None:
        amount, quantity = 10**38 - 1, Decimal("9" * 30 + "." + "9" * 30)

        product = EXACT.multiply(Decimal(amount), quantity)

        assert product.scaleb(30, EXACT) == amount * (10**60 - 1)

    def test_refuses_what_it_cannot_hold(self) -> None:
        with pytest.raises(Inexact):
            EXACT.divide(Decimal(1), Decimal(3))
        with pytest.raises(InvalidOperation):
            EXACT.subtract(Decimal("Infinity"), Decimal("Infinity"))
        with pytest.raises(FloatOperation):
            EXACT.create_decimal(0.5)


class TestParseDecimal:
    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("0", "0"),
            ("-0", "0"),
            ("0.000", "0"),
            ("0e999", "0"),
            ("17", "17"),
            ("-17.25", "-17.25"),
            ("1.50", "1.50"),
            ("1e3", "1000"),
            ("12E-2", "0.12"),
            ("1e+29", "1" + "0" * 29),
            ("9" * 30, "9" * 30),
            ("0." + "0" * 29 + "1", "1E-30"),
            ("1e-30", "1E-30"),
        ],
    )
    def test_reads(self, text: str, number: str) -> None:
        assert parse_decimal(text) == Decimal(number)
        assert not parse_decimal(text).is_signed() or number.startswith("-")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " 1",
            "1\n",
            "+1",
            "01",
            "1_000",
            "1,000",
            ".5",
            "5.",
            "--1",
            "0x10",
            "1e",
            "1e1000",
            "NaN",
            "sNaN",
            "Infinity",
            "-inf",
            "\N{ARABIC-INDIC DIGIT ONE}",
            "\N{FULLWIDTH DIGIT ONE}",
            "1\x00",
            "true",
            "1e30",
            "9" * 31,
            "1e-31",
            "0." + "0" * 30 + "1",
            "1e999",
            "1e-999",
            "0" * 100,
            "1" * 100_000,
        ],
    )
    def test_refuses(self, text: str) -> None:
        with pytest.raises(InvalidDecimal):
            parse_decimal(text)


class TestFormatQuantity:
    @pytest.mark.parametrize(
        ("quantity", "text"),
        [
            ("4977500", "4977500"),
            ("4977500.000", "4977500"),
            ("1E+6", "1000000"),
            ("1.50", "1.5"),
            ("100", "100"),
            ("0", "0"),
            ("0.00", "0"),
            ("0E+5", "0"),
            ("-0", "0"),
            ("-0.50", "-0.5"),
            ("1E-30", "0." + "0" * 29 + "1"),
            ("12345678901234567890123456789012345.5", "12345678901234567890123456789012345.5"),
        ],
    )
    def test_writes_digits_alone(self, quantity: str, text: str) -> None:
        assert format_quantity(Decimal(quantity)) == text

    @pytest.mark.parametrize("quantity", ["NaN", "Infinity"])
    def test_refuses_what_is_no_number(self, quantity: str) -> None:
        with pytest.raises(AssertionError, match="is a number"):
            format_quantity(Decimal(quantity))
