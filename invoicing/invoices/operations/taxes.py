"""The tax on a Draft, as an engine assessed it."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict
from billing_project.core.seller import get_seller
from invoicing.invoices.drafting import build_taxes, read_figures, set_line_totals, total_draft
from invoicing.invoices.queries import list_lines
from invoicing.invoices.states import check_is_draft
from invoicing.invoices.tax_basis import read_tax_basis
from invoicing.locks import lock_invoice
from invoicing.models import Invoice, InvoiceLine, InvoiceTax, TaxStatus
from invoicing.tax.types import TaxAssessment


class TaxBasisChanged(Conflict):
    """What the tax was assessed on is no longer what is on the Draft."""

    code = "tax_basis_changed"


@transaction.atomic
def apply_tax(
    *, invoice_id: UUID, assessment: TaxAssessment, fingerprint: str, at: datetime, actor: Actor
) -> Invoice:
    """Put the assessed tax on a Draft, in place of any there is, if the Draft is still what was assessed.

    Raises: InvoiceNotFound; InvoiceNotDraft; TaxBasisChanged.
    Locks: customer, invoice.
    """
    invoice = lock_invoice(invoice_id)
    check_is_draft(invoice)
    lines = list_lines(invoice.pk)
    basis = read_tax_basis(invoice, lines=lines, seller=get_seller(), at=at)
    if basis.fingerprint != fingerprint:
        raise TaxBasisChanged(f"Draft {invoice_id} has changed since its tax was asked for.")

    totals = total_draft(lines, assessment, currency=invoice.currency, carried_nanos=basis.carried_nanos)
    set_line_totals(lines, totals)
    InvoiceLine.objects.bulk_update(lines, ["amount_nanos", "gross_nanos"])
    InvoiceTax.objects.filter(invoice=invoice).delete()
    InvoiceTax.objects.bulk_create(build_taxes(invoice, assessment, totals))

    values: dict[str, object] = {
        **read_figures(totals),
        "tax_status": TaxStatus.CURRENT,
        "tax_fingerprint": fingerprint,
        "tax_problem": "",
    }
    changes = audit.set_fields(invoice, values)
    if changes:
        invoice.save(update_fields=changes)
        audit.record("invoice.tax_assessed", subject=invoice, changes=changes, actor=actor, at=at)
    return invoice


@transaction.atomic
def mark_tax_pending(*, invoice_id: UUID, problem: str, at: datetime, actor: Actor) -> Invoice:
    """Note on a Draft that its tax engine did not answer; tax that is there already stays until it does.

    Raises: InvoiceNotFound; InvoiceNotDraft.
    Locks: customer, invoice.
    """
    invoice = lock_invoice(invoice_id)
    check_is_draft(invoice)
    changes = audit.set_fields(invoice, {"tax_status": TaxStatus.PENDING, "tax_problem": problem})
    if changes:
        invoice.save(update_fields=changes)
        audit.record("invoice.tax_pending", subject=invoice, changes=changes, actor=actor, at=at)
    return invoice
