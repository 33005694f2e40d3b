"""What a Draft consists of, built and added up in memory; operations save it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing_project.core.currencies import minor_unit_nanos
from billing_project.core.errors import InvalidInput
from catalog.models import TaxBehavior
from invoicing.invoices.totals import Chargeable, Totals, total_lines
from invoicing.models import Invoice, InvoiceLine, InvoiceReason, InvoiceTax, LineKind
from invoicing.rating.lines import RatedLine
from invoicing.tax.types import TaxAssessment

# The columns hold 38 digits; this leaves room for tax on all of it.
AMOUNT_LIMIT_NANOS = 10**37


class InvoiceBelowZero(InvalidInput):
    """An invoice asks for money; what is owed to the customer is a credit note's matter."""

    code = "invoice_below_zero"


class AmountTooLarge(InvalidInput):
    """The amounts are beyond what the platform can add up."""

    code = "amount_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftCoverage:
    """Which period a Draft is for, and why it is made."""

    customer_id: UUID
    subscription_id: UUID
    period_id: UUID
    reason: InvoiceReason
    currency: str
    period_start: datetime
    period_end: datetime


def build_draft(coverage: DraftCoverage) -> Invoice:
    """Build a Draft without lines."""
    return Invoice(
        reason=coverage.reason,
        customer_id=coverage.customer_id,
        subscription_id=coverage.subscription_id,
        period_id=coverage.period_id,
        currency=coverage.currency,
        period_start=coverage.period_start,
        period_end=coverage.period_end,
    )


def build_lines(invoice: Invoice, rated: Iterable[RatedLine]) -> list[InvoiceLine]:
    """Build the computed lines of a Draft."""
    return [
        InvoiceLine(
            invoice=invoice,
            key=line.key,
            kind=LineKind(line.kind.value),
            description=line.description,
            quantity=line.quantity,
            unit=line.unit,
            unit_amount_nanos=line.unit_amount_nanos,
            charge_nanos=line.charge_nanos,
            amount_nanos=line.charge_nanos,
            tax_behavior=line.tax_behavior,
            tax_category=line.tax_category,
            subscription_id=line.subscription_id,
            segment_id=line.segment_id,
            item_id=line.item_id,
            sku_id=line.sku_id,
            meter_id=line.meter_id,
            period_start=line.period_start,
            period_end=line.period_end,
            rated_quantity=line.rated_quantity,
            late_quantity=None if line.meter_id is None else line.late_quantity,
            billed_nanos=line.billed_nanos,
            steps=list(line.steps),
        )
        for line in rated
    ]


def arrange_lines(invoice: Invoice, lines: Sequence[InvoiceLine]) -> list[InvoiceLine]:
    """Put the lines in order, with the balancing ones that bring a sum below zero to nothing.

    The lines below zero stay, since they count towards what is billed. There is a balancing line for each way
    in which lines are taxed, so that no tax is left over either.

    Raises: AmountTooLarge; InvoiceBelowZero for an invoice that covers no period, where only staff can be the
    cause.
    """
    arranged = [line for line in lines if line.kind != LineKind.BALANCING]
    if sum(abs(line.charge_nanos) for line in arranged) >= AMOUNT_LIMIT_NANOS:
        raise AmountTooLarge("The amounts of these lines are too large to be added up.")
    sums: Counter[tuple[str, str]] = Counter()
    for line in arranged:
        sums[line.tax_behavior, line.tax_category] += line.charge_nanos
    if sums.total() < 0:
        if invoice.period_id is None:
            raise InvoiceBelowZero("The lines of an invoice must not add up to less than nothing.")
        arranged += [
            InvoiceLine(
                invoice=invoice,
                kind=LineKind.BALANCING,
                description="Balance",
                charge_nanos=-charge_nanos,
                amount_nanos=-charge_nanos,
                tax_behavior=tax_behavior,
                tax_category=tax_category,
            )
            for (tax_behavior, tax_category), charge_nanos in sums.items()
            if charge_nanos
        ]
    for position, line in enumerate(arranged):
        line.position = position
    return arranged


def total_draft(
    lines: Sequence[InvoiceLine], assessment: TaxAssessment | None, *, currency: str, carried_nanos: int
) -> Totals:
    """Total the lines of a Draft, with the tax that was assessed on them, if it was."""
    rates: list[Decimal] = []
    rate_numbers: Sequence[int | None] = [None] * len(lines)
    if assessment is not None:
        rates = [rate.rate for rate in assessment.rates]
        rate_numbers = assessment.rate_numbers
    chargeable = [
        Chargeable(
            charge_nanos=line.charge_nanos,
            is_inclusive=line.tax_behavior == TaxBehavior.INCLUSIVE,
            rate_number=rate_number,
        )
        for line, rate_number in zip(lines, rate_numbers, strict=True)
    ]
    return total_lines(
        chargeable, rates, carried_nanos=carried_nanos, minor_unit_nanos=minor_unit_nanos(currency)
    )


def read_figures(totals: Totals) -> dict[str, int]:
    """Name the figures of a Draft as the invoice's columns do; nothing is paid on it, so all of it is due."""
    return {
        "lines_nanos": totals.lines_nanos,
        "rounding_nanos": totals.rounding_nanos,
        "carry_nanos": totals.carry_nanos,
        "subtotal_nanos": totals.subtotal_nanos,
        "tax_nanos": totals.tax_nanos,
        "total_nanos": totals.total_nanos,
        "amount_due_nanos": totals.total_nanos,
    }


def build_taxes(invoice: Invoice, assessment: TaxAssessment, totals: Totals) -> list[InvoiceTax]:
    """Build the tax rows of an invoice."""
    rows = []
    for position, tax in enumerate(totals.taxes):
        rate = assessment.rates[tax.rate_number]
        rows.append(
            InvoiceTax(
                invoice=invoice,
                position=position,
                code=rate.code,
                jurisdiction=rate.jurisdiction,
                description=rate.description,
                rate=rate.rate,
                tax_behavior=TaxBehavior.INCLUSIVE if tax.is_inclusive else TaxBehavior.EXCLUSIVE,
                base_nanos=tax.base_nanos,
                amount_nanos=tax.amount_nanos,
                legal_text=rate.legal_text,
            )
        )
    return rows


def set_line_totals(lines: Sequence[InvoiceLine], totals: Totals) -> None:
    """Write the net and gross amount of each line, without saving it."""
    for line, total in zip(lines, totals.lines, strict=True):
        line.amount_nanos, line.gross_nanos = total.net_nanos, total.gross_nanos
