"""What a change of a subscription comes to: the change itself, made in a transaction that is rolled back."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from catalog.pricing.types import Stage
from invoicing.invoices.queries import is_period_billed
from invoicing.models import InvoiceLine, InvoiceReason
from invoicing.rating.lines import RatedLine, rate_items
from invoicing.runs.composition import compose_fees
from invoicing.runs.previews import DraftedInvoice, draft_invoice, total_invoice
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Period, Subscription
from subscriptions.operations import ensure_periods, roll_subscription
from subscriptions.ports import InvoiceEffect, MoveInvoice, MoveLine, MovePreview
from subscriptions.queries import find_next_period, get_period


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What is to come for a subscription: the invoices of some periods, and the fees of the next one."""

    invoices: Sequence[DraftedInvoice]
    fees: Sequence[RatedLine]


def preview_move(move: Callable[[], Subscription], /, *, subscription_id: UUID, at: datetime) -> MovePreview:
    """Tell what a move would do to the invoices to come, and to what a further period costs.

    Raises: NotFound; TaxUnavailable; whatever the move raises.
    Locks: slot (exclusive), customer, subscription, until the lines are computed.
    """
    with transaction.atomic():
        lock_slots_exclusive([subscription_id])  # As the move does, which could not do so after others.
        subscription = roll_subscription(
            subscription_id=subscription_id, at=at, actor=Actor.system("preview")
        )
        period_ids = _list_unbilled(subscription, at=at)
        before = _look_ahead(subscription, period_ids=period_ids, at=at)
        subscription = move()
        after = _look_ahead(subscription, period_ids=period_ids, at=at)
        periods = [get_period(period_id) for period_id in period_ids]
        transaction.set_rollback(True)
    return MovePreview(
        subscription=subscription,
        invoices=tuple(
            InvoiceEffect(period=period, before=_total(old), after=_total(new))
            for period, old, new in zip(periods, before.invoices, after.invoices, strict=True)
        ),
        fees_before=tuple(_write_fees(before.fees)),
        fees_after=tuple(_write_fees(after.fees)),
    )


def _list_unbilled(subscription: Subscription, *, at: datetime) -> list[UUID]:
    """List the periods up to the current one, or to the first, that have an invoice to come."""
    periods = Period.objects.filter(subscription=subscription, settled_at__isnull=True).order_by("number")
    return [period.pk for period in periods if period.number == 0 or period.starts_at <= at]


def _look_ahead(subscription: Subscription, *, period_ids: Sequence[UUID], at: datetime) -> _Outlook:
    invoices = []
    fees: Sequence[RatedLine] = ()
    for period_id in period_ids:
        period = get_period(period_id)
        is_billed = is_period_billed(period_id=period_id, reason=InvoiceReason.PERIOD_END)
        reason = InvoiceReason.ON_DEMAND if is_billed else InvoiceReason.PERIOD_END
        invoices.append(draft_invoice(subscription=subscription, period=period, reason=reason, at=at))
        ensure_periods(subscription_ids=[subscription.pk], until=period.ends_at)
        following = find_next_period(period)
        fees = () if following is None else _rate_fees(subscription, following, at=at)
    return _Outlook(invoices, fees)


def _rate_fees(subscription: Subscription, period: Period, *, at: datetime) -> Sequence[RatedLine]:
    if period.starts_at == period.ends_at:
        return ()  # The subscription ends before it.
    items = compose_fees(customer_id=subscription.customer_id, period=period, at=max(at, period.ends_at))
    return rate_items(items, stage=Stage.FINAL)


def _total(drafted: DraftedInvoice) -> MoveInvoice:
    preview = total_invoice(drafted)
    return MoveInvoice(
        lines=tuple(_write_line(line) for line in preview.lines),
        subtotal_nanos=preview.invoice.subtotal_nanos,
        tax_nanos=preview.invoice.tax_nanos,
        total_nanos=preview.invoice.total_nanos,
    )


def _write_line(line: InvoiceLine) -> MoveLine:
    return MoveLine(
        key=line.key or line.kind,
        description=line.description,
        quantity=line.quantity,
        amount_nanos=line.amount_nanos,
        period_start=line.period_start,
        period_end=line.period_end,
    )


def _write_fees(fees: Iterable[RatedLine]) -> Iterable[MoveLine]:
    return (
        MoveLine(
            key=fee.key,
            description=fee.description,
            quantity=fee.quantity,
            amount_nanos=fee.charge_nanos,
            period_start=fee.period_start,
            period_end=fee.period_end,
        )
        for fee in fees
    )
