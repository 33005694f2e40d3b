"""Marks for usage that waits to be billed after a subscription's end."""

from django.contrib import admin
from django.utils.safestring import SafeString

from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.details import make_link
from metering.models import LateUsage


@admin.register(LateUsage)
class LateUsageAdmin(BigTableMixin, ReadOnlyAdmin[LateUsage]):
    """Closed periods of ended subscriptions that have received events, until a bill run takes them."""

    list_display = ("id", "subscription", "period", "noted_at")
    search_fields = ("id",)  # Shows the field to search in; an id is looked up in `search_id_fields`.
    search_id_fields = ("id", "subscription_id", "period_id")
    search_help_text = "Id of a subscription or a period"
    ordering = ("-id",)
    fields = (("subscription", "period"), "noted_at")
    readonly_fields = ("subscription", "period")

    @admin.display(description="Subscription")
    def subscription(self, mark: LateUsage) -> SafeString:
        """Lead to the subscription."""
        return make_link("subscriptions_subscription", mark.subscription_id, mark.subscription_id)

    @admin.display(description="Period")
    def period(self, mark: LateUsage) -> SafeString:
        """Lead to the period."""
        return make_link("subscriptions_period", mark.period_id, mark.period_id)
