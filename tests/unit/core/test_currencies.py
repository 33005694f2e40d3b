from decimal import Decimal

import pytest
from babel.numbers import format_currency

from billing_project.core.currencies import (
    UnknownCurrency,
    format_amount,
    is_currency,
    list_currencies,
    minor_unit_nanos,
)

UNKNOWN = ["", "usd", "US", "USDX", "ZZZ", "XXX", "XTS", "XAU", "DEM", "CLF", "USD\n"]


class TestListCurrencies:
    def test_lists_what_circulates_in_alphabetical_order(self) -> None:
        codes = list_currencies()

        assert codes == sorted(codes)
        assert len(codes) > 150
        assert {"USD", "EUR", "GBP", "JPY", "KWD", "INR", "CHF", "BRL", "WST"} <= set(codes)
        assert codes[0] == "AED"

    def test_gives_each_caller_its_own_list(self) -> None:
        list_currencies().clear()

        assert "USD" in list_currencies()


class TestIsCurrency:
    def test_knows_what_circulates(self) -> None:
        assert all(is_currency(code) for code in list_currencies())

    @pytest.mark.parametrize("code", UNKNOWN)
    def test_knows_nothing_else(self, code: str) -> None:
        assert not is_currency(code)


class TestMinorUnitNanos:
    @pytest.mark.parametrize(
        ("currency", "nanos"),
        [
            ("USD", 10**10),
            ("EUR", 10**10),
            ("JPY", 10**12),
            ("KRW", 10**12),
            ("CLP", 10**12),
            ("KWD", 10**9),
            ("TND", 10**9),
        ],
    )
    def test_follows_the_currency(self, currency: str, nanos: int) -> None:
        assert minor_unit_nanos(currency) == nanos

    @pytest.mark.parametrize(
        ("currency", "nanos"), [("RSD", 10**10), ("LBP", 10**10), ("MGA", 10**10), ("IQD", 10**9)]
    )
    def test_is_that_of_iso_4217_where_daily_life_knows_less(self, currency: str, nanos: int) -> None:
        assert minor_unit_nanos(currency) == nanos

    @pytest.mark.parametrize("code", UNKNOWN)
    def test_refuses_an_unknown_currency(self, code: str) -> None:
        with pytest.raises(UnknownCurrency):
            minor_unit_nanos(code)


class TestFormatAmount:
    @pytest.mark.parametrize(
        ("amount_nanos", "currency", "text"),
        [
            (17_440_000_000_000, "USD", "$17.44"),
            (9_955_000_000_000, "USD", "$9.96"),
            (-9_955_000_000_000, "USD", "-$9.96"),
            (9_954_999_999_999, "USD", "$9.95"),
            (0, "USD", "$0.00"),
            (-1, "USD", "$0.00"),
            (1_234_567 * 10**12, "USD", "$1,234,567.00"),
            (1_234_500_000_000_000, "JPY", "¥1,235"),
            (1_234_500_000_000, "KWD", "KWD\N{NO-BREAK SPACE}1.235"),
            (9_955_000_000_000, "CAD", "CA$9.96"),
            (9_955_000_000_000, "RSD", "RSD\N{NO-BREAK SPACE}9.96"),
            (9_955_000_000_000, "XCG", "Cg.\N{NO-BREAK SPACE}9.96"),
        ],
    )
    def test_rounds_half_up_to_the_minor_unit(self, amount_nanos: int, currency: str, text: str) -> None:
        assert format_amount(amount_nanos, currency) == text

    @pytest.mark.parametrize(
        ("amount_nanos", "currency", "text"),
        [
            (9_955_000_000_000, "USD", "$9.955"),
            (7_485_000_000_000, "USD", "$7.485"),
            (17_440_000_000_000, "USD", "$17.44"),
            (17_400_000_000_000, "USD", "$17.40"),
            (2_000_000, "USD", "$0.000002"),
            (-1, "USD", "-$0.000000000001"),
            (0, "USD", "$0.00"),
            (12_500_000_000_000, "JPY", "¥12.5"),
            (12_000_000_000_000, "JPY", "¥12"),
            (1_234_500_000_000, "KWD", "KWD\N{NO-BREAK SPACE}1.2345"),
        ],
    )
    def test_shows_every_digit_below_the_minor_unit_where_exact(
        self, amount_nanos: int, currency: str, text: str
    ) -> None:
        assert format_amount(amount_nanos, currency, exact=True) == text

    def test_loses_no_digit_of_the_largest_amount(self) -> None:
        assert format_amount(10**38 - 1, "USD", exact=True) == (
            "$99,999,999,999,999,999,999,999,999.999999999999"
        )

    @pytest.mark.parametrize(
        ("locale", "text"),
        [
            ("de", "1.234,50\N{NO-BREAK SPACE}€"),
            ("de-at", "€\N{NO-BREAK SPACE}1.234,50"),
            ("en_IN", "€1,234.50"),
        ],
    )
    def test_writes_as_the_locale_does(self, locale: str, text: str) -> None:
        assert format_amount(1_234_500_000_000_000, "EUR", locale=locale) == text

    def test_leaves_the_pattern_that_all_of_babel_shares_as_it_was(self) -> None:
        assert format_amount(1_500_000_000_000, "JPY") == "¥2"
        assert format_currency(Decimal("1.5"), "USD", locale="en", currency_digits=False) == "$1.50"

    @pytest.mark.parametrize("code", UNKNOWN)
    def test_refuses_an_unknown_currency(self, code: str) -> None:
        with pytest.raises(UnknownCurrency):
            format_amount(1, code)
