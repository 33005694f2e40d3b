"""Calling a final invoice off. What was on it is billed again, or forgiven."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, InvalidInput
from invoicing.events import InvoiceVoided
from invoicing.invoices.states import check_move
from invoicing.locks import lock_invoice
from invoicing.models import Invoice, InvoiceCoverage, InvoiceLine, InvoiceStatus, VoidOutcome


class InvoiceHasPayments(Conflict):
    """An invoice that money was received for is not called off; a credit note gives back."""

    code = "invoice_has_payments"


class VoidReasonMissing(InvalidInput):
    """Calling an invoice off needs a reason."""

    code = "void_reason_missing"


class VoidOutcomeMissing(InvalidInput):
    """A closed period is billed again only if somebody says so."""

    code = "void_outcome_missing"


class VoidOutcomeUnfit(InvalidInput):
    """What belongs to no period can be billed again only by hand."""

    code = "void_outcome_unfit"


@transaction.atomic
def void_invoice(
    *, invoice_id: UUID, reason: str, then: VoidOutcome | None, at: datetime, actor: Actor
) -> Invoice:
    """Call off a final invoice that nothing was paid on.

    What it billed for an open period is taken up by the period's next Draft. For a closed period `then` says
    whether it is to be billed again or forgiven; forgiven lines go on counting as billed.

    Raises: InvoiceNotFound; InvoiceStatusConflict; InvoiceHasPayments; VoidReasonMissing; VoidOutcomeMissing;
    VoidOutcomeUnfit.
    Locks: customer, invoice.
    Emits: invoice.voided.
    """
    if not reason.strip():
        raise VoidReasonMissing("Say why the invoice is void.", field="reason")
    invoice = lock_invoice(invoice_id)
    check_move(invoice, to=InvoiceStatus.VOID)
    if invoice.amount_paid_nanos:
        raise InvoiceHasPayments(f"Invoice {invoice} has payments.")
    outcome = _choose_outcome(invoice, then=then)

    changes = audit.set_fields(
        invoice,
        {
            "status": InvoiceStatus.VOID,
            "amount_due_nanos": 0,
            "voided_at": at,
            "voided_reason": reason.strip(),
            "void_outcome": outcome,
        },
    )
    invoice.save(update_fields=changes)
    if outcome != VoidOutcome.FORGIVE:
        InvoiceLine.objects.filter(invoice=invoice).update(is_billed=False)
    InvoiceCoverage.objects.filter(invoice=invoice).update(is_void=True)

    audit.record("invoice.voided", subject=invoice, changes=changes, actor=actor, at=at)
    events.emit(InvoiceVoided(invoice), at=at)
    return invoice


def _choose_outcome(invoice: Invoice, *, then: VoidOutcome | None) -> VoidOutcome | str:
    """Decide what becomes of the amounts; the periods tell whether anybody has to be asked."""
    periods_closed = [
        closed_at is not None
        for closed_at in InvoiceCoverage.objects.filter(invoice=invoice).values_list(
            "period__closed_at", flat=True
        )
    ]
    if not periods_closed:
        if then is not None:
            raise VoidOutcomeUnfit("The invoice belongs to no period: `then` has no meaning.", field="then")
        return ""
    if then is None and any(periods_closed):
        raise VoidOutcomeMissing("The period is closed: say Regenerate or Forgive in `then`.", field="then")
    return then or VoidOutcome.REGENERATE
