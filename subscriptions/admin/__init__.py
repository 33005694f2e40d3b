"""Staff pages of subscriptions. Invoicing completes and registers that of a subscription itself."""

from subscriptions.admin.periods import PeriodAdmin, SegmentAdmin
from subscriptions.admin.subscriptions import PlannedChangeAdmin, SubscriptionAdmin, SubscriptionItemAdmin

__all__ = ["PeriodAdmin", "PlannedChangeAdmin", "SegmentAdmin", "SubscriptionAdmin", "SubscriptionItemAdmin"]
