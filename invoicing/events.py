"""What happens to invoices and payments, told to subscribers and webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from billing_project.core.events import DomainEvent
from invoicing.models import Invoice, Payment


@dataclass(frozen=True)
class InvoiceEvent(DomainEvent):
    """Something that has happened to an invoice; the payload says how it stands since."""

    invoice: Invoice
    subject_type: ClassVar[str] = "invoice"

    @property
    def subject_id(self) -> UUID:
        """Return the invoice's id."""
        return self.invoice.pk

    @property
    def customer_id(self) -> UUID:
        """Return whose invoice it is."""
        return self.invoice.customer_id

    def payload(self) -> Mapping[str, object]:
        """Return what the invoice asks for and what has become of it."""
        invoice = self.invoice
        return {
            "id": invoice.pk,
            "invoice_number": invoice.invoice_number,
            "invoice_type": invoice.invoice_type,
            "reason": invoice.reason,
            "status": invoice.status,
            "customer_id": invoice.customer_id,
            "subscription_id": invoice.subscription_id,
            "period_id": invoice.period_id,
            "currency": invoice.currency,
            "subtotal_nanos": invoice.subtotal_nanos,
            "tax_nanos": invoice.tax_nanos,
            "total_nanos": invoice.total_nanos,
            "amount_paid_nanos": invoice.amount_paid_nanos,
            "amount_due_nanos": invoice.amount_due_nanos,
            "finalized_at": invoice.finalized_at,
            "due_at": invoice.due_at,
            "paid_at": invoice.paid_at,
            "voided_at": invoice.voided_at,
            "voided_reason": invoice.voided_reason,
            "void_outcome": invoice.void_outcome,
        }


@dataclass(frozen=True)
class InvoiceFinalized(InvoiceEvent):
    """An invoice has been given its number, and asks for money from now on."""

    name: ClassVar[str] = "invoice.finalized"


@dataclass(frozen=True)
class InvoicePaid(InvoiceEvent):
    """Nothing is due on an invoice any more."""

    name: ClassVar[str] = "invoice.paid"


@dataclass(frozen=True)
class InvoiceVoided(InvoiceEvent):
    """An invoice has been called off."""

    name: ClassVar[str] = "invoice.voided"


@dataclass(frozen=True)
class PaymentSucceeded(DomainEvent):
    """Money has come in for an invoice."""

    payment: Payment
    name: ClassVar[str] = "payment.succeeded"
    subject_type: ClassVar[str] = "payment"

    @property
    def subject_id(self) -> UUID:
        """Return the payment's id."""
        return self.payment.pk

    @property
    def customer_id(self) -> UUID:
        """Return who paid."""
        return self.payment.customer_id

    def payload(self) -> Mapping[str, object]:
        """Return what was paid, and for what."""
        payment = self.payment
        return {
            "id": payment.pk,
            "invoice_id": payment.invoice_id,
            "customer_id": payment.customer_id,
            "provider": payment.provider,
            "currency": payment.currency,
            "amount_nanos": payment.amount_nanos,
            "reference": payment.reference,
            "received_at": payment.received_at,
        }
