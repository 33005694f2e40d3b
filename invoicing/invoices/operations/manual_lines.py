"""Lines that staff put on a Draft by hand, and invoices that consist of nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.currencies import is_currency
from billing_project.core.errors import Conflict, FieldError, InvalidInput, NotFound
from billing_project.core.money import Rounding, multiply
from catalog.models import TaxBehavior
from customers.locks import lock_customer
from customers.models import CustomerStatus
from invoicing.invoices.operations.lines import put_lines
from invoicing.invoices.queries import list_lines
from invoicing.invoices.states import check_is_draft
from invoicing.locks import lock_invoice
from invoicing.models import Invoice, InvoiceLine, InvoiceReason, LineKind

MANUAL_LINES_LIMIT = 500


class LineNotFound(NotFound):
    """The invoice has no such line."""

    code = "line_not_found"


class LineNotManual(Conflict):
    """A computed line goes when the period is billed anew, never by hand."""

    code = "line_not_manual"


class CustomerClosed(Conflict):
    """A closed customer gets no new invoices."""

    code = "customer_closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualLine:
    """What a line by hand says: an amount, or a quantity and a unit amount that make one.

    An amount below zero takes something off.
    """

    description: str
    amount_nanos: int | None = None
    quantity: Decimal | None = None
    unit: str = ""
    unit_amount_nanos: int | None = None
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    tax_category: str = ""


@transaction.atomic
def add_line(*, invoice_id: UUID, line: ManualLine, at: datetime, actor: Actor) -> Invoice:
    """Add a manual line to a Draft.

    Raises: InvoiceNotFound; InvoiceNotDraft; InvalidInput; InvoiceBelowZero; AmountTooLarge.
    Locks: customer, invoice.
    """
    invoice = lock_invoice(invoice_id)
    check_is_draft(invoice)
    present = list_lines(invoice.pk)
    if sum(other.kind == LineKind.MANUAL for other in present) >= MANUAL_LINES_LIMIT:
        raise InvalidInput(f"An invoice has at most {MANUAL_LINES_LIMIT} manual lines.")
    added = _build_manual_line(invoice, line, charge_nanos=_read_charge(line, within=""))
    return put_lines(
        invoice=invoice,
        present=present,
        wanted=[*present, added],
        action="invoice.line_added",
        at=at,
        actor=actor,
    )


@transaction.atomic
def remove_line(*, invoice_id: UUID, line_id: UUID, at: datetime, actor: Actor) -> Invoice:
    """Remove a manual line from a Draft.

    Raises: InvoiceNotFound; InvoiceNotDraft; LineNotFound; LineNotManual; InvoiceBelowZero.
    Locks: customer, invoice.
    """
    invoice = lock_invoice(invoice_id)
    check_is_draft(invoice)
    present = list_lines(invoice.pk)
    line = next((line for line in present if line.pk == line_id), None)
    if line is None:
        raise LineNotFound(f"Invoice {invoice} has no line {line_id}.")
    if line.kind != LineKind.MANUAL:
        raise LineNotManual(f"Line {line_id} is computed: {line.kind}.")
    wanted = [other for other in present if other.pk != line_id]
    return put_lines(
        invoice=invoice, present=present, wanted=wanted, action="invoice.line_removed", at=at, actor=actor
    )


@transaction.atomic
def create_one_off(
    *, customer_id: UUID, currency: str | None, lines: Sequence[ManualLine], at: datetime, actor: Actor
) -> Invoice:
    """Make a Draft that belongs to no subscription, out of manual lines.

    It is in the customer's currency, if none is given.

    Raises: NotFound; CustomerClosed; InvalidInput; InvoiceBelowZero; AmountTooLarge.
    Locks: customer.
    """
    if currency is not None and not is_currency(currency):
        raise InvalidInput(f"{currency} is not a currency in circulation.", field="currency")
    if not 1 <= len(lines) <= MANUAL_LINES_LIMIT:
        raise InvalidInput(f"An invoice has 1 to {MANUAL_LINES_LIMIT} lines.", field="lines")
    customer = lock_customer(customer_id)
    if customer.status == CustomerStatus.CLOSED:
        raise CustomerClosed(f"Customer {customer_id} is closed.")
    invoice = Invoice(reason=InvoiceReason.ONE_OFF, customer=customer, currency=currency or customer.currency)
    wanted = [
        _build_manual_line(invoice, line, charge_nanos=_read_charge(line, within=f"lines.{number}."))
        for number, line in enumerate(lines)
    ]
    return put_lines(invoice=invoice, present=[], wanted=wanted, action="invoice.drafted", at=at, actor=actor)


def _read_charge(line: ManualLine, *, within: str) -> int:
    """Read or compute the amount of a manual line."""
    match (line.amount_nanos, line.quantity, line.unit_amount_nanos):
        case (int() as amount_nanos, _, None):
            return amount_nanos
        case (None, Decimal() as quantity, int() as unit_amount_nanos):
            return multiply(unit_amount_nanos, quantity, Rounding.HALF_EVEN)
    detail = "Give either amount_nanos, or quantity and unit_amount_nanos."
    raise InvalidInput(detail, errors=[FieldError(f"{within}amount_nanos", "ambiguous_amount", detail)])


def _build_manual_line(invoice: Invoice, line: ManualLine, *, charge_nanos: int) -> InvoiceLine:
    return InvoiceLine(
        invoice=invoice,
        kind=LineKind.MANUAL,
        description=line.description,
        quantity=line.quantity,
        unit=line.unit,
        unit_amount_nanos=line.unit_amount_nanos,
        charge_nanos=charge_nanos,
        amount_nanos=charge_nanos,
        tax_behavior=line.tax_behavior,
        tax_category=line.tax_category,
    )
