"""Columns of the staff pages: money as money, states as coloured words, JSON so that people can read it."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, to_locale

from billing_project.core.currencies import format_amount
from billing_project.core.money import format_quantity

# A function of a row. Django takes one wherever it takes a field's name; its stubs know names only.
Column = Any

GREEN = "bg-green-100 text-green-700 dark:bg-green-500/20 dark:text-green-400"
BLUE = "bg-blue-100 text-blue-700 dark:bg-blue-500/20 dark:text-blue-400"
ORANGE = "bg-orange-100 text-orange-700 dark:bg-orange-500/20 dark:text-orange-400"
RED = "bg-red-100 text-red-700 dark:bg-red-500/20 dark:text-red-400"
GREY = "bg-base-500/8 text-base-700 dark:bg-base-500/20 dark:text-base-200"

# One word looks the same wherever it stands; a word that is not here is grey.
COLOURS: Mapping[str, str] = {
    **dict.fromkeys(
        ["Active", "Completed", "Current", "Delivered", "Done", "Paid", "Ready", "Succeeded", "Usable"],
        GREEN,
    ),
    **dict.fromkeys(["Advancing", "Claimed", "Open", "Pending", "Running", "Trialing"], BLUE),
    **dict.fromkeys(["Expired", "Paused", "Skipped", "Stale", "Suspended", "Uncollectible"], ORANGE),
    **dict.fromkeys(["Failed", "Overdue", "Parked", "PastDue", "Revoked"], RED),
}


def money(field: str, description: str, *, currency: str = "currency", exact: bool = False) -> Column:
    """Make a column that shows an amount in its currency; `exact` shows digits below the minor unit.

    `currency` is the way from the row to its currency, such as `invoice__currency`.
    """

    def column(row: Model) -> str | None:
        amount = read_path(row, field)
        if amount is None:
            return None
        return write_money(amount, read_path(row, currency), exact=exact)

    return _describe(column, name=f"{field}_as_money", description=description, ordering=field)


def quantity(field: str, description: str) -> Column:
    """Make a column that shows a quantity with all its digits, in groups."""

    def column(row: Model) -> str | None:
        amount = read_path(row, field)
        return None if amount is None else write_quantity(amount)

    return _describe(column, name=f"{field}_in_groups", description=description, ordering=field)


def badge(field: str, description: str) -> Column:
    """Make a column that shows a state as a coloured word, spelled as everywhere else."""

    def column(row: Model) -> SafeString | None:
        word = read_path(row, field)
        return make_badge(word) if word else None

    return _describe(column, name=f"{field}_as_badge", description=description, ordering=field)


def pretty(field: str, description: str) -> Column:
    """Make a column that shows a JSON document, indented."""

    def column(row: Model) -> SafeString:
        text = json.dumps(read_path(row, field), indent=2, ensure_ascii=False)
        return format_html('<pre class="text-xs whitespace-pre-wrap">{}</pre>', text)

    return _describe(column, name=f"{field}_as_json", description=description, ordering=None)


def write_money(amount_nanos: int, currency: str, *, exact: bool = False) -> str:
    """Write an amount as the reader's language does; `exact` shows digits below the minor unit."""
    locale = to_locale(get_language() or "en")
    return format_amount(amount_nanos, currency, locale=locale, exact=exact)


def write_quantity(amount: Decimal) -> str:
    """Write a quantity with all its digits, in groups."""
    return f"{Decimal(format_quantity(amount)):,f}"


def make_badge(word: str) -> SafeString:
    """Make a coloured word."""
    return format_html(
        '<span class="inline-block font-semibold rounded-default text-xs h-6 leading-6 px-2 '
        'whitespace-nowrap {}">{}</span>',
        COLOURS.get(word, GREY),
        word,
    )


def make_changes(changes: Mapping[str, Any]) -> SafeString:
    """Make a table of what an audit entry says has changed."""
    rows = format_html_join(
        "",
        '<tr><td class="font-semibold pr-4">{}</td><td class="pr-4">{}</td><td>{}</td></tr>',
        ((name, _as_text(before), _as_text(after)) for name, (before, after) in changes.items()),
    )
    return format_html(
        '<table class="text-left"><thead><tr><th class="pr-4">Field</th><th class="pr-4">Before</th>'
        "<th>After</th></tr></thead><tbody>{}</tbody></table>",
        rows,
    )


def read_path(row: Model, path: str) -> Any:
    """Follow a path of attributes, such as `invoice__currency`; None where it ends early."""
    value: Any = row
    for name in path.split("__"):
        if value is None:
            return None
        value = getattr(value, name)
    return value


def _as_text(value: object) -> str:
    """Write a JSON value; nothing is a dash."""
    if value is None:
        return "\N{EM DASH}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _describe(column: Column, *, name: str, description: str, ordering: str | None) -> Column:
    """Give a column its name, its title and the field that it is sorted by, in the way of Django's admin."""
    column.__name__ = name
    column.short_description = description
    if ordering is not None:
        column.admin_order_field = ordering
    return column
