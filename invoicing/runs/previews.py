"""Previews: the same code as the bill, in a transaction that is rolled back, and its tax after that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.seller import get_seller
from invoicing.invoices.drafting import build_taxes, read_figures, set_line_totals, total_draft
from invoicing.invoices.queries import list_lines
from invoicing.invoices.tax_basis import TaxBasis, read_tax_basis
from invoicing.models import Invoice, InvoiceLine, InvoiceReason, InvoiceTax
from invoicing.runs.billing import NoPeriodNow, write_period_draft
from subscriptions.models import Period, Subscription
from subscriptions.operations import ensure_periods, roll_subscription
from subscriptions.queries import find_period_at


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePreview:
    """An invoice as it would be, with its lines and tax rows: none of them is in the database."""

    invoice: Invoice
    lines: Sequence[InvoiceLine]
    taxes: Sequence[InvoiceTax]


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftedInvoice:
    """An invoice that was computed in a transaction which is to be rolled back; its tax is still to come."""

    invoice: Invoice
    lines: list[InvoiceLine]
    basis: TaxBasis


def preview_invoice(*, subscription_id: UUID, at: datetime) -> InvoicePreview:
    """Compute the invoice that the current period would end with, were there no further usage; store nothing.

    Raises: NotFound; NoPeriodNow; TaxUnavailable.
    Locks: customer, until the lines are computed.
    """
    with transaction.atomic():
        subscription = roll_subscription(
            subscription_id=subscription_id, at=at, actor=Actor.system("preview")
        )
        period = find_period_at(subscription_id=subscription_id, at=at)
        if period is None:
            raise NoPeriodNow("The subscription has no period now, so there is no invoice to come.")
        drafted = draft_invoice(
            subscription=subscription, period=period, reason=InvoiceReason.PERIOD_END, at=at
        )
        transaction.set_rollback(True)
    return total_invoice(drafted)


def draft_invoice(
    *, subscription: Subscription, period: Period, reason: InvoiceReason, at: datetime
) -> DraftedInvoice:
    """Compute an invoice of a period. The caller holds the subscription's lock, and rolls it all back."""
    ensure_periods(subscription_ids=[subscription.pk], until=period.ends_at)
    invoice, _ = write_period_draft(
        subscription=subscription, period=period, reason=reason, at=at, actor=Actor.system("preview")
    )
    lines = list_lines(invoice.pk)
    basis = read_tax_basis(invoice, lines=lines, seller=get_seller(), at=at)
    return DraftedInvoice(invoice=invoice, lines=lines, basis=basis)


def total_invoice(drafted: DraftedInvoice) -> InvoicePreview:
    """Assess the tax and add it all up. The engine may be somebody else's service: nothing may be locked.

    Raises: TaxUnavailable.
    """
    invoice, lines, basis = drafted.invoice, drafted.lines, drafted.basis
    assessment = basis.assess()
    totals = total_draft(lines, assessment, currency=invoice.currency, carried_nanos=basis.carried_nanos)
    set_line_totals(lines, totals)
    for name, value in read_figures(totals).items():
        setattr(invoice, name, value)
    return InvoicePreview(invoice=invoice, lines=lines, taxes=build_taxes(invoice, assessment, totals))
