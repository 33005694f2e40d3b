"""Calling an invoice off together with what follows from it for the periods that it covers."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from customers.locks import lock_customer
from invoicing.invoices.operations import void_invoice
from invoicing.invoices.queries import get_invoice, list_covered_period_ids
from invoicing.models import Invoice, InvoiceReason, VoidOutcome
from invoicing.runs.due import read_grace
from invoicing.runs.settling import write_closing_draft
from subscriptions.locks import lock_period
from subscriptions.operations import reopen_settlement, set_period_due


@transaction.atomic
def void(*, invoice_id: UUID, reason: str, then: VoidOutcome | None, at: datetime, actor: Actor) -> Invoice:
    """Call off a final invoice, and have billed again what is to be billed again.

    For an open period the next Draft takes the amounts up; fees of the start get a new invoice in the next
    bill run. For a closed one a new Draft is there at once, and is made final after the grace unless staff do
    so before.

    Raises: as `void_invoice`.
    Locks: customer, period, invoice.
    Emits: invoice.voided.
    """
    lock_customer(get_invoice(invoice_id).customer_id)
    periods = [lock_period(period_id) for period_id in list_covered_period_ids(invoice_id)]
    invoice = void_invoice(invoice_id=invoice_id, reason=reason, then=then, at=at, actor=actor)
    if invoice.void_outcome != VoidOutcome.REGENERATE:
        return invoice
    for period in periods:
        if not period.is_open:
            is_start = invoice.reason == InvoiceReason.PERIOD_START
            due_at = at if is_start else at + read_grace()
            reopen_settlement(period_id=period.pk, due_at=due_at, at=at, actor=actor)
            if not is_start:
                write_closing_draft(period_id=period.pk, at=at, actor=actor, skip_zero=True)
        elif invoice.reason == InvoiceReason.PERIOD_START:
            set_period_due(period_id=period.pk, due_at=at)
    return invoice
