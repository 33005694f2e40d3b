"""Invoice lines and tax rows."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q

from billing_project.core.fields import NanosField, QuantityField, choice_constraint, enum_field, id_field
from catalog.models import Meter, Sku, TaxBehavior
from invoicing.models.invoices import Invoice
from invoicing.models.rules import COUNTS_AS_BILLED, agrees_with_invoice, frozen_with_invoice
from subscriptions.models import Segment, Subscription, SubscriptionItem

if TYPE_CHECKING:
    from uuid import UUID


class LineKind(models.TextChoices):
    """Where a line comes from. All but Manual and Balancing are computed, and carry a key."""

    USAGE = "Usage", "Usage"
    FEE = "Fee", "Fee in arrears"
    ADVANCE_FEE = "AdvanceFee", "Fee in advance"
    MANUAL = "Manual", "Manual"
    BALANCING = "Balancing", "Balancing"


class InvoiceLine(models.Model):
    """One line of an invoice, with what is needed to explain it and to compute it again.

    `charge_nanos` is the amount as priced (with the tax inside where the price is inclusive); `amount_nanos`
    is net of tax, and is what adds up to the invoice's lines. `key` names the item and segment; the charge
    for a key is cumulative: `rated_quantity` is the quantity so far, `billed_nanos` what earlier lines took
    of its charge, and `quantity` and `charge_nanos` are what this line adds. `is_billed` says that the line
    counts as billed: true from finalisation on, until the invoice is void with its amounts to be billed
    again.
    """

    id = id_field()
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    key = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001 (null: not computed, never unique)
    kind = enum_field(LineKind)
    position = models.PositiveIntegerField()
    description = models.CharField(max_length=500)
    quantity = QuantityField(null=True, blank=True)
    unit = models.CharField(max_length=64, blank=True, default="")
    unit_amount_nanos = NanosField(null=True, blank=True)
    charge_nanos = NanosField()
    amount_nanos = NanosField()
    gross_nanos = NanosField(null=True, blank=True)
    tax_behavior = enum_field(TaxBehavior, default=TaxBehavior.EXCLUSIVE)
    tax_category = models.CharField(max_length=64, blank=True, default="")
    subscription = models.ForeignKey(
        Subscription, null=True, blank=True, on_delete=models.PROTECT, related_name="invoice_lines"
    )
    segment = models.ForeignKey(
        Segment, null=True, blank=True, on_delete=models.PROTECT, related_name="invoice_lines"
    )
    item = models.ForeignKey(
        SubscriptionItem, null=True, blank=True, on_delete=models.PROTECT, related_name="invoice_lines"
    )
    sku = models.ForeignKey(
        Sku, null=True, blank=True, on_delete=models.PROTECT, related_name="invoice_lines"
    )
    meter = models.ForeignKey(
        Meter, null=True, blank=True, on_delete=models.PROTECT, related_name="invoice_lines"
    )
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    rated_quantity = QuantityField(null=True, blank=True)
    late_quantity = QuantityField(null=True, blank=True)
    billed_nanos = NanosField(default=0)
    steps = models.JSONField(default=list, blank=True)
    is_billed = models.BooleanField(default=False)

    if TYPE_CHECKING:
        invoice_id: UUID
        subscription_id: UUID | None
        segment_id: UUID | None
        item_id: UUID | None
        sku_id: UUID | None
        meter_id: UUID | None

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "key"], name="line_key_is_unique_in_invoice"),
            models.UniqueConstraint(
                fields=["item", "segment"],
                condition=Q(kind=LineKind.ADVANCE_FEE, is_billed=True),
                name="line_has_one_advance_fee_per_item_and_segment",
            ),
            choice_constraint(table="line", field="kind", choices=LineKind),
            models.CheckConstraint(
                condition=Q(kind__in=[LineKind.MANUAL, LineKind.BALANCING], key__isnull=True)
                | (
                    Q(kind__in=[LineKind.USAGE, LineKind.FEE, LineKind.ADVANCE_FEE])
                    & Q(key__isnull=False, item__isnull=False, segment__isnull=False)
                ),
                name="line_has_a_key_iff_computed",
            ),
            models.CheckConstraint(
                condition=Q(tax_behavior=TaxBehavior.INCLUSIVE) | Q(amount_nanos=F("charge_nanos")),
                name="line_is_net_unless_tax_is_inside",
            ),
        ]
        indexes = [
            models.Index(fields=["segment", "item"], name="line_billed", condition=Q(is_billed=True)),
        ]
        triggers = [
            *frozen_with_invoice(except_fields=("is_billed",)),
            agrees_with_invoice(f"NEW.is_billed = {COUNTS_AS_BILLED}"),
        ]

    def __str__(self) -> str:
        return self.description


class InvoiceTax(models.Model):
    """The tax at one rate on the lines that are stated before tax, or on those with the tax inside.

    `rate` is a fraction: 0.2 is 20 %. `base_nanos` is net of this tax in both cases.
    """

    id = id_field()
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="taxes")
    position = models.PositiveIntegerField()
    code = models.CharField(max_length=64)
    jurisdiction = models.CharField(max_length=64, blank=True, default="")
    description = models.CharField(max_length=200)
    rate = QuantityField()
    tax_behavior = enum_field(TaxBehavior)
    base_nanos = NanosField()
    amount_nanos = NanosField()
    legal_text = models.TextField(blank=True, default="")

    class Meta:
        verbose_name_plural = "invoice taxes"
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="invoicetax_position_is_unique"),
            choice_constraint(table="invoicetax", field="tax_behavior", choices=TaxBehavior),
            models.CheckConstraint(condition=Q(rate__gte=0), name="invoicetax_rate_is_not_negative"),
        ]
        triggers = [*frozen_with_invoice()]

    def __str__(self) -> str:
        return self.description
