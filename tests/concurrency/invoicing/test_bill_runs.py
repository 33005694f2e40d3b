"""Several workers on one run, several calls for one bill: each period is billed once."""

from functools import partial

import pytest

from billing_project.core.errors import Busy
from invoicing.invoices.states import InvoiceNotDraft
from invoicing.models import BillRunTrigger, Invoice
from invoicing.runs.bill_runs import start_bill_run, work_bill_run
from invoicing.runs.billing import bill_period
from invoicing.runs.finalization import finalize, prepare_finalization
from invoicing.runs.subscription_run import run_subscription
from tests.concurrency.racing import race
from tests.factories.core import TESTER
from tests.factories.metering import ingest, make_metered_plan, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db(transaction=True)

START = utc(2026, 1, 15)
CLOSED = utc(2026, 2, 15, 1)


class TestWorkBillRun:
    def test_by_four_workers_bills_each_subscription_once(self) -> None:
        plan = make_metered_plan()
        for _ in range(30):
            ingest(write_event(subscribe(plan=plan, start_at=START, at=START), timestamp=START), at=START)
        runs = [
            outcome
            for outcome in race(*[partial(start_bill_run, at=CLOSED, trigger=BillRunTrigger.BEAT)] * 4)
            if outcome is not None
        ]

        work = [
            partial(work_bill_run, run_id=run.pk, read_now=lambda: CLOSED, actor=TESTER)
            for run in runs
            for _ in range(2)
        ]
        finished = race(*work)

        assert sum(finished) == 30
        numbers = Invoice.objects.order_by("invoice_number").values_list("invoice_number", flat=True)
        assert list(numbers) == [f"INV-{number:06d}" for number in range(1, 31)]
        assert find_breaches() == []

    def test_of_one_subscription_at_once_bills_it_once(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        ingest(write_event(subscription, timestamp=START), at=START)

        race(*[partial(run_subscription, subscription_id=subscription.pk, at=CLOSED, actor=TESTER)] * 8)

        assert Invoice.objects.get().invoice_number == "INV-000001"
        assert find_breaches() == []


class TestBillPeriod:
    def test_called_many_times_at_once_makes_one_draft_and_one_invoice(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=START, at=START)
        ingest(write_event(subscription, timestamp=START), at=START)
        bill = partial(
            bill_period, subscription_id=subscription.pk, period_id=None, at=utc(2026, 1, 16), actor=TESTER
        )

        made = [is_new for _, is_new in race(*[bill] * 16)]
        assert sorted(made) == [False] * 15 + [True]

        draft = Invoice.objects.get()
        prepare_finalization(invoice_id=draft.pk, at=utc(2026, 1, 16), actor=TESTER)
        outcomes = race(*[partial(finalize, invoice_id=draft.pk, at=utc(2026, 1, 16), actor=TESTER)] * 16)
        failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert len(failed) == 15
        assert all(isinstance(error, (InvoiceNotDraft, Busy)) for error in failed)
        assert Invoice.objects.get().invoice_number == "INV-000001"
        assert find_breaches() == []
