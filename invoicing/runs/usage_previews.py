"""What correcting usage would do to the bills: the same code, in a transaction that is rolled back."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core.actors import Actor
from invoicing.invoices.queries import is_period_billed
from invoicing.models import InvoiceReason
from invoicing.rating.items import RatingKind
from invoicing.runs.billing import rate_period
from metering.operations import (
    MatchPreview,
    UsageEffect,
    VoidPreview,
    match_selected_events,
    preview_match,
    preview_void,
    void_events,
)
from metering.queries.corrections import EventSelection
from subscriptions.models import Period, Subscription
from subscriptions.operations import ensure_periods


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeEffect:
    """What is still to be billed to a subscription for usage, before tax, as it is and as it would be.

    That is what its coming invoices would ask for, were there no further usage. Below zero, it is a credit.
    """

    subscription: Subscription
    before_nanos: int
    after_nanos: int

    @property
    def difference_nanos(self) -> int:
        """Return what the customer would be charged more; below zero, what is given back."""
        return self.after_nanos - self.before_nanos


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedVoidPreview:
    """What taking events back would do to the usage, and to what is billed for it."""

    usage: VoidPreview
    charges: tuple[ChargeEffect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedMatchPreview:
    """What giving unmatched events to a subscription would do to its usage, and to what is billed for it."""

    usage: MatchPreview
    charges: tuple[ChargeEffect, ...]


@transaction.atomic
def preview_priced_void(*, selection: EventSelection, at: datetime, actor: Actor) -> PricedVoidPreview:
    """Tell what taking events back would change in each period and on the bills; change nothing.

    Raises: as `metering.operations.preview_void`; MeterFilling.
    Locks: slots (exclusive), until it is rolled back.
    """
    preview = preview_void(selection=selection, at=at, actor=actor)

    def void() -> None:
        void_events(selection=selection, reason="Preview", at=at, actor=actor)

    return PricedVoidPreview(usage=preview, charges=_price(preview.effects, void, at=at))


@transaction.atomic
def preview_priced_match(
    *, selection: EventSelection, subscription_id: UUID, at: datetime, actor: Actor
) -> PricedMatchPreview:
    """Tell what giving unmatched events to a subscription would change; change nothing.

    Raises: as `metering.operations.preview_match`; MeterFilling.
    Locks: slots (exclusive), until it is rolled back.
    """
    preview = preview_match(selection=selection, subscription_id=subscription_id, at=at, actor=actor)

    def match() -> None:
        match_selected_events(
            selection=selection, subscription_id=subscription_id, reason="Preview", at=at, actor=actor
        )

    return PricedMatchPreview(usage=preview, charges=_price(preview.effects, match, at=at))


def _price(
    effects: Sequence[UsageEffect], act: Callable[[], None], *, at: datetime
) -> tuple[ChargeEffect, ...]:
    """Rate what subscriptions have still to be billed for, before an act and after; undo everything."""
    subscription_ids = {effect.period.subscription_id for effect in effects}
    ensure_periods(subscription_ids=subscription_ids, until=at)
    before = _rate_all(subscription_ids, at=at)
    act()
    after = _rate_all(subscription_ids, at=at)
    subscriptions = Subscription.objects.in_bulk(list(subscription_ids))
    transaction.set_rollback(True)
    return tuple(
        ChargeEffect(
            subscription=subscriptions[subscription_id],
            before_nanos=before[subscription_id],
            after_nanos=after[subscription_id],
        )
        for subscription_id in sorted(subscription_ids)
    )


def _rate_all(subscription_ids: Collection[UUID], *, at: datetime) -> dict[UUID, int]:
    subscriptions = Subscription.objects.filter(pk__in=subscription_ids)
    return {subscription.pk: _rate(subscription, at=at) for subscription in subscriptions}


def _rate(subscription: Subscription, *, at: datetime) -> int:
    """Add up what the periods that are not settled yet have still to ask for.

    Where all are, that is the last one, which would be settled once more.
    """
    periods = Period.objects.filter(subscription=subscription).order_by("number")
    coming = list(periods.filter(settled_at__isnull=True)) or list(periods.reverse()[:1])
    return sum(
        line.charge_nanos
        for period in coming
        for line in rate_period(
            subscription=subscription, period=period, reason=_choose_reason(period), at=at
        )
        if line.kind is RatingKind.USAGE
    )


def _choose_reason(period: Period) -> InvoiceReason:
    is_billed = is_period_billed(period_id=period.pk, reason=InvoiceReason.PERIOD_END)
    return InvoiceReason.ON_DEMAND if is_billed else InvoiceReason.PERIOD_END
