"""Invoices, and the table that says which periods an invoice covers."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q

from billing_project.core.fields import (
    NanosField,
    choice_constraint,
    currency_field,
    enum_field,
    id_field,
)
from billing_project.core.protection import frozen_when
from customers.models import Customer
from invoicing.models.rules import (
    agrees_with_invoice,
    begins_as_draft,
    frozen_with_invoice,
    moves_by_the_table,
)
from subscriptions.models import Period, Subscription

if TYPE_CHECKING:
    from uuid import UUID


class InvoiceType(models.TextChoices):
    """What kind of document it is."""

    STANDARD = "Standard", "Invoice"
    CREDIT_NOTE = "CreditNote", "Credit note"
    PRO_FORMA = "ProForma", "Pro forma"


class InvoiceReason(models.TextChoices):
    """Why it was made."""

    PERIOD_START = "PeriodStart", "Start of the subscription"
    ON_DEMAND = "OnDemand", "On demand"
    PERIOD_END = "PeriodEnd", "End of the period"
    ONE_OFF = "OneOff", "One-off"


class InvoiceStatus(models.TextChoices):
    """Where it stands. The moves between these are in `invoicing.invoices.states`."""

    DRAFT = "Draft", "Draft"
    OPEN = "Open", "Open"
    PAID = "Paid", "Paid"
    VOID = "Void", "Void"
    UNCOLLECTIBLE = "Uncollectible", "Uncollectible"


class TaxStatus(models.TextChoices):
    """Whether the tax rows belong to the lines as they are now."""

    NOT_ASSESSED = "NotAssessed", "Not assessed"
    CURRENT = "Current", "Current"
    STALE = "Stale", "Stale"
    PENDING = "Pending", "Pending"


class VoidOutcome(models.TextChoices):
    """What becomes of the amounts of a void invoice: billed again, or forgiven."""

    REGENERATE = "Regenerate", "Bill again"
    FORGIVE = "Forgive", "Forgive"


class Invoice(models.Model):
    """A document that asks for money. Lines + rounding + tax = total, always; frozen once it has a number.

    `lines_nanos` is the exact sum of the lines (net of tax), `subtotal_nanos` that sum rounded once, with the
    rounding of the period's earlier invoices carried; `rounding_nanos` is subtotal minus lines. `carry_nanos`
    is what the period's next invoice has to carry: the rounding of the charges as they are priced, which is
    the same unless tax is inside some prices. A Draft's figures are those of its lines as they are now.
    `seller_details` and `customer_details` are copies taken at finalisation. `subscription` and `period` are
    null where the invoice covers several; `InvoiceCoverage` always has them all. `tax_fingerprint` identifies
    the lines and the profile that the tax rows were computed from.
    """

    id = id_field()
    invoice_number = models.CharField(max_length=64, null=True, blank=True, unique=True)
    invoice_type = enum_field(InvoiceType, default=InvoiceType.STANDARD)
    reason = enum_field(InvoiceReason)
    status = enum_field(InvoiceStatus, default=InvoiceStatus.DRAFT)
    tax_status = enum_field(TaxStatus, default=TaxStatus.NOT_ASSESSED)
    tax_fingerprint = models.CharField(max_length=64, blank=True, default="")
    tax_problem = models.TextField(blank=True, default="")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices")
    subscription = models.ForeignKey(
        Subscription, null=True, blank=True, on_delete=models.PROTECT, related_name="invoices"
    )
    period = models.ForeignKey(
        Period, null=True, blank=True, on_delete=models.PROTECT, related_name="invoices"
    )
    applies_to = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="credit_notes"
    )
    currency = currency_field()
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    lines_nanos = NanosField(default=0)
    rounding_nanos = NanosField(default=0)
    carry_nanos = NanosField(default=0)
    subtotal_nanos = NanosField(default=0)
    tax_nanos = NanosField(default=0)
    total_nanos = NanosField(default=0)
    credit_nanos = NanosField(default=0)
    amount_paid_nanos = NanosField(default=0)
    amount_due_nanos = NanosField(default=0)
    seller_details = models.JSONField(default=dict, blank=True)
    customer_details = models.JSONField(default=dict, blank=True)
    computed_at = models.DateTimeField(null=True, blank=True)
    finalized_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    voided_at = models.DateTimeField(null=True, blank=True)
    voided_reason = models.TextField(blank=True, default="")
    void_outcome = models.CharField(max_length=32, choices=VoidOutcome.choices, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    if TYPE_CHECKING:
        customer_id: UUID
        subscription_id: UUID | None
        period_id: UUID | None
        applies_to_id: UUID | None

    class Meta:
        constraints = [
            choice_constraint(table="invoice", field="invoice_type", choices=InvoiceType),
            choice_constraint(table="invoice", field="reason", choices=InvoiceReason),
            choice_constraint(table="invoice", field="status", choices=InvoiceStatus),
            choice_constraint(table="invoice", field="tax_status", choices=TaxStatus),
            models.CheckConstraint(
                condition=Q(
                    status=InvoiceStatus.DRAFT, invoice_number__isnull=True, finalized_at__isnull=True
                )
                | (
                    ~Q(status=InvoiceStatus.DRAFT)
                    & Q(invoice_number__isnull=False, finalized_at__isnull=False, due_at__isnull=False)
                ),
                name="invoice_is_numbered_iff_not_draft",
            ),
            models.CheckConstraint(
                condition=Q(subtotal_nanos=F("lines_nanos") + F("rounding_nanos")),
                name="invoice_lines_and_rounding_are_subtotal",
            ),
            models.CheckConstraint(
                condition=Q(total_nanos=F("subtotal_nanos") + F("tax_nanos")),
                name="invoice_subtotal_and_tax_are_total",
            ),
            models.CheckConstraint(
                condition=Q(amount_due_nanos=F("total_nanos") - F("credit_nanos") - F("amount_paid_nanos"))
                | Q(status__in=[InvoiceStatus.VOID]),
                name="invoice_due_is_total_less_credit_and_paid",
            ),
            models.CheckConstraint(
                condition=Q(status=InvoiceStatus.PAID, paid_at__isnull=False, amount_due_nanos=0)
                | (~Q(status=InvoiceStatus.PAID) & Q(paid_at__isnull=True)),
                name="invoice_is_paid_iff_nothing_is_due_and_paid_at",
            ),
            models.CheckConstraint(
                condition=(Q(status=InvoiceStatus.VOID, voided_at__isnull=False) & ~Q(voided_reason=""))
                | (
                    ~Q(status=InvoiceStatus.VOID)
                    & Q(voided_at__isnull=True, voided_reason="", void_outcome="")
                ),
                name="invoice_has_a_reason_iff_void",
            ),
            models.CheckConstraint(
                condition=Q(status=InvoiceStatus.DRAFT)
                | Q(total_nanos__gte=0, amount_due_nanos__gte=0, amount_paid_nanos__gte=0),
                name="invoice_asks_for_nothing_below_zero",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="invoice_of_customer"),
            models.Index(fields=["subscription", "-id"], name="invoice_of_subscription"),
            models.Index(fields=["status", "-id"], name="invoice_by_status"),
            models.Index(fields=["-finalized_at"], name="invoice_by_finalized_at"),
        ]
        triggers = [
            *frozen_when(
                "OLD.status <> 'Draft'",
                except_fields=[
                    "status",
                    "amount_paid_nanos",
                    "amount_due_nanos",
                    "paid_at",
                    "voided_at",
                    "voided_reason",
                    "void_outcome",
                ],
            ),
            begins_as_draft(),
            moves_by_the_table(),
        ]

    def __str__(self) -> str:
        return self.invoice_number or f"Draft {self.id}"

    @property
    def is_draft(self) -> bool:
        """Whether it can still change."""
        return bool(self.status == InvoiceStatus.DRAFT)


class InvoiceCoverage(models.Model):
    """Which period an invoice covers, and why; carries the rules that forbid billing a period twice.

    `is_draft` and `is_void` repeat the invoice's status, because a unique index cannot look at another table.
    """

    id = id_field()
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="coverage")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="coverage")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="coverage")
    reason = enum_field(InvoiceReason)
    invoice_type = enum_field(InvoiceType)
    is_draft = models.BooleanField(default=True)
    is_void = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "invoice coverage"
        constraints = [
            models.UniqueConstraint(fields=["invoice", "period"], name="coverage_is_unique"),
            models.UniqueConstraint(
                fields=["subscription", "period"],
                condition=Q(invoice_type=InvoiceType.STANDARD, is_draft=True)
                & ~Q(reason=InvoiceReason.PERIOD_START),
                name="coverage_has_one_standard_draft_per_period",
            ),
            models.UniqueConstraint(
                fields=["period"],
                condition=Q(
                    invoice_type=InvoiceType.STANDARD, reason=InvoiceReason.PERIOD_END, is_void=False
                ),
                name="coverage_has_one_period_end_invoice",
            ),
            models.UniqueConstraint(
                fields=["period"],
                condition=Q(
                    invoice_type=InvoiceType.STANDARD, reason=InvoiceReason.PERIOD_START, is_void=False
                ),
                name="coverage_has_one_period_start_invoice",
            ),
        ]
        triggers = [
            *frozen_with_invoice(except_fields=("is_draft", "is_void")),
            agrees_with_invoice("NEW.is_draft = (status = 'Draft') AND NEW.is_void = (status = 'Void')"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice_id} covers {self.period_id}"
