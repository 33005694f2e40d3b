"""In what versions of a plan differ, in words."""

from collections.abc import Iterator

from django.utils.safestring import SafeString

from billing_project.core.admin.details import Table, make_link
from catalog.admin.prices import describe_price, write_part
from catalog.models import Sku
from catalog.pricing.differences import Difference
from catalog.queries import VersionComparison

Row = tuple[object, str, object, object]


def make_comparison_table(comparison: VersionComparison) -> Table:
    """Make a table of what is not the same in two versions, a line for each part."""
    return Table(
        title=f"Changes since version {comparison.before.number}",
        headers=("Of", "What", "Before", "After"),
        rows=list(_list_rows(comparison)),
        empty="Nothing has changed.",
    )


def _list_rows(comparison: VersionComparison) -> Iterator[Row]:
    for term in comparison.terms:
        yield "The plan", term.field.replace("_", " "), term.before, term.after
    for details in comparison.removed:
        assert details.price is not None
        yield _link(details.sku), "taken away", describe_price(details.price), None
    for details in comparison.added:
        assert details.price is not None
        yield _link(details.sku), "added", None, describe_price(details.price)
    for changed in comparison.changed:
        for difference in changed.differences:
            before, after = (
                None if text is None else write_part(_find_name(difference), text, currency=changed.currency)
                for text in (difference.before, difference.after)
            )
            yield _link(changed.sku), _describe(difference), before, after


def _find_name(difference: Difference) -> str:
    """Find the name of the parameter; of a cell, whose field ends with its values, the amount is kept."""
    is_cell = difference.field.startswith("cells.")
    return "unit_amount_nanos" if is_cell else difference.field.rpartition(".")[2]


def _describe(difference: Difference) -> str:
    """Name the part that has changed; tiers are counted from one."""
    name, _, rest = difference.field.partition(".")
    if name == "cells":
        return f"Price of {rest}"
    if name == "tiers":
        number, _, part = rest.partition(".")
        return f"Tier {int(number) + 1}, {_in_words(part)}"
    return _in_words(name)


def _in_words(name: str) -> str:
    return name.removesuffix("_nanos").removesuffix("_bps").replace("_", " ")


def _link(sku: Sku) -> SafeString:
    return make_link("catalog_sku", sku.pk, sku)
