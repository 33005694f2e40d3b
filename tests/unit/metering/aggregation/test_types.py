"""Spans of time, and what has passed of them."""

from datetime import datetime, timedelta
from fractions import Fraction

import pytest

from metering.aggregation.types import Span
from tests.unit.metering.aggregation.measuring import APRIL, april

MICROSECOND = timedelta(microseconds=1)


class TestUntil:
    def test_is_the_part_that_has_passed(self) -> None:
        assert APRIL.until(april(11)) == Span(april(1), april(11))

    def test_has_no_length_before_the_start_and_never_goes_beyond_the_end(self) -> None:
        assert APRIL.until(april(1).replace(month=3)) == Span(april(1), april(1))
        assert APRIL.until(APRIL.ends_at + MICROSECOND) == APRIL


class TestElapsed:
    @pytest.mark.parametrize(
        ("at", "share"),
        [
            (april(1).replace(month=3), Fraction(0)),
            (april(1), Fraction(0)),
            (april(1) + MICROSECOND, Fraction(1, 2_592 * 10**9)),
            (april(11), Fraction(1, 3)),
            (APRIL.ends_at, Fraction(1)),
            (APRIL.ends_at + MICROSECOND, Fraction(1)),
        ],
    )
    def test_is_an_exact_share_of_the_time(self, at: datetime, share: Fraction) -> None:
        assert APRIL.elapsed(at) == share

    def test_is_all_of_what_has_no_length(self) -> None:
        assert Span(april(1), april(1)).elapsed(april(1)) == 1
