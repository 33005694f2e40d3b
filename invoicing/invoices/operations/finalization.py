"""Making a Draft final: from then on it asks for money, and nothing can change it."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict
from billing_project.core.seller import get_seller
from billing_project.core.sequences import take_number
from invoicing.events import InvoiceFinalized, InvoicePaid
from invoicing.invoices.drafting import InvoiceBelowZero
from invoicing.invoices.snapshots import copy_customer, copy_seller
from invoicing.invoices.states import check_is_draft, check_move
from invoicing.invoices.tax_basis import is_tax_current
from invoicing.locks import lock_invoice
from invoicing.models import Invoice, InvoiceCoverage, InvoiceLine, InvoiceReason, InvoiceStatus
from subscriptions.queries import get_period


class TaxNotAssessed(Conflict):
    """The tax of the Draft was not computed for exactly its lines as they are now."""

    code = "tax_not_assessed"


class DraftOutdated(Conflict):
    """A period-end invoice bills a closed period: more usage may have come since the Draft was computed."""

    code = "draft_outdated"


@transaction.atomic
def finalize_invoice(*, invoice_id: UUID, at: datetime, actor: Actor) -> Invoice:
    """Freeze a Draft, give it a number and let it ask for money; with nothing due it is Paid at once.

    Tax is read here, never fetched: no network call happens while rows are locked.

    Raises: InvoiceNotFound; InvoiceNotDraft; DraftOutdated; TaxNotAssessed; InvoiceBelowZero.
    Locks: customer, invoice, number sequence.
    Emits: invoice.finalized, and invoice.paid where nothing is due.
    """
    invoice = lock_invoice(invoice_id)
    check_is_draft(invoice)
    _check_period(invoice)
    seller = get_seller()
    if not is_tax_current(invoice, seller=seller, at=at):
        raise TaxNotAssessed(f"The tax of invoice {invoice_id} is {invoice.tax_status}: calculate it first.")
    if invoice.total_nanos < 0:
        raise InvoiceBelowZero(f"The total of invoice {invoice_id} is below zero.")

    status = InvoiceStatus.OPEN if invoice.amount_due_nanos else InvoiceStatus.PAID
    check_move(invoice, to=status)
    changes = audit.set_fields(
        invoice,
        {
            "status": status,
            "seller_details": copy_seller(seller),
            "customer_details": copy_customer(invoice.customer),
            "finalized_at": at,
            "due_at": at + timedelta(days=invoice.customer.payment_terms_days),
            "paid_at": at if status == InvoiceStatus.PAID else None,
        },
    )
    # Taken last: whoever takes the next one waits until this transaction ends.
    number = f"{seller.invoice_prefix}{take_number('invoice'):06d}"
    changes |= audit.set_fields(invoice, {"invoice_number": number})
    invoice.save(update_fields=changes)
    InvoiceLine.objects.filter(invoice=invoice).update(is_billed=True)
    InvoiceCoverage.objects.filter(invoice=invoice).update(is_draft=False)

    audit.record("invoice.finalized", subject=invoice, changes=changes, actor=actor, at=at)
    events.emit(InvoiceFinalized(invoice), at=at)
    if status == InvoiceStatus.PAID:
        events.emit(InvoicePaid(invoice), at=at)
    return invoice


def _check_period(invoice: Invoice) -> None:
    """Refuse a period-end Draft that could miss usage, since its period was open when it was computed."""
    if invoice.reason != InvoiceReason.PERIOD_END or invoice.period_id is None:
        return
    closed_at = get_period(invoice.period_id).closed_at
    if closed_at is None or invoice.computed_at is None or invoice.computed_at < closed_at:
        raise DraftOutdated(f"Period {invoice.period_id} must be closed, and billed again after that.")
