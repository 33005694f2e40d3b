"""Billing waits for meters that have not counted everything yet."""

from datetime import datetime, timedelta

import pytest

from catalog.models import Aggregation, Meter
from catalog.operations import MeterDefinition
from invoicing.models import BillRunItem, BillRunItemStatus, BillRunTrigger, Invoice, InvoiceStatus
from invoicing.runs.bill_runs import BUSY_DELAY, start_bill_run, work_bill_run
from invoicing.runs.billing import bill_period
from invoicing.runs.composition import MeterFilling
from invoicing.runs.previews import preview_invoice
from metering.models import FillStatus, MeterFill
from metering.operations import filling, start_fill
from metering.tasks import fill_meters
from subscriptions.models import Subscription
from subscriptions.operations import ensure_periods
from tests.api.problems import read_problem
from tests.factories.catalog import make_sku
from tests.factories.core import TESTER, drain_outbox, make_client
from tests.factories.metering import EVENT_TYPE, INPUT, OUTPUT, ingest, make_metered_plan, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

START = utc(2026, 1, 15)
SECOND = utc(2026, 2, 20)  # In the second period.
CLOSED = utc(2026, 3, 15, 1)  # That is over.
STORED = "stored"


@pytest.fixture
def subscription(monkeypatch: pytest.MonkeyPatch) -> Subscription:
    """Subscribe to a plan with a level that carries over, whose meter is being filled in the second period."""
    monkeypatch.setattr(filling, "FEW_EVENTS", 0)
    plan = make_metered_plan()
    definition = MeterDefinition.read(
        event_type=EVENT_TYPE, property="gb", aggregation=Aggregation.WEIGHTED_SUM, carries_over=True
    )
    make_sku(plan, name="Stored", meter=definition, meter_code=STORED)
    drain_outbox()
    made = subscribe(plan=plan, start_at=START, at=START)
    ingest(write_event(made, timestamp=START, properties={"gb": 1, "input_tokens": 1}), at=START)
    start_fill(meter_id=Meter.objects.get(code=STORED).pk, at=START, actor=TESTER)
    return made


def bill(subscription: Subscription, *, at: datetime = SECOND) -> Invoice:
    invoice, _ = bill_period(subscription_id=subscription.pk, period_id=None, at=at, actor=TESTER)
    return invoice


class TestAFill:
    def test_holds_up_a_bill_and_its_preview_until_it_is_done(self, subscription: Subscription) -> None:
        with pytest.raises(MeterFilling, match=STORED):
            bill(subscription)
        with pytest.raises(MeterFilling):
            preview_invoice(subscription_id=subscription.pk, at=SECOND)
        assert not Invoice.objects.exists()

        fill_meters()

        assert bill(subscription).lines.count() == 3
        assert len(preview_invoice(subscription_id=subscription.pk, at=SECOND).lines) == 3
        assert find_breaches() == []

    def test_does_not_hold_up_a_first_period_to_which_nothing_is_carried(
        self, subscription: Subscription
    ) -> None:
        assert bill(subscription, at=START).lines.count() == 3

    def test_does_not_hold_up_a_meter_that_carries_nothing_over(self, subscription: Subscription) -> None:
        for code in (INPUT, OUTPUT):
            MeterFill.objects.create(meter=Meter.objects.get(code=code))
        MeterFill.objects.get(meter__code=STORED, status=FillStatus.PENDING).delete()

        assert bill(subscription).lines.count() == 3

    def test_holds_up_nobody_whose_plan_does_not_ask_for_the_meter(self, subscription: Subscription) -> None:
        assert bill(subscribe(start_at=START, at=START)).status == InvoiceStatus.DRAFT

    def test_makes_a_bill_run_come_back_later(self, subscription: Subscription) -> None:
        run = start_bill_run(at=CLOSED, trigger=BillRunTrigger.BEAT)
        assert run is not None

        assert work_bill_run(run_id=run.pk, read_now=lambda: CLOSED, actor=TESTER) == 0
        item = BillRunItem.objects.get()
        assert (item.status, item.attempts) == (BillRunItemStatus.CLAIMED, 0)
        assert item.lease_expires_at == CLOSED + BUSY_DELAY
        assert [invoice.status for invoice in Invoice.objects.all()] == [
            InvoiceStatus.PAID
        ]  # The first, of less than a cent.

        fill_meters()
        later = CLOSED + timedelta(minutes=1)
        assert work_bill_run(run_id=run.pk, read_now=lambda: later, actor=TESTER) == 1
        assert BillRunItem.objects.get().status == BillRunItemStatus.SUCCEEDED
        assert [invoice.status for invoice in Invoice.objects.all()] == [InvoiceStatus.PAID] * 2

    def test_is_a_503_to_whoever_asks_for_a_bill(self, subscription: Subscription) -> None:
        ensure_periods(subscription_ids=[subscription.pk], until=SECOND)
        second = subscription.periods.get(number=1)

        answer = make_client().post(
            f"/admin/v1/subscriptions/{subscription.pk}/bill", {"period": str(second.pk)}
        )

        assert read_problem(answer)[:2] == (503, "meter_filling")
