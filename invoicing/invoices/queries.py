"""Reading invoices, and what of a period is on them already."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet, Sum

from invoicing.locks import InvoiceNotFound
from invoicing.models import (
    Invoice,
    InvoiceCoverage,
    InvoiceLine,
    InvoiceReason,
    InvoiceStatus,
    InvoiceTax,
    InvoiceType,
    LineKind,
)


@dataclass(frozen=True, slots=True)
class BilledSoFar:
    """What was billed for one key: the charge, its quantity, and the late part of that.

    `forgiven_nanos` is the part of the charge that is on void invoices, and counts as billed all the same.
    """

    charge_nanos: int
    quantity: Decimal
    late_quantity: Decimal = Decimal(0)
    forgiven_nanos: int = 0


def get_invoice(invoice_id: UUID) -> Invoice:
    """Read an invoice.

    Raises: InvoiceNotFound.
    """
    invoice = Invoice.objects.filter(pk=invoice_id).first()
    if invoice is None:
        raise InvoiceNotFound(f"There is no invoice {invoice_id}.")
    return invoice


def select_documents() -> QuerySet[Invoice]:
    """Select invoices so that each comes with its lines and tax rows, in a constant number of queries."""
    lines = InvoiceLine.objects.select_related("meter").order_by("position", "pk")
    taxes = InvoiceTax.objects.order_by("position")
    return Invoice.objects.prefetch_related(Prefetch("lines", lines), Prefetch("taxes", taxes))


def get_document(invoice_id: UUID) -> Invoice:
    """Read an invoice with its lines and tax rows.

    Raises: InvoiceNotFound.
    """
    invoice = select_documents().filter(pk=invoice_id).first()
    if invoice is None:
        raise InvoiceNotFound(f"There is no invoice {invoice_id}.")
    return invoice


def list_lines(invoice_id: UUID) -> list[InvoiceLine]:
    """Read the lines of an invoice in their order."""
    return list(InvoiceLine.objects.filter(invoice_id=invoice_id).order_by("position", "pk"))


def has_manual_lines(invoice_id: UUID) -> bool:
    """Tell whether staff have put lines of their own on an invoice."""
    return InvoiceLine.objects.filter(invoice_id=invoice_id, kind=LineKind.MANUAL).exists()


def find_period_draft(*, subscription_id: UUID, period_id: UUID) -> Invoice | None:
    """Find the Draft of what is used and owed in a period; there is at most one."""
    return (
        _select_period_drafts(subscription_id, period_id).exclude(reason=InvoiceReason.PERIOD_START).first()
    )


def find_start_draft(*, subscription_id: UUID, period_id: UUID) -> Invoice | None:
    """Find the Draft of the fees with which a subscription starts; there is at most one."""
    return _select_period_drafts(subscription_id, period_id).filter(reason=InvoiceReason.PERIOD_START).first()


def _select_period_drafts(subscription_id: UUID, period_id: UUID) -> QuerySet[Invoice]:
    return Invoice.objects.filter(
        status=InvoiceStatus.DRAFT,
        invoice_type=InvoiceType.STANDARD,
        coverage__subscription_id=subscription_id,
        coverage__period_id=period_id,
    )


def is_period_billed(*, period_id: UUID, reason: InvoiceReason) -> bool:
    """Tell whether a final invoice for this reason covers a period, and is not void."""
    return InvoiceCoverage.objects.filter(
        period_id=period_id, reason=reason, invoice_type=InvoiceType.STANDARD, is_draft=False, is_void=False
    ).exists()


def read_billed(*, segment_ids: Collection[UUID]) -> Mapping[str, BilledSoFar]:
    """Read what was billed in segments, by key: the sums of the lines that count as billed."""
    billed = (
        InvoiceLine.objects.filter(segment_id__in=segment_ids, is_billed=True, key__isnull=False)
        .order_by()
        .values("key")
        .annotate(
            charges=Sum("charge_nanos"),
            quantities=Sum("quantity"),
            late_quantities=Sum("late_quantity"),
            forgiven=Sum("charge_nanos", filter=Q(invoice__status=InvoiceStatus.VOID)),
        )
    )
    return {
        str(row["key"]): BilledSoFar(
            charge_nanos=int(row["charges"]),
            quantity=row["quantities"] or Decimal(0),
            late_quantity=row["late_quantities"] or Decimal(0),
            forgiven_nanos=int(row["forgiven"] or 0),
        )
        for row in billed
    }


def read_carried_nanos(*, period_id: UUID | None) -> int:
    """Read the rounding that a period's next invoice carries: that of its final ones that are not void."""
    if period_id is None:
        return 0
    earlier = Invoice.objects.filter(period_id=period_id, invoice_type=InvoiceType.STANDARD).exclude(
        status__in=[InvoiceStatus.DRAFT, InvoiceStatus.VOID]
    )
    return int(earlier.aggregate(carried=Sum("carry_nanos"))["carried"] or 0)


def list_covered_period_ids(invoice_id: UUID) -> list[UUID]:
    """Read which periods an invoice covers, in the order in which they are locked."""
    covered = InvoiceCoverage.objects.filter(invoice_id=invoice_id).order_by("period_id")
    return list(covered.values_list("period_id", flat=True))
