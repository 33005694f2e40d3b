"""Doing all that is due on one subscription: the loop of a bill run, and of nothing else."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from customers.locks import lock_customer
from invoicing.invoices.operations import TaxNotAssessed, finalize_invoice
from invoicing.models import Invoice
from invoicing.runs.billing import bill_period, bill_period_start
from invoicing.runs.finalization import ensure_tax
from invoicing.runs.settling import close_ended_period, settle_with, write_closing_draft
from subscriptions.locks import lock_period
from subscriptions.models import Period
from subscriptions.operations import roll_subscription, set_period_due
from subscriptions.queries import find_due_period, get_subscription

# How often a Draft takes up new usage while its grace runs; it does so once more when the period closes.
DRAFT_REFRESH = timedelta(minutes=15)
TAX_RETRY = timedelta(minutes=10)
# Beyond this, a daily subscription that began years ago goes on in the next run.
STEP_LIMIT = 2_000


def run_subscription(*, subscription_id: UUID, at: datetime, actor: Actor) -> Sequence[Invoice]:
    """Do all that is due on a subscription at `at`, in order of periods; return the invoices made final.

    Not a transaction: it is a series of them, each of which leaves the subscription in order. Running it
    again, or on two workers at once, changes nothing.
    """
    roll_subscription(subscription_id=subscription_id, at=at, actor=actor)
    invoices: list[Invoice] = []
    for _ in range(STEP_LIMIT):
        period = find_due_period(subscription_id=subscription_id, at=at)
        if period is None:
            break
        invoices.extend(_do_next_step(period, at=at, actor=actor))
    return invoices


def _do_next_step(period: Period, *, at: datetime, actor: Actor) -> Sequence[Invoice]:
    """Do what the period needs next, and put its next due instant behind `at`, or settle it."""
    try:
        invoices = [*_start(period, at=at, actor=actor)]
        if at < period.ends_at:
            _schedule(period, due_at=period.ends_at)
        elif period.is_open and at < period.closes_at:
            bill_period(subscription_id=period.subscription_id, period_id=period.pk, at=at, actor=actor)
            _schedule(period, due_at=min(period.closes_at, at + DRAFT_REFRESH))
        else:
            close_ended_period(period_id=period.pk, at=at, actor=actor)
            invoices += _settle(period, at=at, actor=actor)
    except TaxNotAssessed:
        _schedule(period, due_at=at + TAX_RETRY)
        return []
    return invoices


def _start(period: Period, *, at: datetime, actor: Actor) -> Sequence[Invoice]:
    """Bill the first fees in advance, if the plan has any and they are not billed yet."""
    if period.number:
        return []
    draft = bill_period_start(period_id=period.pk, at=at, actor=actor)
    if draft is None:
        return []
    ensure_tax(invoice_id=draft.pk, at=at, actor=actor)
    return [finalize_invoice(invoice_id=draft.pk, at=at, actor=actor)]


def _settle(period: Period, *, at: datetime, actor: Actor) -> Sequence[Invoice]:
    draft = write_closing_draft(period_id=period.pk, at=at, actor=actor, skip_zero=True)
    if draft is None:
        return []
    ensure_tax(invoice_id=draft.pk, at=at, actor=actor)
    return [settle_with(invoice_id=draft.pk, period_id=period.pk, at=at, actor=actor)]


@transaction.atomic
def _schedule(period: Period, *, due_at: datetime) -> None:
    lock_customer(get_subscription(period.subscription_id).customer_id)
    if lock_period(period.pk).settled_at is None:
        set_period_due(period_id=period.pk, due_at=due_at)
