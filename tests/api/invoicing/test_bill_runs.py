"""Bill runs over HTTP."""

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind
from customers.models import TestClock
from invoicing.models import BillRun, BillRunItem, BillRunItemStatus, BillRunTrigger
from invoicing.runs.bill_runs import start_bill_run
from tests.api.problems import read_problem
from tests.factories.core import NOON, make_client
from tests.factories.invoicing import Contract, make_contract

pytestmark = pytest.mark.django_db

PATH = "/admin/v1/bill-runs"


def make_run(*contracts: Contract, trigger: BillRunTrigger = BillRunTrigger.COMMAND) -> BillRun:
    run = start_bill_run(
        at=NOON,
        trigger=trigger,
        subscription_ids=[contract.subscription.pk for contract in contracts],
    )
    assert run is not None
    return run


class TestBillRuns:
    def test_are_listed(self, client: APIClient) -> None:
        first = make_run(make_contract())
        second = make_run(make_contract(), trigger=BillRunTrigger.STAFF)

        assert [run["id"] for run in client.get(PATH).json()] == [str(second.pk), str(first.pk)]
        assert [run["id"] for run in client.get(PATH, {"trigger": "Staff"}).json()] == [str(second.pk)]
        assert client.get(PATH, {"status": "Completed"}).json() == []
        assert client.get(PATH, {"test_clock_id": str(make_id())}).json() == []
        assert client.get(PATH, {"state": "Running"}).status_code == 422

    def test_show_what_became_of_the_subscriptions(self, client: APIClient) -> None:
        run = make_run(make_contract(), make_contract(), make_contract())
        items = list(BillRunItem.objects.order_by("pk"))
        BillRunItem.objects.filter(pk=items[0].pk).update(status=BillRunItemStatus.SUCCEEDED, invoice_count=2)
        BillRunItem.objects.filter(pk=items[1].pk).update(
            status=BillRunItemStatus.PARKED, problem="Conflict: no."
        )

        answer = client.get(f"{PATH}/{run.pk}")

        assert answer.status_code == 200
        shown = answer.json()
        assert (shown["trigger"], shown["status"], shown["at"]) == (
            "Command",
            "Running",
            "2026-02-28T12:00:00Z",
        )
        assert (
            shown["pending_count"],
            shown["claimed_count"],
            shown["succeeded_count"],
            shown["parked_count"],
            shown["invoice_count"],
        ) == (1, 0, 1, 1, 2)

    def test_know_only_what_there_is(self, client: APIClient) -> None:
        assert client.get(f"{PATH}/{make_id()}").status_code == 404

    def test_of_a_clock_name_it(self, client: APIClient, contract: Contract) -> None:
        clock = TestClock.objects.get()
        run = start_bill_run(at=NOON, trigger=BillRunTrigger.CLOCK, test_clock_id=clock.pk)
        assert run is not None

        assert client.get(f"{PATH}/{run.pk}").json()["test_clock_id"] == str(clock.pk)

    def test_are_for_those_with_the_scope(self) -> None:
        without = make_client(kind=ApiKeyKind.RESTRICTED, scopes=["invoices:read"])

        assert read_problem(without.get(PATH))[:2] == (403, "missing_scope")


class TestItems:
    def test_are_listed(self, client: APIClient) -> None:
        contract, other = make_contract(), make_contract()
        run = make_run(contract)
        make_run(other)
        BillRunItem.objects.filter(run=run).update(status=BillRunItemStatus.PARKED, problem="Conflict: no.")

        answer = client.get(f"{PATH}/{run.pk}/items")

        (item,) = answer.json()
        assert (item["run_id"], item["subscription_id"]) == (str(run.pk), str(contract.subscription.pk))
        assert (item["status"], item["problem"]) == ("Parked", "Conflict: no.")

    def test_are_filtered(self, client: APIClient) -> None:
        contract = make_contract()
        run = make_run(contract, make_contract())
        path = f"{PATH}/{run.pk}/items"

        assert len(client.get(path).json()) == 2
        assert len(client.get(path, {"subscription_id": str(contract.subscription.pk)}).json()) == 1
        assert client.get(path, {"status": "Parked"}).json() == []
        assert client.get(path, {"status": "parked"}).status_code == 422
