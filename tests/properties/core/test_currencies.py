from hypothesis import given
from hypothesis import strategies as st

from billing_project.core.currencies import format_amount, is_currency, list_currencies, minor_unit_nanos
from billing_project.core.money import NANOS_PER_UNIT, Rounding, round_to

AMOUNTS = st.integers(min_value=-(10**38) + 1, max_value=10**38 - 1)
CURRENCIES = st.sampled_from(list_currencies())


def read_back(text: str) -> int:
    """Read an English amount back into nanos."""
    digits = text.replace("Cg.", "")  # The one abbreviation among the signs.
    whole, _, decimals = "".join(letter for letter in digits if letter in "0123456789.").partition(".")
    amount_nanos = int(whole) * NANOS_PER_UNIT + int(decimals.ljust(12, "0"))
    return -amount_nanos if text.startswith("-") else amount_nanos


class TestFormatAmount:
    @given(AMOUNTS, CURRENCIES)
    def test_can_be_read_back_where_exact(self, amount_nanos: int, currency: str) -> None:
        assert read_back(format_amount(amount_nanos, currency, exact=True)) == amount_nanos

    @given(AMOUNTS, CURRENCIES)
    def test_shows_the_amount_rounded_to_the_minor_unit(self, amount_nanos: int, currency: str) -> None:
        rounded = round_to(amount_nanos, minor_unit_nanos(currency), Rounding.HALF_UP)

        assert read_back(format_amount(amount_nanos, currency)) == rounded


class TestIsCurrency:
    @given(st.text(max_size=4))
    def test_knows_what_is_listed_and_nothing_else(self, code: str) -> None:
        assert is_currency(code) == (code in list_currencies())
