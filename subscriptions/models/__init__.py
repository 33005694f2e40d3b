"""Models of the subscriptions app, a file for each aggregate."""

from subscriptions.models.changes import ChangeKind, PlannedChange
from subscriptions.models.periods import Period, Segment
from subscriptions.models.subscriptions import Subscription, SubscriptionItem, SubscriptionStatus

__all__ = [
    "ChangeKind",
    "Period",
    "PlannedChange",
    "Segment",
    "Subscription",
    "SubscriptionItem",
    "SubscriptionStatus",
]
