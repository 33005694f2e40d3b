"""The moves a subscription may make. Operations check this table after locking the subscription."""

from collections.abc import Mapping

from subscriptions.models.subscriptions import SubscriptionStatus as Status

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.TRIALING: frozenset({Status.ACTIVE, Status.PAST_DUE, Status.PAUSED, Status.CANCELLED}),
    Status.ACTIVE: frozenset({Status.PAST_DUE, Status.PAUSED, Status.CANCELLED}),
    Status.PAST_DUE: frozenset({Status.ACTIVE, Status.PAUSED, Status.CANCELLED}),
    Status.PAUSED: frozenset({Status.TRIALING, Status.ACTIVE, Status.CANCELLED}),
    Status.CANCELLED: frozenset(),
}

LIVE: frozenset[Status] = frozenset({Status.TRIALING, Status.ACTIVE, Status.PAST_DUE, Status.PAUSED})
