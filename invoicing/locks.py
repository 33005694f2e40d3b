"""What must be locked before an invoice is changed: its customer, then the invoice."""

from uuid import UUID

from billing_project.core.errors import NotFound
from customers.locks import lock_customer
from invoicing.models import Invoice


class InvoiceNotFound(NotFound):
    """There is no such invoice."""

    code = "invoice_not_found"


def lock_invoice(invoice_id: UUID) -> Invoice:
    """Lock an invoice after its customer, and read both as they are now.

    Raises: InvoiceNotFound.
    Locks: customer, invoice.
    """
    customer_id = Invoice.objects.filter(pk=invoice_id).values_list("customer_id", flat=True).first()
    if customer_id is None:
        raise InvoiceNotFound(f"There is no invoice {invoice_id}.")
    customer = lock_customer(customer_id)
    locked = Invoice.objects.select_for_update(of=("self",), no_key=True)
    invoice = locked.filter(pk=invoice_id).first()
    if invoice is None:  # A Draft that was deleted while this waited for the customer.
        raise InvoiceNotFound(f"There is no invoice {invoice_id}.")
    invoice.customer = customer
    return invoice
