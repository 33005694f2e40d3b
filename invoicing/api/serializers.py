"""What the API reads and shows of invoices, payments and bill runs."""

from datetime import date
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_project.core.api.fields import (
    EnumField,
    NanosField,
    QuantityField,
    UtcDateTimeField,
    format_instant,
    format_quantity,
)
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from billing_project.core.periods import local_date
from catalog.models import TaxBehavior
from invoicing.invoices.operations.manual_lines import MANUAL_LINES_LIMIT
from invoicing.models import BillRun, BillRunItem, Invoice, InvoiceLine, InvoiceTax, Payment, VoidOutcome
from invoicing.runs.previews import InvoicePreview

Json = dict[str, Any]


class StepSerializer(serializers.Serializer[Any]):
    """One part of how the amount of a line came about."""

    key = serializers.CharField()
    description = serializers.CharField()
    quantity = QuantityField()
    unit_amount_nanos = NanosField()
    amount_nanos = NanosField()


class LineItemSerializer(serializers.Serializer[Any]):
    """A line of an invoice, or a row of tax on it. `meter_id` is the meter's code."""

    id = serializers.UUIDField()
    description = serializers.CharField()
    quantity = QuantityField(allow_null=True)
    unit = serializers.CharField(allow_null=True)
    unit_amount_nanos = NanosField(allow_null=True)
    amount_nanos = NanosField()
    is_tax = serializers.BooleanField()
    subscription_id = serializers.UUIDField(allow_null=True)
    sku_id = serializers.UUIDField(allow_null=True)
    meter_id = serializers.CharField(allow_null=True)
    period_start = UtcDateTimeField(allow_null=True)
    period_end = UtcDateTimeField(allow_null=True)
    late_quantity = QuantityField(allow_null=True)
    steps = StepSerializer(many=True)


class TaxLineItemSerializer(serializers.Serializer[Any]):
    """All the tax on an invoice, as one line."""

    description = serializers.CharField()
    amount_nanos = NanosField()
    is_tax = serializers.BooleanField()


def show_line(line: InvoiceLine) -> Json:
    """Write a line as `LineItemSerializer` describes it."""
    return {
        "id": str(line.pk),
        "description": line.description,
        "quantity": None if line.quantity is None else format_quantity(line.quantity),
        "unit": line.unit or None,
        "unit_amount_nanos": None if line.unit_amount_nanos is None else str(line.unit_amount_nanos),
        "amount_nanos": str(line.amount_nanos),
        "is_tax": False,
        "subscription_id": line.subscription_id and str(line.subscription_id),
        "sku_id": line.sku_id and str(line.sku_id),
        "meter_id": line.meter and line.meter.code,
        "period_start": line.period_start and format_instant(line.period_start),
        "period_end": line.period_end and format_instant(line.period_end),
        "late_quantity": format_quantity(line.late_quantity) if line.late_quantity else None,
        "steps": line.steps,
    }


def show_tax(tax: InvoiceTax) -> Json:
    """Write a row of tax as `LineItemSerializer` describes it."""
    return {
        "id": str(tax.pk),
        "description": tax.description,
        "quantity": None,
        "unit": None,
        "unit_amount_nanos": None,
        "amount_nanos": str(tax.amount_nanos),
        "is_tax": True,
        "subscription_id": None,
        "sku_id": None,
        "meter_id": None,
        "period_start": None,
        "period_end": None,
        "late_quantity": None,
        "steps": [],
    }


class InvoiceSerializer(OutputSerializer[Invoice]):
    """An invoice with its lines and tax rows: line amounts + rounding + tax = total.

    `subscription_id` and the period are null where it covers several.
    """

    issued_at = UtcDateTimeField(source="finalized_at", allow_null=True)
    due_date = serializers.SerializerMethodField()
    applies_to_invoice_id = serializers.UUIDField(source="applies_to_id", allow_null=True)
    voided_reason = serializers.SerializerMethodField()
    line_items = serializers.SerializerMethodField()

    class Meta:
        model = Invoice
        fields = [
            "id",
            "invoice_number",
            "invoice_type",
            "reason",
            "status",
            "tax_status",
            "customer_id",
            "subscription_id",
            "currency",
            "period_start",
            "period_end",
            "issued_at",
            "due_date",
            "finalized_at",
            "subtotal_nanos",
            "rounding_nanos",
            "tax_nanos",
            "total_nanos",
            "credit_nanos",
            "amount_due_nanos",
            "amount_paid_nanos",
            "applies_to_invoice_id",
            "voided_reason",
            "line_items",
        ]

    def get_due_date(self, invoice: Invoice) -> date | None:
        """Return the day by which the invoice is to be paid, where the customer was when it was finalised."""
        if invoice.due_at is None:
            return None
        return local_date(invoice.due_at, timezone=invoice.customer_details["timezone"])

    def get_voided_reason(self, invoice: Invoice) -> str | None:
        """Return why the invoice is void."""
        return invoice.voided_reason or None

    @extend_schema_field(LineItemSerializer(many=True))
    def get_line_items(self, invoice: Invoice) -> list[Json]:
        """Return the lines, and after them the tax."""
        lines = [show_line(line) for line in invoice.lines.all()]
        return [*lines, *(show_tax(tax) for tax in invoice.taxes.all())]


class UpcomingLineItemSerializer(LineItemSerializer):
    """A line that does not exist yet, and so has no id."""

    id = None  # type: ignore[assignment]  # How DRF leaves out a field of the parent.


class UpcomingInvoiceSerializer(InvoiceSerializer):
    """An invoice that does not exist yet: neither it nor its lines have an id."""

    class Meta(InvoiceSerializer.Meta):
        fields = [name for name in InvoiceSerializer.Meta.fields if name != "id"]

    def to_representation(self, instance: InvoicePreview) -> Json:  # type: ignore[override]  # What it shows.
        """Write the invoice with the lines and tax rows that come beside it."""
        items = [*map(show_line, instance.lines), *map(show_tax, instance.taxes)]
        for item in items:
            del item["id"]
        return {**super().to_representation(instance.invoice), "line_items": items}

    @extend_schema_field(UpcomingLineItemSerializer(many=True))
    def get_line_items(self, invoice: Invoice) -> list[Json]:  # They are not in the database.
        """Return nothing: the lines come beside the invoice."""
        return []


class TaxedInvoiceSerializer(serializers.Serializer[Any]):
    """What calculating the tax came to. `tax_status` of the invoice is Pending if the tax engine is down."""

    tax_applied = serializers.BooleanField()
    tax_line_item = TaxLineItemSerializer(required=False)
    invoice = InvoiceSerializer()


class PaymentSerializer(OutputSerializer[Payment]):
    """Money that has come in."""

    class Meta:
        model = Payment
        fields = [
            "id",
            "customer_id",
            "invoice_id",
            "provider",
            "status",
            "currency",
            "amount_nanos",
            "reference",
            "received_at",
            "created_at",
        ]


class BillRunSerializer(OutputSerializer[BillRun]):
    """One pass over the subscriptions that were due."""

    class Meta:
        model = BillRun
        fields = ["id", "trigger", "status", "at", "test_clock_id", "completed_at", "created_at"]


class BillRunDetailSerializer(BillRunSerializer):
    """One pass, with the number of its subscriptions by what became of them, and that of its invoices."""

    pending_count = serializers.IntegerField()
    claimed_count = serializers.IntegerField()
    succeeded_count = serializers.IntegerField()
    parked_count = serializers.IntegerField()
    invoice_count = serializers.IntegerField()

    class Meta(BillRunSerializer.Meta):
        fields = [
            *BillRunSerializer.Meta.fields,
            "pending_count",
            "claimed_count",
            "succeeded_count",
            "parked_count",
            "invoice_count",
        ]


class BillRunItemSerializer(OutputSerializer[BillRunItem]):
    """One subscription in a bill run."""

    class Meta:
        model = BillRunItem
        fields = [
            "id",
            "run_id",
            "subscription_id",
            "status",
            "attempts",
            "invoice_count",
            "problem",
            "finished_at",
            "released_at",
            "created_at",
        ]


class EmptyInput(InputSerializer):
    """Nothing needs to be said."""


class ManualLineInput(InputSerializer):
    """A line by hand: an amount, or a quantity and a unit amount."""

    description = serializers.CharField(max_length=500)
    amount_nanos = NanosField(allow_null=True, default=None)
    quantity = QuantityField(allow_null=True, default=None)
    unit = serializers.CharField(max_length=64, allow_blank=True, default="")
    unit_amount_nanos = NanosField(allow_null=True, default=None)
    tax_behavior = EnumField(TaxBehavior, default=TaxBehavior.EXCLUSIVE)
    tax_category = serializers.CharField(max_length=64, allow_blank=True, default="")


class CreateInvoiceInput(InputSerializer):
    """A one-off invoice; in the customer's currency if none is given."""

    customer_id = serializers.UUIDField()
    currency = serializers.CharField(min_length=3, max_length=3, allow_null=True, default=None)
    lines = serializers.ListField(child=ManualLineInput(), min_length=1, max_length=MANUAL_LINES_LIMIT)


class VoidInvoiceInput(InputSerializer):
    """Why an invoice is called off, and what becomes of the amounts that it billed for a closed period."""

    reason = serializers.CharField(max_length=500)
    then = EnumField(VoidOutcome, allow_null=True, default=None)


class RecordPaymentInput(InputSerializer):
    """A payment that has come in; now, if no time is given."""

    amount_nanos = NanosField(min_value=1)
    reference = serializers.CharField(max_length=200, allow_blank=True, default="")
    received_at = UtcDateTimeField(allow_null=True, default=None)


class BillSubscriptionInput(InputSerializer):
    """Which open period to bill; the one that contains now, if none is given."""

    period = serializers.UUIDField(allow_null=True, default=None)


class AdvanceClockInput(InputSerializer):
    """The time that the clock is to go to."""

    to = UtcDateTimeField()
