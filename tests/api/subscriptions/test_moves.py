"""Moving subscriptions over HTTP, and looking at what a move comes to first."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from catalog.models import BillingTiming, PricingModel, Sku
from customers.models import TestClock
from invoicing.models import Invoice
from invoicing.runs.subscription_run import run_subscription
from subscriptions.models import Period, PlannedChange, Segment, Subscription, SubscriptionStatus
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import TESTER, make_client
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

PATH = "/v1/subscriptions"
DOLLAR = 10**12
START = utc(2026, 3, 1)
DAY_11 = utc(2026, 3, 11)
END = utc(2026, 4, 1)


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def clock() -> TestClock:
    return make_test_clock(now_at=START)


@pytest.fixture
def sku() -> Sku:
    return make_sku(
        make_plan(),
        name="Seats",
        meter=None,
        pricing_model=PricingModel.PER_UNIT,
        params={"unit_amount_nanos": str(31 * DOLLAR)},
        billing_timing=BillingTiming.ADVANCE,
    )


@pytest.fixture
def subscription(sku: Sku, clock: TestClock) -> Subscription:
    """Five seats for $31 each, billed for March; it is the 11th."""
    customer = make_customer(test_clock_id=clock.pk)
    made = subscribe(customer=customer, plan=sku.plan, quantities={sku.pk: Decimal(5)}, at=START)
    run_subscription(subscription_id=made.pk, at=START, actor=TESTER)
    TestClock.objects.update(now_at=DAY_11)
    return made


def post(client: APIClient, subscription: Subscription, verb: str, body: dict[str, Any]) -> Any:
    """Move a subscription, and return what is answered."""
    answer = client.post(f"{PATH}/{subscription.pk}/{verb}", body)
    assert answer.status_code == 200, answer.json()
    assert find_breaches() == []
    return answer.json()


def refuse(client: APIClient, subscription: Subscription, verb: str, body: dict[str, Any]) -> tuple[int, str]:
    """Have a move refused, see that nothing has changed, and return with which status and code."""
    before = read_rows()
    answer = client.post(f"{PATH}/{subscription.pk}/{verb}", body)
    assert read_rows() == before
    return answer.status_code, answer.json()["code"]


def read_rows() -> tuple[list[object], ...]:
    """Read all that a move can change."""
    return (
        list(Subscription.objects.values()),
        list(Period.objects.order_by("number").values()),
        list(Segment.objects.order_by("pk").values()),
        list(PlannedChange.objects.order_by("pk").values()),
        list(Invoice.objects.order_by("pk").values()),
    )


def list_line_items(invoice: dict[str, Any]) -> list[tuple[str, int]]:
    return [(line["description"], int(line["amount_nanos"]) // DOLLAR) for line in invoice["line_items"]]


class TestChange:
    def test_changes_a_quantity_now(self, client: APIClient, subscription: Subscription, sku: Sku) -> None:
        shown = post(client, subscription, "change", {"quantities": {str(sku.pk): "8"}})

        assert shown["items"][0]["quantity"] == "8"
        assert shown["planned_changes"] == []
        first, second = Segment.objects.order_by("position")
        assert (first.ends_at, second.starts_at) == (DAY_11, DAY_11)
        assert list(second.quantities.values()) == ["8"]

    def test_shows_what_is_planned(self, client: APIClient, subscription: Subscription, sku: Sku) -> None:
        large = make_plan(name="Large")
        seats = make_sku(large, meter=None, name="Large seats")
        body = {
            "plan_id": str(large.pk),
            "quantities": {str(seats.pk): "8"},
            "overrides": {str(seats.pk): {"pricing_model": "Flat", "params": {"unit_amount_nanos": "5"}}},
            "when": "PeriodEnd",
        }

        shown = post(client, subscription, "change", body)

        assert shown["plan_id"] == str(sku.plan_id)
        assert [item["sku_id"] for item in shown["items"]] == [str(sku.pk)]
        assert shown["planned_changes"] == [
            {
                "id": str(PlannedChange.objects.get().pk),
                "kind": "Change",
                "effective_at": "2026-04-01T00:00:00Z",
                "plan_id": str(large.pk),
                "plan_version": 1,
                "quantities": {str(seats.pk): "8"},
                "overrides": {str(seats.pk): {"pricing_model": "Flat", "params": {"unit_amount_nanos": "5"}}},
                "timezone": "",
            }
        ]

    def test_takes_an_instant(self, client: APIClient, subscription: Subscription, sku: Sku) -> None:
        body = {"quantities": {str(sku.pk): "8"}, "when": "2026-05-05T12:00:00+02:00"}

        shown = post(client, subscription, "change", body)

        assert shown["planned_changes"][0]["effective_at"] == "2026-05-05T10:00:00Z"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({}, 409, "nothing_to_change"),
            ({"plan_id": str(make_id())}, 422, "unknown_plan"),
            ({"plan_version": 1}, 422, "invalid"),
            ({"when": "2026-03-10T00:00:00Z"}, 422, "instant_not_ahead"),
            ({"when": "2126-03-10T00:00:00Z"}, 422, "instant_not_ahead"),
            ({"when": "2026-03-10T00:00:00"}, 422, "invalid"),
            ({"when": "Later"}, 422, "invalid"),
            ({"quantities": {str(make_id()): "1"}}, 422, "invalid_quantities"),
            ({"quantities": {"x": "1"}}, 422, "invalid"),
            ({"overrides": {str(make_id()): None}}, 422, "invalid_override"),
            ({"overrides": {"x": {"pricing_model": "Flat"}}}, 422, "invalid"),
            ({"seats": 5}, 422, "invalid"),
        ],
    )
    def test_refuses(
        self,
        client: APIClient,
        subscription: Subscription,
        body: dict[str, Any],
        status: int,
        code: str,
    ) -> None:
        found_status, found_code = refuse(client, subscription, "change", body)

        assert found_status == status
        assert code in (found_code, "invalid")

    def test_refuses_a_price_that_is_none(
        self, client: APIClient, subscription: Subscription, sku: Sku
    ) -> None:
        override = {"pricing_model": "PerUnit", "params": {"unit_amount_nanos": "-5"}}

        refused = refuse(client, subscription, "change", {"overrides": {str(sku.pk): override}})

        assert refused == (422, "invalid_override")


class TestPreview:
    def test_is_the_bill(self, client: APIClient, subscription: Subscription, sku: Sku) -> None:
        """$50 of the $155 billed are used; 8 seats for 21 days are $168, and for April $248."""
        before = read_rows()
        body = {"quantities": {str(sku.pk): "8"}}

        preview = post(client, subscription, "change", {**body, "preview": True})

        assert read_rows() == before
        (effect,) = preview["invoices"]
        assert list_line_items(effect["before"]) == [("Seats", 155)]
        assert list_line_items(effect["after"]) == [
            ("Adjustment of Seats, 2026-03-01 to 2026-03-10", -105),
            ("Seats, 2026-03-11 to 2026-03-31", 168),
            ("Seats", 248),
        ]
        assert int(effect["difference_nanos"]) == (-105 + 168 + 248 - 155) * DOLLAR
        assert [int(fee["amount_nanos"]) // DOLLAR for fee in preview["next_fees_before"]] == [155]
        assert [int(fee["amount_nanos"]) // DOLLAR for fee in preview["next_fees_after"]] == [248]

        post(client, subscription, "change", body)
        (invoice,) = run_subscription(
            subscription_id=subscription.pk, at=END + timedelta(hours=1), actor=TESTER
        )
        assert invoice.total_nanos == int(effect["after"]["total_nanos"])
        assert [
            (line.description, line.amount_nanos // DOLLAR) for line in invoice.lines.order_by("position")
        ] == list_line_items(effect["after"])

    def test_tells_what_a_cancellation_gives_back(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        preview = post(client, subscription, "cancel", {"when": "Now", "preview": True})

        assert preview["status"] == "Cancelled"
        assert preview["next_fees_after"] == []
        (effect,) = preview["invoices"]
        assert list_line_items(effect["after"])[0] == ("Adjustment of Seats, 2026-03-01 to 2026-03-10", -105)
        subscription.refresh_from_db()
        assert subscription.status == SubscriptionStatus.ACTIVE

    def test_shows_the_invoice_that_waits_in_the_grace_as_well(
        self, client: APIClient, subscription: Subscription, sku: Sku
    ) -> None:
        TestClock.objects.update(now_at=END + timedelta(minutes=30))

        preview = post(client, subscription, "change", {"quantities": {str(sku.pk): "8"}, "preview": True})

        waiting, current = preview["invoices"]
        assert list_line_items(waiting["before"]) == [("Seats", 155)]
        assert list_line_items(waiting["after"]) == [
            ("Seats, 2026-04-01 to 2026-04-01", 0),
            ("Seats, 2026-04-01 to 2026-04-30", 248),
        ]
        assert list_line_items(current["after"]) == [("Seats", 248)]

    def test_refuses_what_the_move_refuses(self, client: APIClient, subscription: Subscription) -> None:
        assert refuse(client, subscription, "resume", {"preview": True}) == (409, "not_paused")


class TestPauseAndResume:
    def test_pauses_now_and_resumes_later(self, client: APIClient, subscription: Subscription) -> None:
        assert post(client, subscription, "pause", {})["status"] == "Paused"
        assert refuse(client, subscription, "pause", {}) == (409, "already_paused")

        shown = post(client, subscription, "resume", {"when": "PeriodEnd"})

        assert shown["status"] == "Paused"
        assert [change["kind"] for change in shown["planned_changes"]] == ["Resume"]


class TestPhases:
    def test_plans_a_ramp(self, client: APIClient, subscription: Subscription, sku: Sku) -> None:
        phases = [
            {"starts_at": f"2026-0{month}-01T00:00:00Z", "quantities": {str(sku.pk): str(seats)}}
            for month, seats in ((5, 10), (7, 20))
        ]

        shown = post(client, subscription, "phases", {"phases": phases})

        assert [
            (change["effective_at"], change["quantities"][str(sku.pk)]) for change in shown["planned_changes"]
        ] == [("2026-05-01T00:00:00Z", "10"), ("2026-07-01T00:00:00Z", "20")]

    def test_refuses_phases_that_are_not_in_order(
        self, client: APIClient, subscription: Subscription, sku: Sku
    ) -> None:
        phase = {"starts_at": "2026-05-01T00:00:00Z", "quantities": {str(sku.pk): "10"}}

        status, _ = refuse(client, subscription, "phases", {"phases": [phase, phase]})

        assert status == 422
        assert refuse(client, subscription, "phases", {"phases": []})[0] == 422


class TestWithdrawChange:
    def test_takes_a_change_back(self, client: APIClient, subscription: Subscription, sku: Sku) -> None:
        rows = read_rows()
        body = {"quantities": {str(sku.pk): "8"}, "when": "2026-03-20T00:00:00Z"}
        (change,) = post(client, subscription, "change", body)["planned_changes"]
        assert Segment.objects.count() == 2

        shown = post(client, subscription, "withdraw-change", {"change_id": change["id"]})

        assert shown["planned_changes"] == []
        assert read_rows()[:2] == rows[:2]
        first, second = Segment.objects.order_by("position")
        assert (first.ends_at, second.starts_at, second.ends_at) == (END, END, END)

    def test_refuses_one_that_has_come(self, client: APIClient, subscription: Subscription, sku: Sku) -> None:
        post(client, subscription, "change", {"quantities": {str(sku.pk): "8"}})
        body = {"change_id": str(PlannedChange.objects.get().pk)}

        assert refuse(client, subscription, "withdraw-change", body) == (409, "change_not_pending")

    def test_finds_only_those_of_the_subscription(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        body = {"change_id": str(make_id())}

        assert refuse(client, subscription, "withdraw-change", body) == (404, "not_found")
