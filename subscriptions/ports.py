"""What subscriptions ask of the app above them, which supplies it in `AppConfig.ready()`.

A change of a subscription is made here; what it comes to in money is invoicing's to say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from subscriptions.models import Period, Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveLine:
    """A line of an invoice, before tax unless the price has it inside."""

    key: str
    description: str
    quantity: Decimal | None
    amount_nanos: int
    period_start: datetime | None
    period_end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveInvoice:
    """An invoice as it would be, were there no further usage."""

    lines: tuple[MoveLine, ...]
    subtotal_nanos: int
    tax_nanos: int
    total_nanos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceEffect:
    """The invoice of a period's end, without the move and with it."""

    period: Period
    before: MoveInvoice
    after: MoveInvoice

    @property
    def difference_nanos(self) -> int:
        """Return how much more there would be to pay; below zero, how much less."""
        return self.after.total_nanos - self.before.total_nanos

    @property
    def changed_lines(self) -> tuple[MoveLine, ...]:
        """List the lines that the move adds, or makes different."""
        return tuple(line for line in self.after.lines if line not in self.before.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePreview:
    """What a move would do: the subscription after it, the invoices to come, and what a further period costs.

    The invoices are those of the current period and of earlier ones that are still to be billed. The fees are
    those of the whole next period, without what was billed of them; there are none after the end.
    """

    subscription: Subscription
    invoices: tuple[InvoiceEffect, ...]
    fees_before: tuple[MoveLine, ...]
    fees_after: tuple[MoveLine, ...]


class PreviewMove(Protocol):
    """A way to tell what a move comes to: it is made, the invoices are computed, and all is taken back."""

    def __call__(
        self, move: Callable[[], Subscription], /, *, subscription_id: UUID, at: datetime
    ) -> MovePreview:
        """Preview a move of a subscription. What the move raises is raised."""


_SUPPLIED: list[PreviewMove] = []


def supply_move_preview(preview: PreviewMove) -> None:
    """Have an app above tell what moves come to; there is one that does."""
    assert _SUPPLIED in ([], [preview]), "another app previews moves"
    _SUPPLIED[:] = [preview]


def preview_move(move: Callable[[], Subscription], *, subscription_id: UUID, at: datetime) -> MovePreview:
    """Tell what a move of a subscription would come to; change nothing. `at` is the customer's time."""
    (preview,) = _SUPPLIED
    return preview(move, subscription_id=subscription_id, at=at)
