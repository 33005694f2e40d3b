"""Operations on subscriptions and their periods, a file for each subject: the only code that changes them."""

from subscriptions.instants import When
from subscriptions.operations.cancellation import cancel_subscription, uncancel_subscription
from subscriptions.operations.changing import (
    Phase,
    PriceOverride,
    SubscriptionChange,
    change_subscription,
    schedule_phases,
)
from subscriptions.operations.creation import create_subscription
from subscriptions.operations.migrating import continue_migration, start_migration
from subscriptions.operations.moving import follow_timezone
from subscriptions.operations.pausing import pause_subscription, resume_subscription
from subscriptions.operations.periods import ensure_periods
from subscriptions.operations.planning import withdraw_change
from subscriptions.operations.rolling import roll_subscription
from subscriptions.operations.settling import (
    EarlierPeriodOpen,
    PeriodNotEnded,
    close_period,
    reopen_settlement,
    set_period_due,
    settle_period,
)

__all__ = [
    "EarlierPeriodOpen",
    "PeriodNotEnded",
    "Phase",
    "PriceOverride",
    "SubscriptionChange",
    "When",
    "cancel_subscription",
    "change_subscription",
    "close_period",
    "continue_migration",
    "create_subscription",
    "ensure_periods",
    "follow_timezone",
    "pause_subscription",
    "reopen_settlement",
    "resume_subscription",
    "roll_subscription",
    "schedule_phases",
    "set_period_due",
    "settle_period",
    "start_migration",
    "uncancel_subscription",
    "withdraw_change",
]
