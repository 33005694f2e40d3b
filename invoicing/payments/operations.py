"""Operations on payments."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.currencies import minor_unit_nanos
from billing_project.core.errors import Conflict, InvalidInput
from invoicing.events import InvoicePaid, PaymentSucceeded
from invoicing.locks import lock_invoice
from invoicing.models import Invoice, InvoiceStatus, Payment, PaymentProvider, PaymentStatus

PAYABLE = {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}


class InvoiceNotPayable(Conflict):
    """Money is taken only for an invoice that is Open or Uncollectible."""

    code = "invoice_not_payable"


class PaymentExceedsDue(Conflict):
    """A payment above what is due has nowhere to go."""

    code = "payment_exceeds_due"


class InvalidPayment(InvalidInput):
    """This is not an amount that anybody can pay, or not a time at which it can have come."""

    code = "invalid_payment"


@transaction.atomic
def record_payment(
    *,
    invoice_id: UUID,
    amount_nanos: int,
    reference: str,
    received_at: datetime | None,
    at: datetime,
    actor: Actor,
) -> Payment:
    """Record money that has come in for an invoice; once nothing is due any more, the invoice is Paid.

    Without `received_at` it came in now.

    Raises: InvoiceNotFound; InvoiceNotPayable; InvalidPayment; PaymentExceedsDue.
    Locks: customer, invoice.
    Emits: payment.succeeded, and invoice.paid where the rest was paid.
    """
    invoice = lock_invoice(invoice_id)
    if invoice.status not in PAYABLE:
        raise InvoiceNotPayable(f"Invoice {invoice} is {invoice.status}.")
    _check_payment(invoice, amount_nanos=amount_nanos, received_at=received_at, at=at)

    payment = Payment.objects.create(
        customer_id=invoice.customer_id,
        invoice=invoice,
        provider=PaymentProvider.MANUAL,
        status=PaymentStatus.SUCCEEDED,
        currency=invoice.currency,
        amount_nanos=amount_nanos,
        reference=reference,
        received_at=received_at or at,
    )
    made = audit.made(
        payment, "invoice_id", "amount_nanos", "currency", "reference", "received_at", "provider"
    )
    audit.record("payment.recorded", subject=payment, changes=made, actor=actor, at=at)
    events.emit(PaymentSucceeded(payment), at=at)
    _credit_invoice(invoice, amount_nanos=amount_nanos, at=at, actor=actor)
    return payment


def _check_payment(
    invoice: Invoice, *, amount_nanos: int, received_at: datetime | None, at: datetime
) -> None:
    if amount_nanos <= 0:
        raise InvalidPayment("A payment is above zero.", field="amount_nanos")
    if amount_nanos % minor_unit_nanos(invoice.currency):
        raise InvalidPayment(f"There is no such amount of {invoice.currency}.", field="amount_nanos")
    if received_at is not None and received_at > at:
        raise InvalidPayment("A payment that has come in did so before now.", field="received_at")
    if amount_nanos > invoice.amount_due_nanos:
        raise PaymentExceedsDue(
            f"{invoice.amount_due_nanos} is due on invoice {invoice}, less than {amount_nanos}.",
            field="amount_nanos",
        )


def _credit_invoice(invoice: Invoice, *, amount_nanos: int, at: datetime, actor: Actor) -> None:
    """Take what was paid off what is due."""
    values: dict[str, object] = {
        "amount_paid_nanos": invoice.amount_paid_nanos + amount_nanos,
        "amount_due_nanos": invoice.amount_due_nanos - amount_nanos,
    }
    is_paid = amount_nanos == invoice.amount_due_nanos
    if is_paid:
        values |= {"status": InvoiceStatus.PAID, "paid_at": at}
    changes = audit.set_fields(invoice, values)
    invoice.save(update_fields=changes)
    action = "invoice.paid" if is_paid else "invoice.partly_paid"
    audit.record(action, subject=invoice, changes=changes, actor=actor, at=at)
    if is_paid:
        events.emit(InvoicePaid(invoice), at=at)
