"""Prices in words: the parameters of any pricing model, with amounts of money as money."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from billing_project.core.admin.columns import write_money, write_quantity
from billing_project.core.admin.details import Table, make_link
from catalog.models import Price

_AMOUNT = "_nanos"


def describe_price(price: Price) -> SafeString:
    """Say what a price charges, a line for each parameter, and for each step of one that has steps."""
    return format_html_join("", "<div>{}</div>", ((line,) for line in _walk(price.params, price.currency)))


def make_price_table(prices: Sequence[Price], *, title: str = "Prices") -> Table:
    """Make a table of prices, which have their SKU and meter with them."""
    return Table(
        title=title,
        headers=("SKU", "Charges for", "Pricing", "Price", "Billed", "Tax"),
        rows=[
            (
                make_link("catalog_sku", price.sku_id, price.sku),
                describe_quantity(price),
                price.get_pricing_model_display(),
                describe_price(price),
                price.get_billing_timing_display(),
                price.get_tax_behavior_display(),
            )
            for price in prices
        ],
        empty="It charges for nothing yet: SKUs are added over the API.",
    )


def describe_quantity(price: Price) -> SafeString | str:
    """Say what a price charges for: what a meter counts, or what a subscription holds."""
    if price.meter is None:
        return "The quantity on the subscription"
    return make_link("catalog_meter", price.meter_id, price.meter)


def _walk(params: Mapping[str, object], currency: str) -> Iterator[SafeString]:
    for name, value in params.items():
        if isinstance(value, list):
            for step in value:
                yield format_html("{}", ", ".join(_write_parts(step, currency)))
        else:
            yield format_html("{}", " ".join(_write_parts({name: value}, currency)))


def _write_parts(params: Mapping[str, object], currency: str) -> Iterator[str]:
    """Write each parameter as its name and its value; one that is nothing is left out."""
    for name, value in params.items():
        if value is None or (name.startswith("flat_") and value == "0"):
            continue
        is_amount = name.endswith(_AMOUNT)
        number = str(value)
        text = (
            write_money(int(number), currency, exact=True) if is_amount else write_quantity(Decimal(number))
        )
        yield f"{name.removesuffix(_AMOUNT).replace('_', ' ')} {text}"
