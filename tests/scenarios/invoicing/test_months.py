"""Months of a customer's life, billed by nothing but the time that passes. Amounts are worked out by hand."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from catalog.models import BillingTiming, PricingModel
from customers.models import ClockStatus
from customers.operations import begin_clock_advance
from customers.queries import get_test_clock
from invoicing.models import Invoice, InvoiceReason, InvoiceStatus, VoidOutcome
from invoicing.runs.bill_runs import start_bill_run, work_bill_run
from invoicing.runs.billing import PeriodAlreadyClosed, bill_period
from invoicing.runs.clocks import drive_clock
from invoicing.runs.finalization import finalize, prepare_finalization
from invoicing.runs.previews import preview_invoice
from invoicing.runs.subscription_run import run_subscription
from invoicing.runs.voiding import void
from metering.models import LateUsage
from subscriptions.models import Period, Subscription, SubscriptionStatus
from subscriptions.operations import When, cancel_subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import TESTER, drain_outbox
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import ingest, make_metered_plan, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

CENT = 10**10
DOLLAR = 10**12
START = utc(2026, 1, 15, 10)
GRACE = timedelta(hours=1)


def run(subscription: Subscription, at: datetime) -> Sequence[Invoice]:
    """Do what is due, and check that doing it again changes nothing."""
    invoices = run_subscription(subscription_id=subscription.pk, at=at, actor=TESTER)
    assert run_subscription(subscription_id=subscription.pk, at=at, actor=TESTER) == []
    assert find_breaches() == []
    return invoices


def use(
    subscription: Subscription, at: datetime, input_tokens: int, *, stamped: datetime | None = None
) -> None:
    """Send one event, at a time, for a time."""
    event = write_event(
        subscription,
        timestamp=stamped or at,
        properties={"input_tokens": input_tokens, "output_tokens": 0},
    )
    report = ingest(event, at=at)
    assert (report.accepted, report.rejected) == (1, 0)


def read_invoices(subscription: Subscription) -> list[tuple[str | None, str, int]]:
    invoices = Invoice.objects.filter(subscription=subscription).order_by("finalized_at", "invoice_number")
    return [(invoice.invoice_number, invoice.reason, invoice.total_nanos) for invoice in invoices]


def read_lines(invoice: Invoice) -> list[tuple[str, int]]:
    return [(line.description, line.amount_nanos) for line in invoice.lines.order_by("position")]


class TestPayAsYouGo:
    def test_is_billed_at_the_end_of_each_period_once_its_grace_is_over(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 20), 1_000_000)  # $2.00

        assert run(subscription, utc(2026, 2, 14, 23)) == []
        assert not Invoice.objects.exists()

        assert run(subscription, utc(2026, 2, 15)) == []
        assert read_invoices(subscription) == [(None, "PeriodEnd", 2 * DOLLAR)]

        use(subscription, utc(2026, 2, 15, 0, 30), 500_000, stamped=utc(2026, 2, 14, 23))  # $1.00, in grace
        (invoice,) = run(subscription, utc(2026, 2, 15, 1))
        assert read_invoices(subscription) == [("INV-000001", "PeriodEnd", 3 * DOLLAR)]
        assert invoice.status == InvoiceStatus.OPEN
        assert read_lines(invoice) == [("input_tokens", 3 * DOLLAR), ("output_tokens", 0)]

    def test_bills_what_comes_after_the_close_with_the_next_period(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 20), 1_000_000)
        run(subscription, utc(2026, 2, 15, 1))

        use(subscription, utc(2026, 2, 16), 250_000, stamped=utc(2026, 2, 1))  # $0.50, late
        run(subscription, utc(2026, 3, 15, 1))

        assert read_invoices(subscription) == [
            ("INV-000001", "PeriodEnd", 2 * DOLLAR),
            ("INV-000002", "PeriodEnd", 50 * CENT),
        ]
        line = Invoice.objects.get(invoice_number="INV-000002").lines.get(description="input_tokens")
        assert line.late_quantity == 250_000

    def test_asks_for_nothing_where_nothing_was_used(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)

        run(subscription, utc(2026, 4, 20))

        assert not Invoice.objects.exists()
        settled = Period.objects.filter(subscription=subscription, settled_at__isnull=False)
        assert list(settled.order_by("number").values_list("number", flat=True)) == [0, 1, 2]

    def test_that_begins_three_months_back_is_caught_up(self) -> None:
        plan = make_metered_plan()
        make_sku(
            plan,
            name="Platform",
            meter=None,
            pricing_model=PricingModel.FLAT,
            params={"unit_amount_nanos": str(10 * DOLLAR)},
            billing_timing=BillingTiming.ADVANCE,
        )
        subscription = subscribe(plan=plan, start_at=START, at=utc(2026, 4, 20))

        run(subscription, utc(2026, 4, 20))

        assert read_invoices(subscription) == [
            ("INV-000001", "PeriodStart", 10 * DOLLAR),
            ("INV-000002", "PeriodEnd", 10 * DOLLAR),
            ("INV-000003", "PeriodEnd", 10 * DOLLAR),
            ("INV-000004", "PeriodEnd", 10 * DOLLAR),
        ]


class TestTrial:
    def test_leaves_out_fixed_fees_and_charges_for_usage(self) -> None:
        plan = make_metered_plan(trial_days=14)
        make_sku(
            plan,
            name="Platform",
            meter=None,
            pricing_model=PricingModel.FLAT,
            params={"unit_amount_nanos": str(10 * DOLLAR)},
            billing_timing=BillingTiming.ARREARS,
        )
        subscription = subscribe(plan=plan, start_at=START, at=START)
        assert subscription.status == SubscriptionStatus.TRIALING
        use(subscription, utc(2026, 1, 20), 1_000_000)

        # 14 x 24 hours after the 15th 10:00 is the 29th 10:00; the next midnight begins the 30th.
        run(subscription, utc(2026, 1, 30, 1))
        # From the 30th on: a month is clamped to the end of February.
        run(subscription, utc(2026, 2, 28, 1))

        subscription.refresh_from_db()
        assert subscription.status == SubscriptionStatus.ACTIVE
        assert read_invoices(subscription) == [
            ("INV-000001", "PeriodEnd", 2 * DOLLAR),
            ("INV-000002", "PeriodEnd", 10 * DOLLAR),
        ]


class TestOnDemand:
    def test_bills_graduated_tiers_right_in_two_halves(self) -> None:
        plan = make_plan()
        make_sku(
            plan,
            pricing_model=PricingModel.GRADUATED,
            params={
                "tiers": [
                    {"up_to": "1000", "unit_amount_nanos": str(CENT)},
                    {"up_to": None, "unit_amount_nanos": str(CENT // 2)},
                ]
            },
        )
        subscription = subscribe(plan=plan, start_at=START, at=START)

        use(subscription, utc(2026, 1, 16), 800)  # 800 at 1 cent = $8.00
        self._bill_now(subscription, at=utc(2026, 1, 16))
        use(subscription, utc(2026, 1, 20), 400)  # 200 at 1 cent, 200 at half a cent = $3.00
        self._bill_now(subscription, at=utc(2026, 1, 20))
        use(subscription, utc(2026, 2, 1), 100)  # 100 at half a cent = $0.50
        run(subscription, utc(2026, 2, 15, 1))

        assert read_invoices(subscription) == [
            ("INV-000001", "OnDemand", 8 * DOLLAR),
            ("INV-000002", "OnDemand", 3 * DOLLAR),
            ("INV-000003", "PeriodEnd", 50 * CENT),
        ]

    def test_carries_the_rounding_within_the_period(self) -> None:
        plan = make_plan()
        make_sku(plan, params={"unit_amount_nanos": str(CENT // 2)})  # Half a cent a unit.
        subscription = subscribe(plan=plan, start_at=START, at=START)
        for day in (16, 17):
            use(subscription, utc(2026, 1, day), 1)
            self._bill_now(subscription, at=utc(2026, 1, day))
        use(subscription, utc(2026, 1, 18), 2)
        run(subscription, utc(2026, 2, 15, 1))

        # 0.5 -> 1; 0.5 + 0.5 - 1 -> 0; 1 -> 1: two cents for four halves.
        assert [total for *_, total in read_invoices(subscription)] == [CENT, 0, CENT]

    def test_asks_for_a_minimum_only_once_the_period_is_over(self) -> None:
        plan = make_plan()
        make_sku(plan, params={"unit_amount_nanos": str(CENT), "minimum_nanos": str(10 * DOLLAR)})
        subscription = subscribe(plan=plan, start_at=START, at=START)
        use(subscription, utc(2026, 1, 16), 200)  # $2.00

        self._bill_now(subscription, at=utc(2026, 1, 16))
        run(subscription, utc(2026, 2, 15, 1))

        assert read_invoices(subscription) == [
            ("INV-000001", "OnDemand", 2 * DOLLAR),
            ("INV-000002", "PeriodEnd", 8 * DOLLAR),
        ]

    def test_refreshes_the_one_draft_that_there_is(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)

        first, is_new = self._bill(subscription, at=utc(2026, 1, 16))
        use(subscription, utc(2026, 1, 17), 1_000_000)
        second, is_newer = self._bill(subscription, at=utc(2026, 1, 18))

        assert (first.pk, is_new, is_newer) == (second.pk, True, False)
        assert second.total_nanos == 2 * DOLLAR

    def test_is_refused_for_a_closed_period(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 16), 1_000_000)
        run(subscription, utc(2026, 2, 15, 1))
        period = Period.objects.get(subscription=subscription, number=0)

        with pytest.raises(PeriodAlreadyClosed):
            bill_period(
                subscription_id=subscription.pk, period_id=period.pk, at=utc(2026, 2, 16), actor=TESTER
            )

    def test_of_a_past_period_is_final_as_soon_as_staff_say_so(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 16), 1_000_000)
        at = utc(2026, 2, 15, 0, 10)
        period = Period.objects.get(subscription=subscription, number=0)
        draft, _ = bill_period(subscription_id=subscription.pk, period_id=period.pk, at=at, actor=TESTER)
        assert draft.reason == InvoiceReason.PERIOD_END

        use(subscription, utc(2026, 2, 15, 0, 5), 500_000, stamped=utc(2026, 2, 14))
        prepare_finalization(invoice_id=draft.pk, at=at, actor=TESTER)
        invoice = finalize(invoice_id=draft.pk, at=at, actor=TESTER)

        assert invoice.total_nanos == 3 * DOLLAR  # With what came until the period was closed by it.
        period.refresh_from_db()
        assert (period.closed_at, period.settled_at, period.due_at) == (at, at, None)
        assert run(subscription, utc(2026, 2, 15, 2)) == []

    def _bill(self, subscription: Subscription, *, at: datetime) -> tuple[Invoice, bool]:
        return bill_period(subscription_id=subscription.pk, period_id=None, at=at, actor=TESTER)

    def _bill_now(self, subscription: Subscription, *, at: datetime) -> Invoice:
        draft, _ = self._bill(subscription, at=at)
        prepare_finalization(invoice_id=draft.pk, at=at, actor=TESTER)
        return finalize(invoice_id=draft.pk, at=at, actor=TESTER)


class TestSeatsInAdvance:
    @staticmethod
    def _subscribe(**changes: Any) -> Subscription:
        plan = make_plan(**changes)
        seats = make_sku(
            plan,
            name="Seats",
            meter=None,
            params={"unit_amount_nanos": str(49 * DOLLAR)},
            billing_timing=BillingTiming.ADVANCE,
        )
        return subscribe(plan=plan, quantities={seats.pk: Decimal(10)}, start_at=START, at=START)

    def test_are_billed_at_the_start_and_then_with_the_period_before(self) -> None:
        subscription = self._subscribe()

        (start,) = run(subscription, START)
        run(subscription, utc(2026, 2, 15, 1))

        assert (start.reason, start.total_nanos) == (InvoiceReason.PERIOD_START, 490 * DOLLAR)
        assert read_invoices(subscription) == [
            ("INV-000001", "PeriodStart", 490 * DOLLAR),
            ("INV-000002", "PeriodEnd", 490 * DOLLAR),
        ]

    def test_are_billed_after_a_trial_with_its_invoice(self) -> None:
        subscription = self._subscribe(trial_days=14)

        assert run(subscription, START) == []
        run(subscription, utc(2026, 1, 30, 1))

        assert read_invoices(subscription) == [("INV-000001", "PeriodEnd", 490 * DOLLAR)]

    def test_are_billed_again_where_the_first_invoice_is_called_off(self) -> None:
        subscription = self._subscribe()
        (start,) = run(subscription, START)

        at = START + timedelta(hours=1)
        void(invoice_id=start.pk, reason="Wrong address", then=VoidOutcome.REGENERATE, at=at, actor=TESTER)
        run(subscription, at)

        assert read_invoices(subscription) == [
            ("INV-000001", "PeriodStart", 490 * DOLLAR),
            ("INV-000002", "PeriodStart", 490 * DOLLAR),
        ]


class TestVoid:
    def test_of_a_closed_period_bills_it_again_or_forgives_it(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 20), 1_000_000)
        (first,) = run(subscription, utc(2026, 2, 15, 1))

        at = utc(2026, 2, 20)
        void(invoice_id=first.pk, reason="Wrong", then=VoidOutcome.REGENERATE, at=at, actor=TESTER)
        draft = Invoice.objects.get(subscription=subscription, status=InvoiceStatus.DRAFT)
        assert draft.total_nanos == 2 * DOLLAR
        (second,) = run(subscription, at + GRACE)
        assert (second.pk, second.invoice_number) == (draft.pk, "INV-000002")

        void(invoice_id=second.pk, reason="A gift", then=VoidOutcome.FORGIVE, at=at + GRACE, actor=TESTER)
        assert run(subscription, utc(2026, 3, 15, 1)) == []

    def test_in_an_open_period_leaves_it_to_the_next_draft(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 20), 1_000_000)
        at = utc(2026, 1, 21)
        draft, _ = bill_period(subscription_id=subscription.pk, period_id=None, at=at, actor=TESTER)
        prepare_finalization(invoice_id=draft.pk, at=at, actor=TESTER)
        invoice = finalize(invoice_id=draft.pk, at=at, actor=TESTER)

        void(invoice_id=invoice.pk, reason="Too early", then=None, at=at, actor=TESTER)
        run(subscription, utc(2026, 2, 15, 1))

        assert read_invoices(subscription)[-1] == ("INV-000002", "PeriodEnd", 2 * DOLLAR)


class TestEnd:
    def test_now_bills_the_shorter_period_after_its_grace(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 20), 1_000_000)
        cancelled_at = utc(2026, 1, 25, 12)
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=cancelled_at, actor=TESTER)

        run(subscription, cancelled_at)
        run(subscription, cancelled_at + GRACE)

        assert read_invoices(subscription) == [("INV-000001", "PeriodEnd", 2 * DOLLAR)]

    def test_is_followed_by_an_invoice_for_what_came_too_late(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 20), 1_000_000)
        cancelled_at = utc(2026, 1, 25, 12)
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=cancelled_at, actor=TESTER)
        run(subscription, cancelled_at + GRACE)

        late_at = utc(2026, 1, 26)
        use(subscription, late_at, 500_000, stamped=utc(2026, 1, 24))
        assert self._start_run(late_at) is None  # It waits for the grace, so that one bill takes many events.
        assert self._start_run(late_at + GRACE) == 1

        assert not LateUsage.objects.exists()
        assert read_invoices(subscription) == [
            ("INV-000001", "PeriodEnd", 2 * DOLLAR),
            ("INV-000002", "OnDemand", 1 * DOLLAR),
        ]
        assert find_breaches() == []

    def _start_run(self, at: datetime) -> int | None:
        made = start_bill_run(at=at, trigger="Command")
        return None if made is None else work_bill_run(run_id=made.pk, read_now=lambda: at, actor=TESTER)


class TestPreview:
    def test_says_what_the_period_will_end_with_and_stores_nothing(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        use(subscription, utc(2026, 1, 20), 1_000_000)

        preview = preview_invoice(subscription_id=subscription.pk, at=utc(2026, 1, 21))
        assert not Invoice.objects.exists()
        (bill,) = run(subscription, utc(2026, 2, 15, 1))

        assert (preview.invoice.total_nanos, preview.invoice.reason) == (bill.total_nanos, bill.reason)
        assert [(line.description, line.amount_nanos) for line in preview.lines] == read_lines(bill)


class TestClock:
    def test_bills_month_by_month_on_its_way(self) -> None:
        clock = make_test_clock(now_at=START)
        customer = make_customer(test_clock_id=clock.pk)
        subscription = subscribe(customer=customer, plan=make_metered_plan(), at=START)
        use(subscription, START, 1_000_000)
        drain_outbox()  # Which begins a run of the subscription's own, with no worker on it yet.

        begin_clock_advance(test_clock_id=clock.pk, to=utc(2027, 1, 20), at=START, actor=TESTER)
        drive_clock(test_clock_id=clock.pk, read_now=lambda: utc(2026, 11, 24), actor=TESTER)

        clock = get_test_clock(clock.pk)
        assert (clock.status, clock.now_at) == (ClockStatus.READY, utc(2027, 1, 20))
        assert read_invoices(subscription) == [("INV-000001", "PeriodEnd", 2 * DOLLAR)]
        invoice = Invoice.objects.get()
        assert invoice.finalized_at == utc(2026, 2, 15, 1)  # By the customer's time, not by ours.
        assert Period.objects.filter(subscription=subscription, settled_at__isnull=False).count() == 12
        assert find_breaches() == []
