"""Prices in words: the parameters of any pricing model, with amounts of money as money."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from billing_project.core.admin.columns import write_money, write_quantity
from billing_project.core.admin.details import Table, make_link
from catalog.models import Price
from catalog.pricing.params import BasisPoints, write_percent
from catalog.pricing.registry import build_model

_AMOUNT, _BPS = "_nanos", "_bps"
_QUANTITIES = ("up_to", "package_size", "free_units")


def describe_price(price: Price) -> SafeString:
    """Say what a price charges, a line for each parameter, and for each step of one that has steps."""
    # The database keeps no order among the keys of JSON; the model does.
    params = build_model(price.pricing_model, price.params).to_params()
    return format_html_join("", "<div>{}</div>", ((line,) for line in _walk(params, price.currency)))


def make_price_table(
    prices: Iterable[Price], *, title: str, of: str, name: Callable[[Price], object]
) -> Table:
    """Make a table of prices, which have their meter with them; the first column, `of`, names each."""
    return Table(
        title=title,
        headers=(of, "Charges for", "Pricing", "Price", "Billed", "Tax"),
        rows=[
            (
                name(price),
                describe_quantity(price),
                price.get_pricing_model_display(),
                describe_price(price),
                price.get_billing_timing_display(),
                price.get_tax_behavior_display(),
            )
            for price in prices
        ],
        empty="No prices. Price books are added under SKUs, all others over the API.",
    )


def link_sku(price: Price) -> SafeString:
    """Name a price by its SKU."""
    return make_link("catalog_sku", price.sku_id, price.sku)


def link_version(price: Price) -> SafeString:
    """Name a price by the version that it belongs to."""
    return make_link("catalog_planversion", price.plan_version_id, price.plan_version)


def describe_quantity(price: Price) -> SafeString | str:
    """Say what a price charges for: what a meter counts, or what a subscription holds."""
    if price.meter is None:
        return "The quantity on the subscription"
    return make_link("catalog_meter", price.meter_id, price.meter)


def _walk(params: Mapping[str, object], currency: str) -> Iterator[str]:
    dimensions = params.get("dimensions")
    for name, value in params.items():
        if name == "dimensions":
            continue
        if name == "cells" and isinstance(value, list) and isinstance(dimensions, list):
            yield f"{len(value):,} {'cell' if len(value) == 1 else 'cells'} by {' and '.join(dimensions)}"
        elif isinstance(value, list):
            for step in value:
                yield capfirst(", ".join(_write_parts(step, currency)))
        else:
            yield capfirst(" ".join(_write_parts({name: value}, currency)))


def _write_parts(params: Mapping[str, object], currency: str) -> Iterator[str]:
    """Write each parameter as its name and its value; one that is nothing is left out."""
    for name, value in params.items():
        if value is None or (name.startswith("flat_") and value == "0"):
            continue
        words = name.removesuffix(_AMOUNT).removesuffix(_BPS).replace("_", " ")
        yield f"{words} {write_part(name, str(value), currency=currency)}"


def write_part(name: str, text: str, *, currency: str) -> str:
    """Write the value of a parameter, which its name says what to make of."""
    if name.endswith(_AMOUNT):
        return write_money(int(text), currency, exact=True)
    if name.endswith(_BPS):
        return write_percent(BasisPoints(int(text)))
    return write_quantity(Decimal(text)) if name in _QUANTITIES else text
