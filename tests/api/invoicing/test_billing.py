"""Billing over HTTP: on demand, the invoice to come, and letting time pass on a test clock."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from rest_framework.test import APIClient

from billing_project.core.api.fields import format_instant
from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyRole, AuditEntry
from customers.models import Customer, TestClock
from customers.operations import begin_clock_advance, move_clock
from invoicing import tasks
from invoicing.models import Invoice, InvoiceLine
from metering.models import UsageEvent
from subscriptions.models import Period, Subscription
from tests.api.problems import read_problem
from tests.factories.core import NOON, TESTER, make_client
from tests.factories.invoicing import Contract, close, make_contract
from tests.factories.metering import ingest, make_metered_plan, write_event
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db


@pytest.fixture
def subscription(customer: Customer) -> Subscription:
    """A subscription that has used 4,977,500 input and 1,247,500 output tokens."""
    subscription = subscribe(customer=customer, plan=make_metered_plan(), trial_days=14)
    use(subscription, 4_977_500, 1_247_500)
    return subscription


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would have gone to the broker."""
    sent: list[dict[str, Any]] = []

    def send_task(name: str, *, kwargs: dict[str, str], **_: object) -> None:
        sent.append({"task": name, **kwargs})

    monkeypatch.setattr(current_app, "send_task", send_task)  # The way to the broker.
    return sent


def use(subscription: Subscription, input_tokens: int, output_tokens: int) -> None:
    properties = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    ingest(write_event(subscription, properties=properties))


def bill(client: APIClient, subscription: Subscription, **body: object) -> Any:
    return client.post(f"/admin/v1/subscriptions/{subscription.pk}/bill", body or None)


class TestBill:
    def test_makes_a_draft_of_what_was_used(self, client: APIClient, subscription: Subscription) -> None:
        answer = bill(client, subscription)

        assert answer.status_code == 201
        shown = answer.json()
        assert (shown["status"], shown["reason"], shown["subscription_id"]) == (
            "Draft",
            "OnDemand",
            str(subscription.pk),
        )
        assert [
            (line["meter_id"], line["quantity"], line["amount_nanos"]) for line in shown["line_items"]
        ] == [
            ("llm.completion.input_tokens", "4977500", "9955000000000"),
            ("llm.completion.output_tokens", "1247500", "2495000000000"),
        ]
        assert shown["total_nanos"] == "12450000000000"

    def test_refreshes_the_draft_there_is(self, client: APIClient, subscription: Subscription) -> None:
        made = bill(client, subscription)
        use(subscription, 500, 0)

        answer = bill(client, subscription)

        assert (answer.status_code, answer.json()["id"]) == (200, made.json()["id"])
        assert answer.json()["line_items"][0]["quantity"] == "4978000"
        assert Invoice.objects.count() == 1

    def test_bills_each_quantity_once(self, client: APIClient, subscription: Subscription) -> None:
        first = bill(client, subscription).json()
        client.post(f"/admin/v1/invoices/{first['id']}/finalize")
        use(subscription, 500, 0)

        second = bill(client, subscription)

        assert second.status_code == 201
        assert [line["quantity"] for line in second.json()["line_items"]] == ["500"]
        assert second.json()["line_items"][0]["amount_nanos"] == str(500 * 2_000_000)
        assert find_breaches() == []

    def test_works_without_usage(self, client: APIClient, customer: Customer) -> None:
        subscription = subscribe(customer=customer, plan=make_metered_plan(), trial_days=14)

        answer = bill(client, subscription)

        assert answer.status_code == 201
        assert answer.json()["total_nanos"] == "0"
        assert [line["quantity"] for line in answer.json()["line_items"]] == ["0", "0"]

    def test_bills_the_period_that_is_named(self, client: APIClient, subscription: Subscription) -> None:
        period = Period.objects.get(number=0)
        clock = TestClock.objects.get()
        later = period.ends_at + timedelta(minutes=5)
        begin_clock_advance(test_clock_id=clock.pk, to=later, at=NOON, actor=TESTER)
        move_clock(test_clock_id=clock.pk, to=later, at=NOON, actor=TESTER)

        ended = bill(client, subscription, period=str(period.pk))
        present = bill(client, subscription)

        assert (ended.status_code, ended.json()["reason"]) == (201, "PeriodEnd")
        assert ended.json()["period_end"] == format_instant(period.ends_at)
        assert (present.status_code, present.json()["reason"]) == (201, "OnDemand")
        assert present.json()["total_nanos"] == "0"

    def test_refuses_a_closed_period(self, client: APIClient, contract: Contract) -> None:
        close(contract)

        answer = bill(client, contract.subscription, period=str(contract.period.pk))

        assert read_problem(answer)[:2] == (409, "period_closed")
        assert not Invoice.objects.exists()

    def test_refuses_a_period_of_another_subscription(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        other = make_contract()

        assert bill(client, subscription, period=str(other.period.pk)).status_code == 404

    def test_refuses_what_is_not_there(self, client: APIClient) -> None:
        assert client.post(f"/admin/v1/subscriptions/{make_id()}/bill").status_code == 404

    @pytest.mark.parametrize(("body", "field"), [({"period": "now"}, "period"), ({"when": "Now"}, "when")])
    def test_refuses_what_it_does_not_understand(
        self, client: APIClient, subscription: Subscription, body: dict[str, str], field: str
    ) -> None:
        status, _, problems = read_problem(bill(client, subscription, **body))

        assert (status, [name for name, _ in problems]) == (422, [field])
        assert not Invoice.objects.exists()

    def test_is_finances_to_do(self, subscription: Subscription) -> None:
        answer = bill(make_client(role=ApiKeyRole.SUPPORT), subscription)

        assert read_problem(answer)[:2] == (403, "missing_scope")
        assert not Invoice.objects.exists()


class TestUpcomingInvoice:
    def test_shows_what_the_period_would_end_with(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        answer = client.get(f"/v1/subscriptions/{subscription.pk}/upcoming-invoice")

        assert answer.status_code == 200
        shown = answer.json()
        assert "id" not in shown
        assert (shown["status"], shown["reason"], shown["invoice_number"]) == ("Draft", "PeriodEnd", None)
        assert shown["total_nanos"] == "12450000000000"
        assert [line["amount_nanos"] for line in shown["line_items"]] == ["9955000000000", "2495000000000"]
        assert all("id" not in line for line in shown["line_items"])

    def test_stores_nothing(self, client: APIClient, subscription: Subscription) -> None:
        before = (Period.objects.count(), AuditEntry.objects.count(), UsageEvent.objects.count())

        client.get(f"/v1/subscriptions/{subscription.pk}/upcoming-invoice")

        assert (Period.objects.count(), AuditEntry.objects.count(), UsageEvent.objects.count()) == before
        assert not Invoice.objects.exists()
        assert not InvoiceLine.objects.exists()

    def test_knows_only_what_there_is(self, client: APIClient) -> None:
        assert client.get(f"/v1/subscriptions/{make_id()}/upcoming-invoice").status_code == 404


class TestAdvance:
    def path(self, clock: TestClock) -> str:
        return f"/admin/v1/test-clocks/{clock.pk}/advance"

    def test_sets_a_clock_on_its_way(
        self,
        client: APIClient,
        contract: Contract,
        sent: list[dict[str, Any]],
        django_capture_on_commit_callbacks: Callable[..., Any],
    ) -> None:
        clock = TestClock.objects.get()

        with django_capture_on_commit_callbacks(execute=True):
            answer = client.post(self.path(clock), {"to": "2026-05-01T00:00:00Z"})

        assert answer.status_code == 202
        assert (answer.json()["id"], answer.json()["status"]) == (str(clock.pk), "Advancing")
        assert answer.json()["target_at"] == "2026-05-01T00:00:00Z"
        assert sent == [{"task": tasks.advance_test_clock.name, "test_clock_id": str(clock.pk)}]

    @pytest.mark.parametrize("body", [{}, {"to": "2026-05-01T00:00:00"}, {"to": "2026-02-28T11:00:00Z"}])
    def test_refuses_what_is_no_time_to_come(
        self,
        client: APIClient,
        contract: Contract,
        sent: list[dict[str, Any]],
        body: dict[str, str],
    ) -> None:
        clock = TestClock.objects.get()

        answer = client.post(self.path(clock), body)

        status, _, problems = read_problem(answer)
        assert (status, [name for name, _ in problems]) == (422, ["to"])
        clock.refresh_from_db()
        assert (clock.status, clock.now_at, sent) == ("Ready", NOON, [])

    def test_is_not_for_those_who_only_read(self, contract: Contract, sent: list[dict[str, Any]]) -> None:
        clock = TestClock.objects.get()

        answer = make_client(role=ApiKeyRole.READ_ONLY).post(self.path(clock), {"to": "2026-05-01T00:00:00Z"})

        assert read_problem(answer)[:2] == (403, "missing_scope")
        assert sent == []
