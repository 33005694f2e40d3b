"""Makers of invoices, and of the subscriptions that they bill."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing_project.core.seller import update_seller
from customers.locks import lock_customer
from invoicing.invoices.operations import DraftCoverage, finalize_invoice, write_draft
from invoicing.invoices.taxation import assess_tax
from invoicing.models import Invoice, InvoiceReason
from invoicing.rating.items import RatingKind
from invoicing.rating.lines import RatedLine
from subscriptions.models import Period, Segment, Subscription, SubscriptionItem
from subscriptions.operations import close_period
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.subscriptions import subscribe

DOLLAR = 10**12
CENT = 10**10


@dataclass(frozen=True)
class Contract:
    """A subscription with one metered SKU, and its first period."""

    subscription: Subscription
    period: Period
    segment: Segment
    item: SubscriptionItem

    @property
    def key(self) -> str:
        """Return the key of the SKU's usage lines."""
        return f"{self.item.pk}:{self.segment.pk}"


def make_contract(*, currency: str = "USD", **subscription: Any) -> Contract:
    """Subscribe a customer to a plan with one metered SKU; the arguments are those of `subscribe`."""
    plan = make_plan()
    make_sku(plan, currency=currency)
    made = subscribe(plan=plan, currency=currency, **subscription)
    period = made.periods.get(number=0)
    return Contract(subscription=made, period=period, segment=period.segments.get(), item=made.items.get())


def make_coverage(contract: Contract, *, reason: InvoiceReason = InvoiceReason.ON_DEMAND) -> DraftCoverage:
    """Say that an invoice covers the first period of a contract."""
    return DraftCoverage(
        customer_id=contract.subscription.customer_id,
        subscription_id=contract.subscription.pk,
        period_id=contract.period.pk,
        reason=reason,
        currency=contract.subscription.currency,
        period_start=contract.period.starts_at,
        period_end=contract.period.ends_at,
    )


def make_line(contract: Contract, charge_nanos: int = 5 * DOLLAR, **changes: Any) -> RatedLine:
    """Rate a line of the contract's usage."""
    values: dict[str, Any] = {
        "key": contract.key,
        "kind": RatingKind.USAGE,
        "item_id": contract.item.pk,
        "sku_id": contract.item.sku_id,
        "meter_id": None,
        "segment_id": contract.segment.pk,
        "subscription_id": contract.subscription.pk,
        "description": "Input Tokens",
        "quantity": Decimal(100),
        "unit": "token",
        "unit_amount_nanos": charge_nanos // 100,
        "charge_nanos": charge_nanos,
        "tax_behavior": "Exclusive",
        "tax_category": "",
        "period_start": contract.period.starts_at,
        "period_end": contract.period.ends_at,
        "rated_quantity": Decimal(100),
        "late_quantity": Decimal(0),
        "billed_nanos": 0,
        "steps": ({"key": "units", "amount_nanos": str(charge_nanos)},),
    }
    return RatedLine(**values | changes)


@transaction.atomic
def write(
    contract: Contract,
    *lines: RatedLine,
    reason: InvoiceReason = InvoiceReason.ON_DEMAND,
    at: datetime = NOON,
) -> Invoice:
    """Write the Draft of a contract's first period, as the runs do."""
    lock_customer(contract.subscription.customer_id)
    invoice, _ = write_draft(
        coverage=make_coverage(contract, reason=reason), lines=lines, at=at, actor=TESTER
    )
    return invoice


def make_draft(
    contract: Contract | None = None,
    *,
    charges: Sequence[int] = (5 * DOLLAR,),
    tax_behavior: str = "Exclusive",
    reason: InvoiceReason = InvoiceReason.ON_DEMAND,
    at: datetime = NOON,
) -> Invoice:
    """Write a Draft whose lines charge these amounts."""
    contract = contract or make_contract()
    lines = [
        make_line(contract, charge, key=f"{contract.key}:{number}", tax_behavior=tax_behavior)
        for number, charge in enumerate(charges)
    ]
    return write(contract, *lines, reason=reason, at=at)


def finalize(invoice: Invoice, *, at: datetime = NOON) -> Invoice:
    """Have the tax of a Draft assessed, and make it final."""
    assess_tax(invoice_id=invoice.pk, at=at, actor=TESTER)
    return finalize_invoice(invoice_id=invoice.pk, at=at, actor=TESTER)


def make_final(contract: Contract | None = None, *, at: datetime = NOON, **draft: Any) -> Invoice:
    """Make a final invoice; the arguments are those of `make_draft`."""
    return finalize(make_draft(contract, at=at, **draft), at=at)


def close(contract: Contract) -> datetime:
    """Close the first period of a contract at its end, and return when that was."""
    closed_at = contract.period.ends_at + timedelta(hours=1)
    close_period(period_id=contract.period.pk, at=closed_at, actor=TESTER)
    return closed_at


def tax_all(*, bps: int = 2_000) -> None:
    """Let the seller tax everything at one rate."""
    values = {"tax_engine": "FlatRate", "tax_flat_rate_bps": bps}
    update_seller(values=values, at=NOON, actor=TESTER)
