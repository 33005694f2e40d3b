"""What is billed for usage that was corrected after it was billed, and the preview of that."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Aggregation, BillingTiming, PricingModel, TrialUsage
from catalog.operations import MeterDefinition
from invoicing.models import Invoice
from invoicing.runs.billing import bill_period
from invoicing.runs.previews import preview_invoice
from invoicing.runs.subscription_run import run_subscription
from invoicing.runs.usage_previews import preview_priced_void
from metering.models import EventVoid, LateUsage, UsageCorrection
from metering.operations import previews, void_event
from metering.operations.corrections import NothingToVoid
from metering.operations.previews import TooManyPeriodsSelected
from metering.queries.corrections import EventSelection
from subscriptions.models import Subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import TESTER, drain_outbox
from tests.factories.metering import EVENT_TYPE, ingest, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

DOLLAR = 10**12
START = utc(2026, 1, 1)
FEBRUARY, MARCH, APRIL = utc(2026, 2, 1), utc(2026, 3, 1), utc(2026, 4, 1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Event = dict[str, Any]
OF_JANUARY = "Correction of Seats, 2026-01-01 to 2026-01-31"
OF_FEBRUARY = "Correction of Seats, 2026-02-01 to 2026-02-28"


def subscribe_to(aggregation: Aggregation, *, terms: Any = None, **definition: Any) -> Subscription:
    """Subscribe a customer, from January on, to a plan that charges a dollar a seat."""
    plan = make_plan(**(terms or {}))
    read = MeterDefinition.read(
        event_type=EVENT_TYPE, property="seats", aggregation=aggregation, **definition
    )
    price = {"params": {"unit_amount_nanos": str(DOLLAR)}}
    make_sku(plan, name="Seats", meter=read, meter_code="it", **price)
    subscription = subscribe(plan=plan, start_at=START, at=START)
    drain_outbox()  # Nothing is to be filled.
    return subscription


def use(subscription: Subscription, seats: int, *, at: datetime) -> Event:
    event = write_event(subscription, timestamp=at, properties={"seats": seats})
    assert ingest(event, at=at).accepted == 1
    return event


def void(event: Event, *, at: datetime) -> None:
    void_event(
        customer_id=event["customer_id"], event_id=event["id"], reason="A test run", at=at, actor=TESTER
    )


def run(subscription: Subscription, *, at: datetime) -> None:
    run_subscription(subscription_id=subscription.pk, at=at, actor=TESTER)
    assert find_breaches() == []


def read_lines(subscription: Subscription) -> list[list[tuple[str, int]]]:
    """Read the lines of all final invoices in dollars, but for those of nothing."""
    invoices = Invoice.objects.filter(subscription=subscription, invoice_number__isnull=False)
    return [
        [
            (line.description, line.charge_nanos // DOLLAR)
            for line in invoice.lines.order_by("position")
            if line.charge_nanos
        ]
        for invoice in invoices.order_by("invoice_number")
    ]


class TestCorrections:
    def test_of_a_level_that_carries_over_reach_every_period_after_it(self) -> None:
        subscription = subscribe_to(Aggregation.WEIGHTED_SUM, carries_over=True)
        gone = use(subscription, 10, at=START)
        use(subscription, 4, at=START)
        run(subscription, at=MARCH + HOUR)
        assert read_lines(subscription) == [[("Seats", 14)], [("Seats", 14)]]

        void(gone, at=MARCH + DAY)
        run(subscription, at=APRIL + HOUR)

        assert read_lines(subscription)[2:] == [
            [("Seats", 4), (OF_JANUARY, -10), (OF_FEBRUARY, -10), ("Balance", 16)]
        ]

    def test_of_a_level_that_does_not_stay_in_their_period(self) -> None:
        subscription = subscribe_to(Aggregation.WEIGHTED_SUM)
        gone = use(subscription, 10, at=START)
        use(subscription, 7, at=FEBRUARY)
        run(subscription, at=MARCH + HOUR)
        use(subscription, 20, at=MARCH + HOUR)

        void(gone, at=MARCH + DAY)
        run(subscription, at=APRIL + HOUR)

        (last,) = read_lines(subscription)[2:]
        assert last[1:] == [(OF_JANUARY, -10)]

    def test_can_ask_for_more(self) -> None:
        subscription = subscribe_to(Aggregation.AVERAGE)
        use(subscription, 9, at=START)
        gone = use(subscription, 1, at=START)
        run(subscription, at=FEBRUARY + HOUR)

        void(gone, at=FEBRUARY + DAY)
        run(subscription, at=MARCH + HOUR)

        # An average of 5; of 9 without the small one.
        assert read_lines(subscription) == [[("Seats", 5)], [(OF_JANUARY, 4)]]

    def test_leave_fees_alone(self) -> None:
        plan = make_plan()
        read = MeterDefinition.read(event_type=EVENT_TYPE, property="seats")
        make_sku(plan, name="Seats", meter=read, params={"unit_amount_nanos": str(DOLLAR)})
        fee = {"pricing_model": PricingModel.FLAT, "params": {"unit_amount_nanos": str(50 * DOLLAR)}}
        for timing in (BillingTiming.ADVANCE, BillingTiming.ARREARS):
            make_sku(plan, name=str(timing), meter=None, billing_timing=timing, **fee)
        subscription = subscribe(plan=plan, start_at=START, at=START)
        gone = use(subscription, 9, at=START)
        run(subscription, at=FEBRUARY + HOUR)

        void(gone, at=FEBRUARY + DAY)
        run(subscription, at=MARCH + HOUR)

        assert read_lines(subscription)[1:] == [
            [("Seats", 9), ("Arrears", 50), ("Advance", 50)],
            [("Arrears", 50), (OF_JANUARY, -9), ("Advance", 50)],
        ]

    def test_of_a_free_trial_give_nothing_back(self) -> None:
        subscription = subscribe_to(Aggregation.SUM, terms={"trial_days": 31, "trial_usage": TrialUsage.FREE})
        gone = use(subscription, 9, at=START)
        run(subscription, at=FEBRUARY + HOUR)

        void(gone, at=FEBRUARY + DAY)
        run(subscription, at=MARCH + HOUR)

        assert not Invoice.objects.exists()

    def test_explain_themselves(self) -> None:
        subscription = subscribe_to(Aggregation.SUM)
        gone = use(subscription, 9, at=START)
        use(subscription, 1, at=START)
        run(subscription, at=FEBRUARY + HOUR)
        void(gone, at=FEBRUARY + DAY)
        use(subscription, 100, at=FEBRUARY + DAY)

        preview = preview_invoice(subscription_id=subscription.pk, at=FEBRUARY + 2 * DAY)

        (line,) = [line for line in preview.lines if line.description == OF_JANUARY]
        assert (line.quantity, line.rated_quantity, line.billed_nanos) == (-9, 1, 10 * DOLLAR)
        assert (line.period_start, line.period_end) == (START, FEBRUARY)
        assert [(step["key"], step["amount_nanos"]) for step in line.steps] == [
            ("units", str(DOLLAR)),
            ("billed-before", str(-10 * DOLLAR)),
        ]
        assert preview.invoice.total_nanos == 91 * DOLLAR

    def test_cost_others_one_query(self) -> None:
        subscription = subscribe_to(Aggregation.SUM)
        use(subscription, 9, at=START)

        with CaptureQueriesContext(connection) as queries:
            bill_period(subscription_id=subscription.pk, period_id=None, at=START + DAY, actor=TESTER)

        tables = ("metering_usagecorrection", "metering_eventvoid")
        asked = [query["sql"] for query in queries if any(table in query["sql"] for table in tables)]
        assert len(asked) == 1


class TestPreview:
    def select(self, *events: Event) -> EventSelection:
        ids = tuple(event["id"] for event in events)
        return EventSelection(customer_id=events[0]["customer_id"], event_ids=ids)

    def test_changes_nothing(self) -> None:
        subscription = subscribe_to(Aggregation.SUM)
        gone = use(subscription, 9, at=START)
        with connection.cursor() as cursor:
            cursor.execute("SELECT sum(total), sum(event_count) FROM metering_usagerollup")
            before = cursor.fetchall()

            preview = preview_priced_void(selection=self.select(gone), at=START + DAY, actor=TESTER)

            cursor.execute("SELECT sum(total), sum(event_count) FROM metering_usagerollup")
            assert cursor.fetchall() == before
        assert preview.usage.event_count == 1
        assert not UsageCorrection.objects.exists()
        assert not EventVoid.objects.exists()
        assert not LateUsage.objects.exists()
        assert not Invoice.objects.exists()
        assert find_breaches() == []

    def test_is_what_the_bill_then_says(self) -> None:
        subscription = subscribe_to(Aggregation.SUM)
        gone = use(subscription, 9, at=START)
        use(subscription, 1, at=START)
        run(subscription, at=FEBRUARY + HOUR)
        use(subscription, 20, at=FEBRUARY + DAY)

        preview = preview_priced_void(selection=self.select(gone), at=FEBRUARY + 2 * DAY, actor=TESTER)

        (effect,) = preview.usage.effects
        assert (effect.period.number, effect.meter.code) == (0, "it")
        assert (effect.before.quantity, effect.after.quantity) == (Decimal(10), Decimal(1))
        (charge,) = preview.charges
        assert (charge.before_nanos, charge.after_nanos, charge.difference_nanos) == (
            20 * DOLLAR,
            11 * DOLLAR,
            -9 * DOLLAR,
        )
        void(gone, at=FEBRUARY + 2 * DAY)
        run(subscription, at=MARCH + HOUR)
        assert read_lines(subscription)[1:] == [[("Seats", 20), (OF_JANUARY, -9)]]

    def test_of_unmatched_events_is_that_nothing_changes(self) -> None:
        subscription = subscribe_to(Aggregation.SUM)
        event = write_event(subscription.customer, timestamp=START, event_type="other")
        ingest(event, at=START)

        preview = preview_priced_void(selection=self.select(event), at=START, actor=TESTER)

        assert (preview.usage.event_count, preview.usage.unmatched_count) == (1, 1)
        assert (preview.usage.effects, preview.charges) == ((), ())

    def test_of_what_is_void_is_refused(self) -> None:
        subscription = subscribe_to(Aggregation.SUM)
        event = use(subscription, 9, at=START)
        void(event, at=START)

        with pytest.raises(NothingToVoid):
            preview_priced_void(selection=self.select(event), at=START, actor=TESTER)

    def test_looks_at_so_many_periods(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(previews, "PREVIEWED_PERIODS_LIMIT", 1)
        subscription = subscribe_to(Aggregation.SUM)
        events = [use(subscription, 9, at=START), use(subscription, 9, at=FEBRUARY)]

        with pytest.raises(TooManyPeriodsSelected):
            preview_priced_void(selection=self.select(*events), at=FEBRUARY, actor=TESTER)
