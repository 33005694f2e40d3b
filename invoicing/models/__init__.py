"""Models of the invoicing app, a file for each aggregate."""

from invoicing.models.bill_runs import BillRun, BillRunItem, BillRunItemStatus, BillRunStatus, BillRunTrigger
from invoicing.models.invoices import (
    Invoice,
    InvoiceCoverage,
    InvoiceReason,
    InvoiceStatus,
    InvoiceType,
    TaxStatus,
    VoidOutcome,
)
from invoicing.models.lines import InvoiceLine, InvoiceTax, LineKind
from invoicing.models.payments import Payment, PaymentProvider, PaymentStatus

__all__ = [
    "BillRun",
    "BillRunItem",
    "BillRunItemStatus",
    "BillRunStatus",
    "BillRunTrigger",
    "Invoice",
    "InvoiceCoverage",
    "InvoiceLine",
    "InvoiceReason",
    "InvoiceStatus",
    "InvoiceTax",
    "InvoiceType",
    "LineKind",
    "Payment",
    "PaymentProvider",
    "PaymentStatus",
    "TaxStatus",
    "VoidOutcome",
]
