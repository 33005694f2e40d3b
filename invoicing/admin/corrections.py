"""The page of corrections, with what one does to the bills."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest

from billing_project.core.admin.actions import read_actor
from billing_project.core.admin.columns import write_money
from billing_project.core.admin.details import Table, make_link
from invoicing.runs.usage_previews import ChargeEffect, preview_priced_match, preview_priced_void
from metering.admin.corrections import UsageCorrectionAdmin, make_usage_table
from metering.admin.matching import MatchingAdmin
from metering.models import UsageCorrection
from metering.queries.corrections import EventSelection


@admin.register(UsageCorrection)
class PricedUsageCorrectionAdmin(MatchingAdmin, UsageCorrectionAdmin):
    """What was corrected, by whom and why."""

    def make_preview_tables(
        self, request: HttpRequest, *, selection: EventSelection, at: datetime
    ) -> Sequence[Table]:
        """Show what taking events back would do to the usage and to the bills.

        Raises: as `preview_priced_void`.
        """
        preview = preview_priced_void(selection=selection, at=at, actor=read_actor(request))
        return [make_usage_table(preview.usage.effects), make_charge_table(preview.charges)]

    def make_match_tables(
        self, request: HttpRequest, *, selection: EventSelection, subscription_id: UUID, at: datetime
    ) -> Sequence[Table]:
        """Show what it would do to the usage and to the bills if a subscription took events.

        Raises: as `preview_priced_match`.
        """
        preview = preview_priced_match(
            selection=selection, subscription_id=subscription_id, at=at, actor=read_actor(request)
        )
        return [make_usage_table(preview.usage.effects), make_charge_table(preview.charges)]


def make_charge_table(charges: Sequence[ChargeEffect]) -> Table:
    """Make a table of what a correction would do to the bills."""
    headers = ("Subscription", "Is", "Would be", "Difference")
    return Table(
        title="Still to be billed for usage, before tax",
        headers=headers,
        numeric=headers[1:],
        rows=[
            (
                make_link("subscriptions_subscription", charge.subscription.pk, charge.subscription),
                *(
                    write_money(amount_nanos, charge.subscription.currency, exact=True)
                    for amount_nanos in (charge.before_nanos, charge.after_nanos, charge.difference_nanos)
                ),
            )
            for charge in charges
        ],
        empty="Nothing changes.",
    )
