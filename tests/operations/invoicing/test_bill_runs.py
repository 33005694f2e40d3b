"""Bill runs: who is in one, who works on it, and what happens to what cannot be billed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing_project.core.errors import Busy
from invoicing.models import (
    BillRun,
    BillRunItem,
    BillRunItemStatus,
    BillRunStatus,
    BillRunTrigger,
    Invoice,
)
from invoicing.runs import bill_runs, subscription_run
from invoicing.runs.bill_runs import (
    CLAIM_LIMIT,
    LEASE,
    ItemNotParked,
    find_workable_run_ids,
    release_parked_item,
    start_bill_run,
    work_bill_run,
)
from subscriptions.models import Subscription
from tests.factories.core import TESTER, drain_outbox
from tests.factories.metering import ingest, make_metered_plan, write_event
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

START = utc(2026, 1, 15)
CLOSED = utc(2026, 2, 15, 1)


def make_due(*, count: int = 1) -> list[Subscription]:
    """Make subscriptions whose first period has something to bill, and is over at CLOSED."""
    plan = make_metered_plan()
    made = [subscribe(plan=plan, start_at=START, at=START) for _ in range(count)]
    for subscription in made:
        ingest(write_event(subscription, timestamp=START), at=START)
    return made


def start(at: datetime = CLOSED) -> BillRun:
    run = start_bill_run(at=at, trigger=BillRunTrigger.BEAT)
    assert run is not None
    return run


def work(run: BillRun, *, now: datetime = CLOSED) -> int:
    return work_bill_run(run_id=run.pk, read_now=lambda: now, actor=TESTER)


def list_statuses(run: BillRun) -> list[str]:
    return list(run.items.order_by("pk").values_list("status", flat=True))


def fail_for(monkeypatch: pytest.MonkeyPatch, subscription: Subscription, error: Exception) -> None:
    """Have the billing of one subscription fail."""
    bill = subscription_run.run_subscription

    def run_subscription(**arguments: Any) -> Sequence[Invoice]:
        if arguments["subscription_id"] == subscription.pk:
            raise error
        return bill(**arguments)

    monkeypatch.setattr(bill_runs, "run_subscription", run_subscription)


class TestStart:
    def test_takes_what_is_due_and_nothing_else(self) -> None:
        (subscription,) = make_due()
        subscribe(plan=make_metered_plan(), start_at=utc(2026, 3, 1), at=START)

        run = start()

        assert list(run.items.values_list("subscription_id", flat=True)) == [subscription.pk]

    def test_leaves_out_what_another_run_has(self) -> None:
        make_due(count=2)
        start()

        assert start_bill_run(at=CLOSED, trigger=BillRunTrigger.COMMAND) is None
        assert BillRun.objects.count() == 1

    def test_finds_nothing_to_do_twice(self) -> None:
        make_due()
        work(start())

        assert start_bill_run(at=CLOSED, trigger=BillRunTrigger.BEAT) is None


class TestWork:
    def test_bills_each_once_and_completes_the_run(self) -> None:
        make_due(count=3)
        run = start()

        assert work(run) == 3

        run.refresh_from_db()
        assert (run.status, run.completed_at) == (BillRunStatus.COMPLETED, CLOSED)
        assert list_statuses(run) == ["Succeeded"] * 3
        numbers = Invoice.objects.order_by("invoice_number").values_list("invoice_number", flat=True)
        assert list(numbers) == ["INV-000001", "INV-000002", "INV-000003"]
        assert find_breaches() == []

    def test_leaves_claimed_items_alone_until_their_lease_is_over(self) -> None:
        make_due()
        run = start()
        run.items.update(status=BillRunItemStatus.CLAIMED, lease_expires_at=CLOSED + LEASE, attempts=1)

        assert work(run, now=CLOSED + LEASE - timedelta(seconds=1)) == 0
        assert find_workable_run_ids(now=CLOSED + LEASE) == [run.pk]
        assert work(run, now=CLOSED + LEASE) == 1
        assert Invoice.objects.count() == 1

    def test_parks_what_cannot_be_billed_and_bills_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = make_due(count=2)
        fail_for(monkeypatch, first, RuntimeError("a bug"))
        run = start()

        assert work(run) == 2

        parked = run.items.get(subscription=first)
        assert (parked.status, parked.problem) == (BillRunItemStatus.PARKED, "RuntimeError: a bug")
        assert Invoice.objects.get().subscription_id == second.pk
        assert start_bill_run(at=CLOSED + timedelta(days=1), trigger=BillRunTrigger.BEAT) is None

    def test_takes_up_later_what_is_busy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (subscription,) = make_due()
        fail_for(monkeypatch, subscription, Busy("Somebody holds it."))
        run = start()

        assert work(run) == 0
        assert list_statuses(run) == ["Claimed"]
        monkeypatch.undo()
        assert work(run, now=CLOSED + timedelta(seconds=5)) == 1
        assert list_statuses(run) == ["Succeeded"]

    @pytest.mark.parametrize(("earlier", "status"), [(CLAIM_LIMIT - 2, "Succeeded"), (CLAIM_LIMIT, "Parked")])
    def test_gives_up_on_what_kills_its_workers(self, earlier: int, status: str) -> None:
        make_due()
        run = start()
        run.items.update(attempts=earlier)

        work(run)

        assert list_statuses(run) == [status]


class TestRelease:
    def test_lets_a_parked_subscription_be_billed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (subscription,) = make_due()
        fail_for(monkeypatch, subscription, RuntimeError("a bug"))
        work(start())
        monkeypatch.undo()

        item = BillRunItem.objects.get()
        release_parked_item(item_id=item.pk, at=CLOSED, actor=TESTER)
        assert work(start()) == 1
        assert Invoice.objects.count() == 1

        with pytest.raises(ItemNotParked):
            release_parked_item(item_id=item.pk, at=CLOSED, actor=TESTER)


class TestNewSubscription:
    def test_has_a_run_started_by_its_event(self) -> None:
        (subscription,) = make_due()

        drain_outbox()

        run = BillRun.objects.get()
        assert (run.trigger, run.items.get().subscription_id) == (BillRunTrigger.EVENT, subscription.pk)
        assert work(run, now=CLOSED) == 1
