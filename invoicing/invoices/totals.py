"""What the lines of an invoice add up to, with one rounding and the tax: pure arithmetic.

The lines are exact. What they charge is added up and rounded once, to the currency's minor unit; the rounding
of the period's earlier invoices is carried, so that many small invoices bill in sum what one would have
billed. The rounded amount is shared out among the rates of tax, and each rate's tax is computed on its share
and rounded.

A line's charge is stated before tax or with the tax inside. Where all are stated before tax, the rounded
amount is the subtotal; where the tax is inside all of them, it is the total. In every case lines + rounding +
tax = total.

Ties are rounded half-up, which for an amount below zero means away from zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing_project.core.money import Rounding, divide, round_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargeable:
    """A line as the totals see it: its charge, and the place of its rate of tax in the list of rates."""

    charge_nanos: int
    is_inclusive: bool = False
    rate_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTotal:
    """A line without and with its tax, to the nano; what the invoice adds up is the net amount."""

    net_nanos: int
    gross_nanos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxTotal:
    """The tax at one rate on the lines of one kind, those stated before tax or those with the tax inside."""

    rate_number: int
    is_inclusive: bool
    base_nanos: int
    amount_nanos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The figures of an invoice.

    `carry_nanos` is what the rounding added to the charges as they are priced: what the period's next invoice
    has to take into account. Unless tax is inside some prices, it is the same as the rounding.
    """

    lines: tuple[LineTotal, ...]
    taxes: tuple[TaxTotal, ...]
    lines_nanos: int
    rounding_nanos: int
    subtotal_nanos: int
    tax_nanos: int
    total_nanos: int
    carry_nanos: int


_Group = tuple[int | None, bool]  # The rate's number, and whether the tax is inside.


def total_lines(
    lines: Sequence[Chargeable], rates: Sequence[Decimal], *, carried_nanos: int, minor_unit_nanos: int
) -> Totals:
    """Add up the lines, round once, and compute the tax at each rate.

    `rates` are fractions: 0.2 is 20 %. `carried_nanos` is the sum of `carry_nanos` of the period's earlier
    invoices that are not void. It never turns an invoice whose lines are zero or above into one below zero:
    what it could not take off here stays to be taken off the next.
    """
    assert all(rate >= 0 for rate in rates), f"A rate of tax is never below zero: {list(rates)}"
    charged_nanos = sum(line.charge_nanos for line in lines)
    rounded_nanos = round_to(charged_nanos - carried_nanos, minor_unit_nanos, Rounding.HALF_UP)
    if charged_nanos >= 0:
        rounded_nanos = max(rounded_nanos, 0)

    groups: dict[_Group, int] = {}
    for line in lines:
        group = _group_of(line)
        groups[group] = groups.get(group, 0) + line.charge_nanos
    shares = share_out(rounded_nanos, list(groups.values()), step_nanos=minor_unit_nanos)
    taxes = tuple(
        _tax_share(share, rates[number], number, is_inclusive=is_inclusive, minor_unit_nanos=minor_unit_nanos)
        for (number, is_inclusive), share in zip(groups, shares, strict=True)
        if number is not None
    )

    line_totals = tuple(_total_line(line, rates) for line in lines)
    lines_nanos = sum(line.net_nanos for line in line_totals)
    tax_nanos = sum(tax.amount_nanos for tax in taxes)
    subtotal_nanos = rounded_nanos - sum(tax.amount_nanos for tax in taxes if tax.is_inclusive)
    return Totals(
        lines=line_totals,
        taxes=taxes,
        lines_nanos=lines_nanos,
        rounding_nanos=subtotal_nanos - lines_nanos,
        subtotal_nanos=subtotal_nanos,
        tax_nanos=tax_nanos,
        total_nanos=subtotal_nanos + tax_nanos,
        carry_nanos=rounded_nanos - charged_nanos,
    )


def share_out(total_nanos: int, amounts: Sequence[int], *, step_nanos: int) -> list[int]:
    """Share a rounded total among the amounts that it was rounded from, in whole steps, by largest remainder.

    Each amount's exact share is the amount itself plus its part of the rounding, by size. So amounts that add
    up to little or nothing because some are below zero still get shares of their own size. Of equal
    remainders the earlier wins. The shares add up to the total; with every sign turned round they stay the
    same but for their signs.
    """
    assert total_nanos % step_nanos == 0, f"{total_nanos} is not a multiple of {step_nanos}"
    if not amounts:
        return []
    if total_nanos < 0:
        return [
            -share
            for share in share_out(-total_nanos, [-amount for amount in amounts], step_nanos=step_nanos)
        ]
    sizes = [abs(amount) for amount in amounts]
    if not any(sizes):
        sizes = [1] * len(amounts)
    whole = sum(sizes)
    rounding_nanos = total_nanos - sum(amounts)

    # Exact shares, as whole steps and the remainders over `whole` of a nano.
    exact = [amount * whole + rounding_nanos * size for amount, size in zip(amounts, sizes, strict=True)]
    steps, remainders = zip(*(divmod(share, whole * step_nanos) for share in exact), strict=True)
    missing = total_nanos // step_nanos - sum(steps)
    favoured = sorted(range(len(amounts)), key=lambda index: remainders[index], reverse=True)[:missing]
    return [(step + (index in favoured)) * step_nanos for index, step in enumerate(steps)]


def _group_of(line: Chargeable) -> _Group:
    """Find whose share a line adds to: untaxed lines are one group, however their price is stated."""
    return line.rate_number, line.is_inclusive and line.rate_number is not None


def _tax_share(
    share_nanos: int, rate: Decimal, rate_number: int, *, is_inclusive: bool, minor_unit_nanos: int
) -> TaxTotal:
    numerator, denominator = rate.as_integer_ratio()
    if is_inclusive:  # The tax inside: share x rate / (1 + rate).
        denominator += numerator
    steps = divide(share_nanos * numerator, denominator * minor_unit_nanos, Rounding.HALF_UP)
    amount_nanos = steps * minor_unit_nanos
    return TaxTotal(
        rate_number=rate_number,
        is_inclusive=is_inclusive,
        base_nanos=share_nanos - amount_nanos if is_inclusive else share_nanos,
        amount_nanos=amount_nanos,
    )


def _total_line(line: Chargeable, rates: Sequence[Decimal]) -> LineTotal:
    if line.rate_number is None:
        return LineTotal(net_nanos=line.charge_nanos, gross_nanos=line.charge_nanos)
    numerator, denominator = rates[line.rate_number].as_integer_ratio()
    taxed = numerator + denominator
    if line.is_inclusive:
        net_nanos = divide(line.charge_nanos * denominator, taxed, Rounding.HALF_EVEN)
        return LineTotal(net_nanos=net_nanos, gross_nanos=line.charge_nanos)
    gross_nanos = divide(line.charge_nanos * taxed, denominator, Rounding.HALF_EVEN)
    return LineTotal(net_nanos=line.charge_nanos, gross_nanos=gross_nanos)
