"""Operations on invoices: the only code that changes an invoice, its lines, its coverage or its tax rows."""

from invoicing.invoices.drafting import DraftCoverage
from invoicing.invoices.operations.drafts import delete_draft, write_draft
from invoicing.invoices.operations.finalization import TaxNotAssessed, finalize_invoice
from invoicing.invoices.operations.manual_lines import ManualLine, add_line, create_one_off, remove_line
from invoicing.invoices.operations.taxes import apply_tax, mark_tax_pending
from invoicing.invoices.operations.voiding import void_invoice

__all__ = [
    "DraftCoverage",
    "ManualLine",
    "TaxNotAssessed",
    "add_line",
    "apply_tax",
    "create_one_off",
    "delete_draft",
    "finalize_invoice",
    "mark_tax_pending",
    "remove_line",
    "void_invoice",
    "write_draft",
]
