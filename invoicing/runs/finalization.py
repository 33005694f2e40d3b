"""Making a Draft final, in two parts: what may take time or must be a transaction of its own, and the number.

Callers that wrap the second part in a transaction (a request with an `Idempotency-Key`) do the first before
it.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.seller import get_seller
from invoicing.invoices.operations import TaxNotAssessed, finalize_invoice
from invoicing.invoices.queries import get_invoice
from invoicing.invoices.tax_basis import is_tax_current
from invoicing.invoices.taxation import assess_tax
from invoicing.models import Invoice, InvoiceReason
from invoicing.runs.settling import close_ended_period, settle_with, write_closing_draft
from subscriptions.queries import get_period


def prepare_finalization(*, invoice_id: UUID, at: datetime, actor: Actor) -> None:
    """Bring a Draft to where it can be made final; one that is final already is left alone.

    A period-end Draft has its period closed, whether the grace is over or not, and is computed once more from
    the usage that is now fixed. Then the tax is assessed. Not a transaction; it can be repeated.

    Raises: InvoiceNotFound; PeriodNotEnded; EarlierPeriodOpen; TaxNotAssessed if the tax engine is down.
    """
    invoice = get_invoice(invoice_id)
    if not invoice.is_draft:
        return
    if invoice.reason == InvoiceReason.PERIOD_END and invoice.period_id is not None:
        close_ended_period(period_id=invoice.period_id, at=at, actor=actor)
        write_closing_draft(period_id=invoice.period_id, at=at, actor=actor, skip_zero=False)
    ensure_tax(invoice_id=invoice_id, at=at, actor=actor)


@transaction.atomic
def finalize(*, invoice_id: UUID, at: datetime, actor: Actor) -> Invoice:
    """Make a prepared Draft final, and settle the period whose end it bills.

    Raises: InvoiceNotFound; InvoiceNotDraft; DraftOutdated and TaxNotAssessed if it changed since it was
    prepared.
    Locks: customer, period, invoice, number sequence.
    Emits: invoice.finalized, and invoice.paid where nothing is due.
    """
    invoice = get_invoice(invoice_id)
    if invoice.is_draft and invoice.period_id is not None and not get_period(invoice.period_id).is_open:
        return settle_with(invoice_id=invoice_id, period_id=invoice.period_id, at=at, actor=actor)
    return finalize_invoice(invoice_id=invoice_id, at=at, actor=actor)


def ensure_tax(*, invoice_id: UUID, at: datetime, actor: Actor) -> None:
    """Have the Draft's tax assessed for exactly its lines as they are now.

    Raises: TaxNotAssessed if the engine is down; the invoice then shows as "tax pending".
    """
    if is_tax_current(get_invoice(invoice_id), seller=get_seller(), at=at):
        return
    outcome = assess_tax(invoice_id=invoice_id, at=at, actor=actor)
    if outcome.is_pending:
        raise TaxNotAssessed(f"The tax of invoice {invoice_id} is pending: {outcome.invoice.tax_problem}")
