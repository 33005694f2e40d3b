"""Previews: the same code as the bill, in a transaction that is rolled back."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import prefetch_related_objects

from billing_project.core.actors import Actor
from invoicing.models import Invoice, InvoiceReason
from invoicing.runs.billing import NoPeriodNow, write_period_draft
from subscriptions.operations import ensure_periods, roll_subscription
from subscriptions.queries import find_period_at


def preview_invoice(*, subscription_id: UUID, at: datetime) -> Invoice:
    """Compute the invoice that the current period would end with, were there no further usage; store nothing.

    The row that is returned is not in the database; its lines and taxes are loaded.

    Raises: NotFound; NoPeriodNow.
    """
    actor = Actor.system("preview")
    with transaction.atomic():
        subscription = roll_subscription(subscription_id=subscription_id, at=at, actor=actor)
        period = find_period_at(subscription_id=subscription_id, at=at)
        if period is None:
            raise NoPeriodNow("The subscription has no period now, so there is no invoice to come.")
        ensure_periods(subscription_ids=[subscription_id], until=period.ends_at)
        invoice, _ = write_period_draft(
            subscription=subscription, period=period, reason=InvoiceReason.PERIOD_END, at=at, actor=actor
        )
        prefetch_related_objects([invoice], "lines", "taxes")
        transaction.set_rollback(True)
    return invoice
