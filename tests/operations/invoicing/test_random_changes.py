"""Months of random changes against a plain model of them, day by day: the fees come out the same to the nano."""

import random
from calendar import monthrange
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from billing_project.core.errors import Conflict
from catalog.models import BillingTiming, PricingModel
from invoicing.models import InvoiceLine, LineKind
from invoicing.runs.subscription_run import run_subscription
from subscriptions.models import ChangeKind, PlannedChange
from subscriptions.operations import (
    SubscriptionChange,
    When,
    cancel_subscription,
    change_subscription,
    pause_subscription,
    resume_subscription,
    withdraw_change,
)
from subscriptions.queries import list_pending_changes
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import TESTER
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

DOLLAR = 10**12
# Whole dollars for a day of any month.
MONTHLY = 28 * 29 * 30 * 31
START = utc(2028, 1, 1)
ENDS = [utc(2028, month, 1) for month in (2, 3, 4, 5)]
DAY = timedelta(days=1)


def read_charge(day: datetime, changes: list[PlannedChange], seats: int) -> int:
    """Work out, in dollars, what a day costs: by the terms with which it ends."""
    is_paused = False
    for change in changes:
        if change.effective_at < day + DAY:
            seats = int(next(iter(change.quantities.values()), seats))
            is_paused = {ChangeKind.PAUSE: True, ChangeKind.RESUME: False}.get(
                ChangeKind(change.kind), is_paused
            )
    return 0 if is_paused else seats * MONTHLY // monthrange(day.year, day.month)[1]


@pytest.mark.parametrize("timing", BillingTiming)
@pytest.mark.parametrize("seed", range(3))
def test_fees_are_those_of_each_day(seed: int, timing: BillingTiming) -> None:
    chance = random.Random(seed)
    sku = make_sku(
        make_plan(),
        name="Seats",
        meter=None,
        pricing_model=PricingModel.PER_UNIT,
        params={"unit_amount_nanos": str(MONTHLY * DOLLAR)},
        billing_timing=timing,
    )
    subscription = subscribe(plan=sku.plan, quantities={sku.pk: Decimal(5)}, at=START)
    instants = sorted(
        START + timedelta(hours=chance.randrange(24 * (ENDS[-2] - START).days)) for _ in range(14)
    )

    def move(at: datetime) -> None:
        choices: list[When | datetime] = [When.NOW, When.NOW, When.PERIOD_END]
        when = chance.choice([*choices, at + timedelta(hours=chance.randrange(900))])
        change = SubscriptionChange(quantities={sku.pk: Decimal(chance.randrange(1, 9))})
        values = {"subscription_id": subscription.pk, "at": at, "actor": TESTER}
        match chance.randrange(6):
            case 0:
                pause_subscription(**values, when=when)
            case 1:
                resume_subscription(**values, when=when)
            case 2:
                pending = list_pending_changes(subscription.pk)
                if pending:
                    withdraw_change(**values, change_id=chance.choice(pending).pk)
            case _:
                change_subscription(**values, change=change, when=when)

    ends = [end + timedelta(hours=1) for end in ENDS]
    for at in sorted([*ends, *instants]):
        run_subscription(subscription_id=subscription.pk, at=at, actor=TESTER)
        if at not in ends:
            with suppress(Conflict):  # Such as a second pause: refused, and nothing has changed.
                move(at)
        if at > ENDS[-2] and subscription.ends_at is None:
            subscription = cancel_subscription(
                subscription_id=subscription.pk, when=When.PERIOD_END, at=at, actor=TESTER
            )
        assert find_breaches() == []

    lines = InvoiceLine.objects.filter(is_billed=True).exclude(kind=LineKind.BALANCING)
    changes = list(
        PlannedChange.objects.filter(applied_at__isnull=False)
        .exclude(kind=ChangeKind.CANCEL)
        .order_by("effective_at", "pk")
    )
    days = [START + DAY * number for number in range((ENDS[-1] - START).days)]
    assert sum(line.charge_nanos for line in lines) == DOLLAR * sum(
        read_charge(day, changes, 5) for day in days
    )
