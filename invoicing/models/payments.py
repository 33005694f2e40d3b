"""Payments: money that came in."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from billing_project.core.fields import NanosField, choice_constraint, currency_field, enum_field, id_field
from billing_project.core.protection import append_only
from customers.models import Customer
from invoicing.models.invoices import Invoice

if TYPE_CHECKING:
    from uuid import UUID


class PaymentProvider(models.TextChoices):
    """Who took the money. Manual: staff recorded a transfer that had arrived."""

    MANUAL = "Manual", "Recorded by staff"


class PaymentStatus(models.TextChoices):
    """What became of it."""

    SUCCEEDED = "Succeeded", "Succeeded"


class Payment(models.Model):
    """An amount received for an invoice. Only added: a correction is a new row."""

    id = id_field()
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="payments")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    provider = enum_field(PaymentProvider)
    status = enum_field(PaymentStatus)
    currency = currency_field()
    amount_nanos = NanosField()
    reference = models.CharField(max_length=200, blank=True, default="")
    received_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        customer_id: UUID
        invoice_id: UUID

    class Meta:
        constraints = [
            choice_constraint(table="payment", field="provider", choices=PaymentProvider),
            choice_constraint(table="payment", field="status", choices=PaymentStatus),
            models.CheckConstraint(condition=Q(amount_nanos__gt=0), name="payment_is_positive"),
        ]
        triggers = [*append_only()]

    def __str__(self) -> str:
        return f"payment {self.id}"
