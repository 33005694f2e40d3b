"""Currencies: which ones exist, how finely they divide, and how people write their amounts.

The list, the names and the formats are Babel's. To take up a currency that Babel's data does not know yet,
or whose minor unit it states otherwise than ISO 4217 does, add it here.
"""

import copy
import re
from decimal import Decimal, localcontext
from functools import cache

from babel.core import Locale, get_global
from babel.numbers import NumberPattern, format_currency, get_currency_precision

from billing_project.core.money import EXACT, NANOS_PER_UNIT, Rounding, round_to

_NANO_DIGITS = 12

# A currency without a sign of its own is written with its code or an abbreviation, which CLDR sets apart from
# the digits and Babel does not: KWD 1.234, Cg. 1.23.
_WORD_BEFORE_DIGIT = re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=[^\W\d_]\.)(?=\d)")

# Babel tells the decimals that are used in daily life there, and for these currencies they are fewer than
# ISO 4217 states. Banks, card schemes and tax offices go by ISO 4217.
_ISO_DIGITS = {
    "AFN": 2,
    "ALL": 2,
    "IQD": 3,
    "IRR": 2,
    "KPW": 2,
    "LAK": 2,
    "LBP": 2,
    "MGA": 2,
    "MMK": 2,
    "RSD": 2,
    "SOS": 2,
    "SYP": 2,
    "YER": 2,
}


class UnknownCurrency(ValueError):
    """The code is not that of a currency in circulation."""


def list_currencies() -> list[str]:
    """List the ISO 4217 codes of the currencies in circulation, in alphabetical order.

    Those that are no longer legal tender anywhere are left out, and so are metals, test codes and units of
    account.
    """
    return sorted(_read_codes())


def is_currency(code: str) -> bool:
    """Tell whether the code, in capitals, is that of a currency in circulation."""
    return code in _read_codes()


def minor_unit_nanos(currency: str) -> int:
    """Tell the size of the currency's smallest unit: 10^10 for USD, 10^12 for JPY, 10^9 for KWD.

    Raises: UnknownCurrency.
    """
    parts: int = 10 ** _digits(currency)
    return NANOS_PER_UNIT // parts  # Exact: no currency divides beyond a nano.


def format_amount(amount_nanos: int, currency: str, *, locale: str = "en", exact: bool = False) -> str:
    """Write an amount for people, rounded half-up to the minor unit, or with every digit below it if `exact`.

    Raises: UnknownCurrency.
    """
    digits = _digits(currency)
    if not exact:
        amount_nanos = round_to(amount_nanos, minor_unit_nanos(currency), Rounding.HALF_UP)

    language = Locale.parse(locale.replace("-", "_"))
    pattern: NumberPattern = copy.copy(language.currency_formats["standard"])
    pattern.frac_prec = (digits, _NANO_DIGITS if exact else digits)
    # Babel computes in the current context, and the default one would drop digits of a large amount.
    with localcontext(EXACT):
        amount = Decimal(amount_nanos).scaleb(-_NANO_DIGITS)
        text = format_currency(amount, currency, format=pattern, locale=language, currency_digits=False)
    return _WORD_BEFORE_DIGIT.sub("\N{NO-BREAK SPACE}", text)


@cache
def _read_codes() -> frozenset[str]:
    return frozenset(
        code
        for uses in get_global("territory_currencies").values()
        for code, _, used_until, is_tender in uses
        if used_until is None and is_tender
    )


def _digits(currency: str) -> int:
    if not is_currency(currency):
        raise UnknownCurrency(f"{currency!r} is not the ISO 4217 code of a currency in circulation.")
    babel_digits: int = get_currency_precision(currency)
    return _ISO_DIGITS.get(currency, babel_digits)
