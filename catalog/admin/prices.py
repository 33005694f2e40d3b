"""Prices in words: the parameters of any pricing model, with amounts of money as money."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from billing_project.core.admin.columns import write_money, write_quantity
from billing_project.core.admin.details import Table, make_link
from catalog.models import Price
from catalog.pricing.registry import build_model

_AMOUNT = "_nanos"


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
        empty="No prices. SKUs are added to a plan over the API.",
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
    for name, value in params.items():
        if isinstance(value, list):
            for step in value:
                yield capfirst(", ".join(_write_parts(step, currency)))
        else:
            yield capfirst(" ".join(_write_parts({name: value}, currency)))


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
