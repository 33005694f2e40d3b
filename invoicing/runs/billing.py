"""Making and refreshing the Draft of a period."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, NotFound
from catalog.pricing.types import Stage
from customers.locks import lock_customer
from invoicing.invoices.operations import DraftCoverage, write_draft
from invoicing.invoices.queries import is_period_billed
from invoicing.models import Invoice, InvoiceReason
from invoicing.rating.lines import RatedLine, rate_items
from invoicing.runs.composition import compose_corrections, compose_period
from subscriptions.models import Period, Subscription
from subscriptions.operations import roll_subscription
from subscriptions.queries import find_next_period, find_period_at, get_period, get_subscription


class PeriodAlreadyClosed(Conflict):
    """The period is closed; what it owed is on its period-end invoice."""

    code = "period_closed"


class NoPeriodNow(Conflict):
    """The subscription has no period that contains this instant."""

    code = "no_period_now"


@transaction.atomic
def bill_period(
    *, subscription_id: UUID, period_id: UUID | None, at: datetime, actor: Actor
) -> tuple[Invoice, bool]:
    """Make the Draft for an open period, or refresh the one there is; say whether it was made.

    Without `period_id` the period that contains `at` is taken. After the period's end the Draft is its
    period-end invoice, with the next period's fees in advance; before, it bills what has been used so far.

    Raises: NotFound; NoPeriodNow; PeriodAlreadyClosed.
    Locks: slot (shared), customer, subscription, invoice.
    """
    roll_subscription(subscription_id=subscription_id, at=at, actor=actor)
    subscription = get_subscription(subscription_id)
    lock_customer(subscription.customer_id)
    period = _pick_period(subscription, period_id=period_id, at=at)
    if not period.is_open:
        raise PeriodAlreadyClosed(f"Period {period.number} closed at {period.closed_at:%Y-%m-%d %H:%M} UTC.")
    reason = InvoiceReason.PERIOD_END if period.ends_at <= at else InvoiceReason.ON_DEMAND
    return write_period_draft(subscription=subscription, period=period, reason=reason, at=at, actor=actor)


def write_period_draft(
    *, subscription: Subscription, period: Period, reason: InvoiceReason, at: datetime, actor: Actor
) -> tuple[Invoice, bool]:
    """Rate a period and write the lines to its Draft. The caller holds the customer's lock."""
    return write_draft(
        coverage=DraftCoverage(
            customer_id=subscription.customer_id,
            subscription_id=subscription.pk,
            period_id=period.pk,
            reason=reason,
            currency=subscription.currency,
            period_start=period.starts_at,
            period_end=period.ends_at,
        ),
        lines=rate_period(subscription=subscription, period=period, reason=reason, at=at),
        at=at,
        actor=actor,
    )


def rate_period(
    *, subscription: Subscription, period: Period, reason: InvoiceReason, at: datetime
) -> tuple[RatedLine, ...]:
    """Rate a period for one reason; the same for a bill and for its preview.

    A final bill that is computed before the end takes levels to stay as they are until then.

    A closed period that already has its period-end invoice is rated in full again, less what was billed: that
    is how usage that came after the end of a subscription, or the lines of a void invoice, get billed.

    The subscription's next invoice also sets right what was billed for earlier periods, where their usage has
    been corrected since.
    """
    advance_period = _advance_period(period=period, reason=reason)
    is_final = reason == InvoiceReason.PERIOD_END or not period.is_open
    stage = Stage.FINAL if is_final else Stage.IN_PROGRESS
    composition = compose_period(
        customer_id=subscription.customer_id,
        period=period,
        advance_period=advance_period,
        stage=stage,
        at=max(at, period.ends_at) if is_final else at,
    )
    advance = rate_items(composition.advance, stage=Stage.FINAL)
    if reason == InvoiceReason.PERIOD_START:
        return advance
    arrears = rate_items(composition.arrears, stage=stage)
    corrections = compose_corrections(customer_id=subscription.customer_id, period=period, at=at)
    corrected = [line for line in rate_items(corrections, stage=Stage.FINAL) if line.charge_nanos]
    return (*arrears, *corrected, *advance)


@transaction.atomic
def bill_period_start(*, period_id: UUID, at: datetime, actor: Actor) -> Invoice | None:
    """Make the Draft of the first fees in advance; None where the plan has none, or they are billed.

    Locks: customer, invoice.
    """
    subscription = get_subscription(get_period(period_id).subscription_id)
    lock_customer(subscription.customer_id)
    period = get_period(period_id)
    assert period.number == 0
    if period.is_trial or is_period_billed(period_id=period.pk, reason=InvoiceReason.PERIOD_START):
        return None
    lines = rate_period(subscription=subscription, period=period, reason=InvoiceReason.PERIOD_START, at=at)
    if not any(line.charge_nanos for line in lines):
        return None
    invoice, _ = write_period_draft(
        subscription=subscription, period=period, reason=InvoiceReason.PERIOD_START, at=at, actor=actor
    )
    return invoice


def _advance_period(*, period: Period, reason: InvoiceReason) -> Period | None:
    """Tell whose fees in advance belong on the invoice: nobody's on an on-demand one."""
    if reason == InvoiceReason.PERIOD_START:
        return period
    if reason == InvoiceReason.PERIOD_END:
        return find_next_period(period)
    return None


def _pick_period(subscription: Subscription, *, period_id: UUID | None, at: datetime) -> Period:
    if period_id is None:
        period = find_period_at(subscription_id=subscription.pk, at=at)
        if period is None:
            raise NoPeriodNow("The subscription has no period now; name an earlier open one in `period`.")
        return period
    period = get_period(period_id)
    if period.subscription_id != subscription.pk:
        raise NotFound(f"Period {period_id} is not one of subscription {subscription.pk}.")
    return period
