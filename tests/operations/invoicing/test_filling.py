"""Billing waits for meters that have not counted everything yet."""

from datetime import timedelta

import pytest

from catalog.models import Meter
from invoicing.models import BillRunItem, BillRunItemStatus, BillRunTrigger, Invoice, InvoiceStatus
from invoicing.runs.bill_runs import BUSY_DELAY, start_bill_run, work_bill_run
from invoicing.runs.billing import bill_period
from invoicing.runs.composition import MeterFilling
from invoicing.runs.previews import preview_invoice
from metering.models import MeterFill
from metering.operations import filling, start_fill
from metering.tasks import fill_meters
from subscriptions.models import Subscription
from tests.api.problems import read_problem
from tests.factories.core import TESTER, make_client
from tests.factories.metering import INPUT, OUTPUT, ingest, make_metered_plan, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

START = utc(2026, 1, 15)
CLOSED = utc(2026, 2, 15, 1)


@pytest.fixture
def subscription(monkeypatch: pytest.MonkeyPatch) -> Subscription:
    """Subscribe to a plan with two meters, one of which is being filled."""
    monkeypatch.setattr(filling, "FEW_EVENTS", 0)
    made = subscribe(plan=make_metered_plan(), start_at=START, at=START)
    ingest(write_event(made, timestamp=START), at=START)
    start_fill(meter_id=Meter.objects.get(code=INPUT).pk, at=START, actor=TESTER)
    return made


def bill(subscription: Subscription) -> Invoice:
    invoice, _ = bill_period(subscription_id=subscription.pk, period_id=None, at=START, actor=TESTER)
    return invoice


class TestAFill:
    def test_holds_up_a_bill_and_its_preview_until_it_is_done(self, subscription: Subscription) -> None:
        with pytest.raises(MeterFilling, match=INPUT):
            bill(subscription)
        with pytest.raises(MeterFilling):
            preview_invoice(subscription_id=subscription.pk, at=START)
        assert not Invoice.objects.exists()

        fill_meters()

        assert bill(subscription).lines.count() == 2
        assert len(preview_invoice(subscription_id=subscription.pk, at=START).lines) == 2
        assert find_breaches() == []

    def test_holds_up_nobody_whose_plan_does_not_ask_for_the_meter(self, subscription: Subscription) -> None:
        MeterFill.objects.update(meter=Meter.objects.get(code=OUTPUT))
        with pytest.raises(MeterFilling, match=OUTPUT):
            bill(subscription)

        assert bill(subscribe(start_at=START, at=START)).status == InvoiceStatus.DRAFT

    def test_makes_a_bill_run_come_back_later(self, subscription: Subscription) -> None:
        run = start_bill_run(at=CLOSED, trigger=BillRunTrigger.BEAT)
        assert run is not None

        assert work_bill_run(run_id=run.pk, read_now=lambda: CLOSED, actor=TESTER) == 0
        item = BillRunItem.objects.get()
        assert (item.status, item.attempts) == (BillRunItemStatus.CLAIMED, 0)
        assert item.lease_expires_at == CLOSED + BUSY_DELAY

        fill_meters()
        later = CLOSED + timedelta(minutes=1)
        assert work_bill_run(run_id=run.pk, read_now=lambda: later, actor=TESTER) == 1
        assert BillRunItem.objects.get().status == BillRunItemStatus.SUCCEEDED
        assert Invoice.objects.get().status != InvoiceStatus.DRAFT

    def test_is_a_503_to_whoever_asks_for_a_bill(self, subscription: Subscription) -> None:
        answer = make_client().post(f"/admin/v1/subscriptions/{subscription.pk}/bill")

        assert read_problem(answer)[:2] == (503, "meter_filling")
