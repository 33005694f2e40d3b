"""What changes of a subscription come to on its invoices. March has 31 days, so fees of $31 are $1 a day."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from catalog.models import Anchor, BillingCadence, BillingTiming, Plan, PricingModel, Sku
from invoicing.models import Invoice
from invoicing.runs.billing import bill_period
from invoicing.runs.subscription_run import run_subscription
from subscriptions.models import Subscription
from subscriptions.operations import (
    PriceOverride,
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
from tests.factories.metering import ingest, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

DOLLAR = 10**12
START = utc(2026, 3, 1)
END = utc(2026, 4, 1)
GRACE = timedelta(hours=1)


def make_seats(
    plan: Plan, *, dollars: int = 31, timing: BillingTiming = BillingTiming.ADVANCE, name: str = "Seats"
) -> Sku:
    """Add a fee for each seat to a plan."""
    return make_sku(
        plan,
        name=name,
        meter=None,
        pricing_model=PricingModel.PER_UNIT,
        params={"unit_amount_nanos": str(dollars * DOLLAR)},
        billing_timing=timing,
    )


def begin(
    *, dollars: int = 31, timing: BillingTiming = BillingTiming.ADVANCE, seats: int = 5
) -> tuple[Subscription, Sku]:
    """Subscribe to seats for March, and bill the first fees."""
    plan = make_plan()
    sku = make_seats(plan, dollars=dollars, timing=timing)
    subscription = subscribe(plan=plan, quantities={sku.pk: Decimal(seats)}, at=START)
    run(subscription, START)
    return subscription, sku


def run(subscription: Subscription, at: datetime) -> Sequence[Invoice]:
    """Do what is due, check that doing it again changes nothing, and that all is as it always is."""
    invoices = run_subscription(subscription_id=subscription.pk, at=at, actor=TESTER)
    assert run_subscription(subscription_id=subscription.pk, at=at, actor=TESTER) == []
    assert find_breaches() == []
    return invoices


def change(
    subscription: Subscription,
    at: datetime,
    *,
    quantities: Mapping[UUID, int] | None = None,
    plan: Plan | None = None,
    when: When | datetime = When.NOW,
    overrides: Mapping[UUID, PriceOverride | None] | None = None,
) -> Subscription:
    """Change a subscription."""
    return change_subscription(
        subscription_id=subscription.pk,
        change=SubscriptionChange(
            plan_id=None if plan is None else plan.pk,
            quantities={sku: Decimal(quantity) for sku, quantity in (quantities or {}).items()},
            overrides=overrides or {},
        ),
        when=when,
        at=at,
        actor=TESTER,
    )


def read_lines(invoices: Sequence[Invoice]) -> list[tuple[str, int]]:
    """List the lines of the only one of these invoices, in whole dollars."""
    (invoice,) = invoices
    lines = list(invoice.lines.order_by("position"))
    assert all(line.amount_nanos % DOLLAR == 0 for line in lines)
    return [(line.description, line.amount_nanos // DOLLAR) for line in lines]


class TestQuantities:
    def test_are_credited_and_charged_by_the_day_at_the_periods_end(self) -> None:
        """5 seats for 10 days are $50 of the $155 that were billed; 8 for 21 days are $168."""
        subscription, sku = begin()

        change(subscription, utc(2026, 3, 11), quantities={sku.pk: 8})

        assert run(subscription, utc(2026, 3, 20)) == []
        assert read_lines(run(subscription, END + GRACE)) == [
            ("Adjustment of Seats, 2026-03-01 to 2026-03-10", 50 - 155),
            ("Seats, 2026-03-11 to 2026-03-31", 168),
            ("Seats", 8 * 31),
        ]
        # Nothing is left of it in the next month.
        assert read_lines(run(subscription, utc(2026, 5, 1) + GRACE)) == [("Seats", 8 * 31)]

    def test_in_arrears_are_charged_by_the_day(self) -> None:
        subscription, sku = begin(timing=BillingTiming.ARREARS)

        change(subscription, utc(2026, 3, 11), quantities={sku.pk: 8})

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Seats, 2026-03-01 to 2026-03-10", 50),
            ("Seats, 2026-03-11 to 2026-03-31", 168),
        ]

    def test_can_change_twice_in_a_period(self) -> None:
        """5 seats for 10 days, 8 for 10, 2 for 11."""
        subscription, sku = begin()

        change(subscription, utc(2026, 3, 11), quantities={sku.pk: 8})
        change(subscription, utc(2026, 3, 21), quantities={sku.pk: 2})

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Adjustment of Seats, 2026-03-01 to 2026-03-10", 50 - 155),
            ("Seats, 2026-03-11 to 2026-03-20", 80),
            ("Seats, 2026-03-21 to 2026-03-31", 22),
            ("Seats", 62),
        ]

    def test_of_the_next_period_are_on_the_bill_of_this_ones_end(self) -> None:
        subscription, sku = begin()

        change(subscription, utc(2026, 3, 11), quantities={sku.pk: 8}, when=When.PERIOD_END)

        assert read_lines(run(subscription, END + GRACE)) == [("Seats", 8 * 31)]

    def test_that_change_in_the_grace_are_on_the_bill_that_waits(self) -> None:
        """The change comes half an hour into April: that day has the new seats, and there are 30."""
        subscription, sku = begin(dollars=30)
        run(subscription, END)

        change(subscription, END + GRACE / 2, quantities={sku.pk: 8})

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Seats, 2026-04-01 to 2026-04-01", 0),
            ("Seats, 2026-04-01 to 2026-04-30", 8 * 30),
        ]
        assert run(subscription, utc(2026, 5, 1)) == []
        assert read_lines(run(subscription, utc(2026, 5, 1) + GRACE)) == [("Seats", 8 * 30)]

    def test_of_a_stub_are_shares_of_the_whole_month(self) -> None:
        """Calendar months, begun on the 11th: 21 days of 31, then 10 with one seat and 11 with two."""
        plan = make_plan(anchor=Anchor.CALENDAR)
        sku = make_seats(plan)
        start = utc(2026, 3, 11, 12)
        subscription = subscribe(plan=plan, at=start)
        assert read_lines(run(subscription, start)) == [("Seats", 21)]

        change(subscription, utc(2026, 3, 21), quantities={sku.pk: 2})

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Adjustment of Seats, 2026-03-11 to 2026-03-20", 10 - 21),
            ("Seats, 2026-03-21 to 2026-03-31", 22),
            ("Seats", 62),
        ]

    def test_are_never_on_a_bill_on_demand(self) -> None:
        subscription, sku = begin()
        change(subscription, utc(2026, 3, 11), quantities={sku.pk: 8})

        invoice, _ = bill_period(
            subscription_id=subscription.pk, period_id=None, at=utc(2026, 3, 12), actor=TESTER
        )

        assert read_lines([invoice]) == []

    def test_that_were_planned_and_withdrawn_come_to_nothing(self) -> None:
        """They were planned before April's fees were billed, and withdrawn after that."""
        subscription, sku = begin(dollars=30)
        change(subscription, utc(2026, 3, 11), quantities={sku.pk: 8}, when=utc(2026, 4, 16))
        assert read_lines(run(subscription, END + GRACE)) == [
            ("Seats, 2026-04-01 to 2026-04-15", 75),
            ("Seats, 2026-04-16 to 2026-04-30", 120),
        ]

        (planned,) = list_pending_changes(subscription.pk)
        withdraw_change(
            subscription_id=subscription.pk, change_id=planned.pk, at=utc(2026, 4, 10), actor=TESTER
        )

        assert read_lines(run(subscription, utc(2026, 5, 1) + GRACE)) == [
            ("Adjustment of Seats, 2026-04-01 to 2026-04-30", 75),
            ("Adjustment of Seats, 2026-05-01 to 2026-05-01", -120),
            ("Seats", 150),
        ]


class TestPlan:
    def test_of_the_same_cadence_parts_the_period(self) -> None:
        """$31 a seat for 10 days, then $62 a seat for 21."""
        subscription, _ = begin(seats=1)
        large = make_plan(name="Large")
        seats = make_seats(large, dollars=62)

        change(subscription, utc(2026, 3, 11), plan=large, quantities={seats.pk: 3})

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Adjustment of Seats, 2026-03-01 to 2026-03-10", 10 - 31),
            ("Seats, 2026-03-11 to 2026-03-31", 3 * 42),
            ("Seats", 3 * 62),
        ]

    def test_at_the_very_start_takes_the_place_of_the_first(self) -> None:
        """As on a test clock: the first fees are final before any time has passed."""
        subscription, _ = begin(seats=1)
        large = make_plan(name="Large")
        make_seats(large, dollars=62)

        change(subscription, START, plan=large)

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Adjustment of Seats, 2026-03-01 to 2026-03-01", -31),
            ("Seats", 62),
            ("Seats", 62),
        ]

    def test_of_another_cadence_ends_the_period_with_a_bill(self) -> None:
        subscription, _ = begin(seats=1)
        yearly = make_plan(name="Yearly", billing_cadence=BillingCadence.ANNUAL)
        make_seats(yearly, dollars=300)

        change(subscription, utc(2026, 3, 11), plan=yearly)

        assert read_lines(run(subscription, utc(2026, 3, 11) + GRACE)) == [
            ("Adjustment of Seats, 2026-03-01 to 2026-03-10", 10 - 31),
            ("Seats", 300),
        ]
        assert run(subscription, utc(2027, 3, 10)) == []
        assert read_lines(run(subscription, utc(2027, 3, 11) + GRACE)) == [("Seats", 300)]

    def test_shares_free_units_with_the_one_before(self) -> None:
        """310 free units a month are 100 for ten days and 210 for the rest; a unit costs a dollar."""
        plans = [make_plan(name=name) for name in ("First", "Twin")]
        for plan in plans:
            make_sku(plan, params={"unit_amount_nanos": str(DOLLAR), "free_units": "310"})
        subscription = subscribe(plan=plans[0], at=START)
        for at in (utc(2026, 3, 5), utc(2026, 3, 15)):
            if at > utc(2026, 3, 10):
                change(subscription, utc(2026, 3, 11), plan=plans[1])
            event = write_event(subscription, timestamp=at, properties={"input_tokens": 215})
            assert ingest(event, at=at).accepted == 1

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Input Tokens, 2026-03-01 to 2026-03-10", 115),
            ("Input Tokens, 2026-03-11 to 2026-03-31", 5),
        ]


class TestOverride:
    def test_prices_the_subscription_alone(self) -> None:
        subscription, sku = begin(seats=1)
        cheaper = PriceOverride(
            pricing_model=PricingModel.PER_UNIT, params={"unit_amount_nanos": str(10 * DOLLAR)}
        )

        change(subscription, utc(2026, 3, 11), overrides={sku.pk: cheaper}, when=When.PERIOD_END)

        assert read_lines(run(subscription, END + GRACE)) == [("Seats", 10)]
        change(subscription, utc(2026, 4, 11), overrides={sku.pk: None}, when=When.PERIOD_END)
        assert read_lines(run(subscription, utc(2026, 5, 1) + GRACE)) == [("Seats", 31)]


class TestPause:
    def test_credits_what_was_billed_in_advance(self) -> None:
        """Paused for 11 of 31 days."""
        subscription, _ = begin(seats=1)

        pause_subscription(subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 3, 11), actor=TESTER)
        resume_subscription(subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 3, 22), actor=TESTER)

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Adjustment of Seats, 2026-03-01 to 2026-03-10", 10 - 31),
            ("Seats, 2026-03-22 to 2026-03-31", 10),
            ("Seats", 31),
        ]

    def test_over_a_periods_end_asks_for_no_fees(self) -> None:
        subscription, _ = begin(seats=1)

        pause_subscription(
            subscription_id=subscription.pk, when=When.PERIOD_END, at=utc(2026, 3, 11), actor=TESTER
        )

        assert run(subscription, END + GRACE) == []
        assert run(subscription, utc(2026, 5, 1) + GRACE) == []
        resume_subscription(
            subscription_id=subscription.pk, when=When.PERIOD_END, at=utc(2026, 5, 10), actor=TESTER
        )
        assert read_lines(run(subscription, utc(2026, 6, 1) + GRACE)) == [("Seats", 31)]

    def test_bills_usage_all_the_same(self) -> None:
        plan = make_plan()
        make_sku(plan, params={"unit_amount_nanos": str(DOLLAR)})
        make_seats(plan, timing=BillingTiming.ARREARS)
        subscription = subscribe(plan=plan, at=START)
        pause_subscription(subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 3, 2), actor=TESTER)
        event = write_event(subscription, timestamp=utc(2026, 3, 5), properties={"input_tokens": 7})
        assert ingest(event, at=utc(2026, 3, 5)).accepted == 1

        assert read_lines(run(subscription, END + GRACE)) == [
            ("Input Tokens, 2026-03-01 to 2026-03-01", 0),
            ("Seats, 2026-03-01 to 2026-03-01", 1),
            ("Input Tokens, 2026-03-02 to 2026-03-31", 7),
        ]


class TestCancel:
    def test_credits_what_was_billed_in_advance(self) -> None:
        """10 of 31 days are used. Usage is still asked for, and takes a part of the credit."""
        plan = make_plan()
        make_sku(plan, params={"unit_amount_nanos": str(DOLLAR)})
        make_seats(plan)
        subscription = subscribe(plan=plan, at=START)
        run(subscription, START)
        event = write_event(subscription, timestamp=utc(2026, 3, 5), properties={"input_tokens": 30})
        assert ingest(event, at=utc(2026, 3, 5)).accepted == 1

        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=utc(2026, 3, 11), actor=TESTER)

        assert read_lines(run(subscription, utc(2026, 3, 11) + GRACE)) == [
            ("Input Tokens", 30),
            ("Adjustment of Seats, 2026-03-01 to 2026-03-10", 10 - 31),
        ]

    def test_at_the_periods_end_gives_nothing_back(self) -> None:
        subscription, _ = begin(seats=1)

        cancel_subscription(
            subscription_id=subscription.pk, when=When.PERIOD_END, at=utc(2026, 3, 11), actor=TESTER
        )

        assert run(subscription, END + GRACE) == []
