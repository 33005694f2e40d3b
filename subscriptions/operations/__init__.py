"""Operations on subscriptions and their periods, a file for each subject: the only code that changes them."""

from subscriptions.operations.cancellation import CancelWhen, cancel_subscription, uncancel_subscription
from subscriptions.operations.creation import create_subscription
from subscriptions.operations.periods import ensure_periods
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
    "CancelWhen",
    "EarlierPeriodOpen",
    "PeriodNotEnded",
    "cancel_subscription",
    "close_period",
    "create_subscription",
    "ensure_periods",
    "reopen_settlement",
    "roll_subscription",
    "set_period_due",
    "settle_period",
    "uncancel_subscription",
]
