"""Settling closed periods: the final bill of what they owe.

Closing is one transaction and billing the fixed usage another, because closing shuts out ingest. Each step
can be repeated, so a crash between two of them is resumed by the next bill run.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.seller import get_seller
from customers.locks import lock_customer
from invoicing.invoices.operations import delete_draft, finalize_invoice
from invoicing.invoices.queries import find_period_draft, get_invoice, has_manual_lines, is_period_billed
from invoicing.models import Invoice, InvoiceReason
from invoicing.rating.lines import RatedLine
from invoicing.runs.billing import rate_period, write_period_draft
from subscriptions.locks import lock_period
from subscriptions.models import Period
from subscriptions.operations import PeriodNotEnded, close_period, settle_period
from subscriptions.queries import get_period, get_subscription


def close_ended_period(*, period_id: UUID, at: datetime, actor: Actor) -> Period:
    """Close a period whose end has come, whether its grace is over or not; one that is closed stays as it is.

    Raises: PeriodNotEnded; EarlierPeriodOpen.
    """
    period = get_period(period_id)
    if not period.is_open:
        return period
    if period.ends_at > at:
        raise PeriodNotEnded(f"Period {period.number} ends at {period.ends_at:%Y-%m-%d %H:%M} UTC.")
    return close_period(period_id=period_id, at=at, actor=actor)


@transaction.atomic
def write_closing_draft(*, period_id: UUID, at: datetime, actor: Actor, skip_zero: bool) -> Invoice | None:
    """Write the last Draft of a closed period; settle it, and return None, where there is nothing to ask for.

    `skip_zero` leaves out an invoice whose every line is zero, where the seller wishes so. A period that
    already has its period-end invoice gets an on-demand one for what has come to be owed since.

    Locks: customer, period, invoice.
    """
    subscription = get_subscription(get_period(period_id).subscription_id)
    lock_customer(subscription.customer_id)
    period = lock_period(period_id)
    assert not period.is_open, f"{period} must be closed first."
    if period.settled_at is not None:
        return None
    has_end_invoice = is_period_billed(period_id=period.pk, reason=InvoiceReason.PERIOD_END)
    reason = InvoiceReason.ON_DEMAND if has_end_invoice else InvoiceReason.PERIOD_END
    lines = rate_period(subscription=subscription, period=period, reason=reason, at=at)
    draft = find_period_draft(subscription_id=subscription.pk, period_id=period.pk)
    if _has_nothing_to_ask_for(lines, draft=draft, skip_zero=skip_zero):
        if draft is not None:
            delete_draft(invoice_id=draft.pk, at=at, actor=actor)
        settle_period(period_id=period.pk, at=at, actor=actor)
        return None
    invoice, _ = write_period_draft(
        subscription=subscription, period=period, reason=reason, at=at, actor=actor
    )
    return invoice


@transaction.atomic
def settle_with(*, invoice_id: UUID, period_id: UUID, at: datetime, actor: Actor) -> Invoice:
    """Make the last invoice of a period final and the period settled, with no crash possible in between.

    Locks: customer, period, invoice, number sequence.
    """
    lock_customer(get_invoice(invoice_id).customer_id)
    settle_period(period_id=period_id, at=at, actor=actor)
    return finalize_invoice(invoice_id=invoice_id, at=at, actor=actor)


def _has_nothing_to_ask_for(lines: Sequence[RatedLine], *, draft: Invoice | None, skip_zero: bool) -> bool:
    if any(line.charge_nanos for line in lines) or (draft is not None and has_manual_lines(draft.pk)):
        return False
    return not lines or (skip_zero and get_seller().skip_zero_invoices)
