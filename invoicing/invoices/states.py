"""The moves an invoice may make. Operations check this table under the lock; a trigger repeats it."""

from collections.abc import Mapping

from billing_project.core.errors import Conflict
from invoicing.models import Invoice
from invoicing.models import InvoiceStatus as Status

# A Draft with nothing due is Paid at once. Paid becomes Open again only when a payment is reversed.
TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.DRAFT: frozenset({Status.OPEN, Status.PAID}),
    Status.OPEN: frozenset({Status.PAID, Status.VOID, Status.UNCOLLECTIBLE}),
    Status.UNCOLLECTIBLE: frozenset({Status.PAID, Status.VOID}),
    Status.PAID: frozenset({Status.OPEN}),
    Status.VOID: frozenset(),
}


class InvoiceNotDraft(Conflict):
    """Only a Draft can be changed, taxed, finalised or deleted."""

    code = "invoice_not_draft"


class InvoiceStatusConflict(Conflict):
    """An invoice of this status cannot get that one."""

    code = "invoice_status_conflict"


def check_is_draft(invoice: Invoice) -> None:
    """Refuse an invoice that is final.

    Raises: InvoiceNotDraft.
    """
    if not invoice.is_draft:
        raise InvoiceNotDraft(f"Invoice {invoice} is {invoice.status}.")


def check_move(invoice: Invoice, *, to: Status) -> None:
    """Refuse a move that the table does not have.

    Raises: InvoiceStatusConflict.
    """
    if to not in TRANSITIONS[Status(invoice.status)]:
        raise InvoiceStatusConflict(f"Invoice {invoice} is {invoice.status}; it cannot become {to}.")
