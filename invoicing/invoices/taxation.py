"""Having tax assessed: the question is read, the engine asked with nothing locked, the answer written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing_project.core.actors import Actor
from billing_project.core.errors import Busy
from billing_project.core.seller import get_seller
from invoicing.invoices.operations import apply_tax, mark_tax_pending
from invoicing.invoices.operations.taxes import TaxBasisChanged
from invoicing.invoices.queries import get_invoice, list_lines
from invoicing.invoices.states import check_is_draft
from invoicing.invoices.tax_basis import read_tax_basis
from invoicing.models import Invoice, InvoiceTax, TaxStatus
from invoicing.tax.types import TaxUnavailable

ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxOutcome:
    """What came of it: the Draft, whose `tax_status` is Current or Pending, and its tax rows."""

    invoice: Invoice
    taxes: Sequence[InvoiceTax]

    @property
    def is_pending(self) -> bool:
        """Whether the engine did not answer."""
        return bool(self.invoice.tax_status == TaxStatus.PENDING)


def assess_tax(*, invoice_id: UUID, at: datetime, actor: Actor) -> TaxOutcome:
    """Have the tax of a Draft assessed by the seller's engine, and put it in place of what was there.

    Not a transaction, since it may wait for somebody else's service. An engine that is down makes the tax
    pending, which shows on the Draft. A Draft that changes while the engine thinks is asked about again.

    Raises: InvoiceNotFound; InvoiceNotDraft; UnknownTaxEngine; Busy if the Draft keeps changing.
    """
    for _ in range(ATTEMPTS):
        invoice = get_invoice(invoice_id)
        check_is_draft(invoice)
        basis = read_tax_basis(invoice, lines=list_lines(invoice_id), seller=get_seller(), at=at)
        try:
            assessment = basis.assess()
        except TaxUnavailable as error:
            invoice = mark_tax_pending(invoice_id=invoice_id, problem=error.detail, at=at, actor=actor)
            return TaxOutcome(invoice=invoice, taxes=())
        try:
            invoice = apply_tax(
                invoice_id=invoice_id,
                assessment=assessment,
                fingerprint=basis.fingerprint,
                at=at,
                actor=actor,
            )
        except TaxBasisChanged:
            continue
        return TaxOutcome(invoice=invoice, taxes=tuple(invoice.taxes.order_by("position")))
    raise Busy(f"Draft {invoice_id} kept changing while its tax was assessed.")
