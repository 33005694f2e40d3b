"""The tables of an invoice's page."""

from collections.abc import Iterable
from decimal import Decimal

from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing_project.core.admin.columns import make_badge, write_money, write_quantity
from billing_project.core.admin.details import Table, make_link, write_instant
from billing_project.core.money import EXACT
from invoicing.models import Invoice, InvoiceLine, InvoiceStatus, InvoiceTax, Payment


def make_line_table(invoice: Invoice) -> Table:
    """Make a table of the lines, to the last digit, and of what they come to."""
    lines = invoice.lines.select_related("meter").order_by("position", "pk")
    return Table(
        title="Lines",
        headers=("Description", "For", "Quantity", "Unit price", "Amount"),
        numeric=("Quantity", "Unit price", "Amount"),
        rows=[
            (
                _describe_line(line),
                _write_days(line),
                _write_line_quantity(line),
                _write_unit_price(line, invoice.currency),
                write_money(line.amount_nanos, invoice.currency, exact=True),
            )
            for line in lines
        ],
        sums=list(_list_sums(invoice)),
        empty="There is nothing on it.",
    )


def make_tax_table(invoice: Invoice) -> Table:
    """Make a table of the tax rows."""
    return Table(
        title="Taxes",
        headers=("Tax", "Where", "Rate", "On", "Amount"),
        numeric=("Rate", "On", "Amount"),
        rows=[
            (
                _describe_tax(tax),
                tax.jurisdiction,
                f"{write_quantity(EXACT.multiply(tax.rate, 100))} %",
                write_money(tax.base_nanos, invoice.currency, exact=True),
                write_money(tax.amount_nanos, invoice.currency),
            )
            for tax in invoice.taxes.order_by("position")
        ],
        empty="No tax." if invoice.tax_status == "Current" else "The tax has not been calculated.",
    )


def make_payment_table(invoice: Invoice) -> Table:
    """Make a table of the payments."""
    payments: Iterable[Payment] = invoice.payments.order_by("received_at", "pk")
    return Table(
        title="Payments",
        headers=("Received", "Reference", "By", "Status", "Amount"),
        numeric=("Amount",),
        rows=[
            (
                make_link("invoicing_payment", payment.pk, write_instant(payment.received_at)),
                payment.reference,
                payment.get_provider_display(),
                make_badge(payment.status),
                write_money(payment.amount_nanos, payment.currency),
            )
            for payment in payments
        ],
        empty="None so far.",
    )


def make_step_table(line: InvoiceLine, *, currency: str) -> Table:
    """Make a table of the steps by which the charge of a line's key was computed."""
    return Table(
        title="How it was computed",
        headers=("Step", "Quantity", "Unit price", "Amount"),
        numeric=("Quantity", "Unit price", "Amount"),
        rows=[
            (
                step["description"],
                write_quantity(Decimal(step["quantity"])),
                write_money(int(step["unit_amount_nanos"]), currency, exact=True),
                write_money(int(step["amount_nanos"]), currency, exact=True),
            )
            for step in line.steps
        ],
        empty="The amount was given, not computed.",
    )


def _list_sums(invoice: Invoice) -> Iterable[tuple[str, str]]:
    """List what the lines come to. Rounding, credit and payments show where there are any."""
    currency = invoice.currency
    if invoice.rounding_nanos:
        yield "Sum of the lines", write_money(invoice.lines_nanos, currency, exact=True)
        yield "Rounding", write_money(invoice.rounding_nanos, currency, exact=True)
    yield "Subtotal", write_money(invoice.subtotal_nanos, currency)
    yield "Tax", write_money(invoice.tax_nanos, currency)
    yield "Total", write_money(invoice.total_nanos, currency)
    if invoice.credit_nanos:
        yield "Credit", write_money(-invoice.credit_nanos, currency)
    if invoice.amount_paid_nanos:
        yield "Paid", write_money(-invoice.amount_paid_nanos, currency)
    if invoice.status != InvoiceStatus.DRAFT:
        yield "Due", write_money(invoice.amount_due_nanos, currency)


def _describe_line(line: InvoiceLine) -> SafeString:
    """Name a line, and the meter that it was counted by."""
    name = make_link("invoicing_invoiceline", line.pk, line.description)
    meter = "" if line.meter is None else format_html('<div class="text-xs">{}</div>', line.meter.code)
    return format_html("{}{}", name, meter)


def _write_days(line: InvoiceLine) -> str:
    if line.period_start is None or line.period_end is None:
        return ""
    return f"{line.period_start:%Y-%m-%d} \N{EN DASH} {line.period_end:%Y-%m-%d}"


def _write_line_quantity(line: InvoiceLine) -> SafeString | str:
    """Write the quantity, and how much of it came late."""
    if line.quantity is None:
        return ""
    text = f"{write_quantity(line.quantity)} {line.unit}".rstrip()
    if not line.late_quantity:
        return text
    late = write_quantity(line.late_quantity)
    return format_html('{}<div class="text-xs">{} came late</div>', text, late)


def _describe_tax(tax: InvoiceTax) -> SafeString:
    legal = format_html('<div class="text-xs">{}</div>', tax.legal_text) if tax.legal_text else ""
    return format_html("{}{}", tax.description, legal)


def _write_unit_price(line: InvoiceLine, currency: str) -> str:
    """Write the price of one, where one price holds for all of the quantity."""
    if line.unit_amount_nanos is None:
        return ""
    return write_money(line.unit_amount_nanos, currency, exact=True)
