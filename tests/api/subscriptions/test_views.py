"""Subscriptions over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_project.core.clock import now
from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind, ApiKeyRole, AuditEntry
from customers.models import Customer, CustomerStatus, TestClock
from customers.operations import update_customer
from subscriptions.models import Period, Subscription
from subscriptions.operations import When, cancel_subscription, roll_subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER, make_client
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

PATH = "/v1/subscriptions"
END = utc(2026, 3, 28)


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def clock() -> TestClock:
    return make_test_clock(now_at=NOON)


@pytest.fixture
def customer(clock: TestClock) -> Customer:
    """A customer for whom it is noon."""
    return make_customer(test_clock_id=clock.pk)


def two_spellings(sku_id: UUID) -> tuple[str, str]:
    return str(sku_id), sku_id.hex


def list_problems(answer: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


def show(client: APIClient, subscription: Subscription) -> dict[str, Any]:
    answer = client.get(f"{PATH}/{subscription.pk}")
    assert answer.status_code == 200
    shown: dict[str, Any] = answer.json()
    return shown


class TestCreate:
    def test_subscribes(self, client: APIClient, customer: Customer) -> None:
        plan = make_plan(trial_days=30)
        tokens, seats = make_sku(plan), make_sku(plan, name="Seats", meter=None)

        answer = client.post(
            PATH,
            {
                "customer_id": str(customer.pk),
                "plan_id": str(plan.pk),
                "currency": "USD",
                "trial_days": 14,
                "quantities": {str(seats.pk): "2.50"},
            },
        )

        assert answer.status_code == 201
        subscription = Subscription.objects.get()
        token_item, seat_item = subscription.items.order_by("pk")
        assert answer.json() == {
            "id": str(subscription.pk),
            "customer_id": str(customer.pk),
            "plan_id": str(plan.pk),
            "plan_version": 1,
            "status": "Trialing",
            "currency": "USD",
            "timezone": "UTC",
            "trial_days": 14,
            "trial_ends_at": "2026-03-15T00:00:00Z",
            "starts_at": "2026-02-28T12:00:00Z",
            "ends_at": None,
            "cancelled_at": None,
            "cancel_at_period_end": False,
            "current_period": {
                "id": str(Period.objects.get().pk),
                "number": 0,
                "starts_at": "2026-02-28T12:00:00Z",
                "ends_at": "2026-03-15T00:00:00Z",
                "is_trial": True,
            },
            "items": [
                {
                    "id": str(token_item.pk),
                    "sku_id": str(tokens.pk),
                    "name": "Input Tokens",
                    "quantity": None,
                    "meter_id": "llm.completion.input_tokens",
                },
                {
                    "id": str(seat_item.pk),
                    "sku_id": str(seats.pk),
                    "name": "Seats",
                    "quantity": "2.5",
                    "meter_id": None,
                },
            ],
            "planned_changes": [],
            "created_at": subscription.created_at.isoformat().replace("+00:00", "Z"),
        }
        assert AuditEntry.objects.get(action="subscription.created").actor_kind == "ApiKey"

    def test_takes_the_plan_s_trial_and_one_of_each_unless_told(
        self, client: APIClient, customer: Customer
    ) -> None:
        plan = make_plan(trial_days=3)
        make_sku(plan, meter=None)

        answer = client.post(
            PATH, {"customer_id": str(customer.pk), "plan_id": str(plan.pk), "currency": "USD"}
        )

        assert answer.json()["trial_days"] == 3
        assert answer.json()["items"][0]["quantity"] == "1"

    def test_goes_by_real_time_without_a_test_clock(self, client: APIClient) -> None:
        before = now()

        answer = client.post(
            PATH,
            {"customer_id": str(make_customer().pk), "plan_id": str(make_plan().pk), "currency": "USD"},
        )

        assert answer.status_code == 201
        assert before <= Subscription.objects.get().starts_at <= now()

    def test_starts_in_the_past(self, client: APIClient, customer: Customer) -> None:
        answer = client.post(
            PATH,
            {
                "customer_id": str(customer.pk),
                "plan_id": str(make_plan().pk),
                "currency": "USD",
                "start_at": "2025-12-01T01:00:00+01:00",
            },
        )

        assert answer.json()["starts_at"] == "2025-12-01T00:00:00Z"
        period = answer.json()["current_period"]
        assert (period["number"], period["starts_at"]) == (2, "2026-02-01T00:00:00Z")

    def test_answers_a_repeat_with_the_first_answer(self, client: APIClient, customer: Customer) -> None:
        body = {"customer_id": str(customer.pk), "plan_id": str(make_plan().pk), "currency": "USD"}

        first = client.post(PATH, body, headers={"Idempotency-Key": "sub-1"})
        second = client.post(PATH, body, headers={"Idempotency-Key": "sub-1"})

        assert (first.status_code, second.status_code) == (201, 201)
        assert second.json() == first.json()
        assert second["X-Idempotency-Replayed"] == "true"
        assert Subscription.objects.count() == 1

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"customer_id": str(make_id())}, ("customer_id", "unknown_customer")),
            ({"plan_id": str(make_id())}, ("plan_id", "unknown_plan")),
            ({"plan_id": "no id"}, ("plan_id", "invalid")),
            ({"plan_id": None}, ("plan_id", "null")),
            ({"currency": "EUR"}, ("currency", "currency_not_offered")),
            ({"currency": "usd"}, ("currency", "currency_not_offered")),
            ({"currency": "DOLLARS"}, ("currency", "max_length")),
            ({"trial_days": 731}, ("trial_days", "max_value")),
            ({"trial_days": -1}, ("trial_days", "min_value")),
            ({"trial_days": "14"}, ("trial_days", "wrong_type")),
            ({"start_at": "2026-01-01T00:00:00"}, ("start_at", "no_offset")),
            ({"start_at": "2016-01-01T00:00:00Z"}, ("start_at", "start_too_far")),
            ({"start_at": "9999-01-01T00:00:00Z"}, ("start_at", "out_of_range")),
            ({"quantities": []}, ("quantities", "wrong_type")),
            ({"quantities": {"seats": "1"}}, ("quantities.seats", "invalid")),
            ({"quantities": {str(make_id()): "NaN"}}, ("quantities.*", "invalid")),
            ({"quantities": {str(make_id()): "-1"}}, ("quantities.*", "min_value")),
            ({"quantities": {str(make_id()): "1"}}, ("quantities.*", "unknown_sku")),
            ({"quantities": dict.fromkeys(two_spellings(make_id()), "1")}, ("quantities", "duplicate")),
            ({"coupon": "SPRING"}, ("coupon", "unknown_field")),
        ],
    )
    def test_refuses(
        self, client: APIClient, customer: Customer, change: dict[str, Any], problem: tuple[str, str]
    ) -> None:
        plan = make_plan()
        make_sku(plan)
        body = {"customer_id": str(customer.pk), "plan_id": str(plan.pk), "currency": "USD"}

        answer = client.post(PATH, body | change)

        assert answer.status_code == 422
        ((field, code),) = list_problems(answer)
        assert (field.split(".")[0], code) == (problem[0].split(".")[0], problem[1])
        assert not Subscription.objects.exists()

    def test_answers_409_where_the_customer_is_not_active(
        self, client: APIClient, customer: Customer
    ) -> None:
        update_customer(
            customer_id=customer.pk, changes={"status": CustomerStatus.SUSPENDED}, at=NOON, actor=TESTER
        )

        answer = client.post(
            PATH, {"customer_id": str(customer.pk), "plan_id": str(make_plan().pk), "currency": "USD"}
        )

        assert (answer.status_code, answer.json()["code"]) == (409, "customer_not_active")


class TestRetrieve:
    def test_shows_it_by_the_customer_s_time(
        self, client: APIClient, customer: Customer, clock: TestClock
    ) -> None:
        subscription = subscribe(customer=customer)
        TestClock.objects.filter(pk=clock.pk).update(now_at=END)
        roll_subscription(subscription_id=subscription.pk, at=END, actor=TESTER)

        assert show(client, subscription)["current_period"]["number"] == 1

    def test_answers_404_where_there_is_none(self, client: APIClient) -> None:
        assert client.get(f"{PATH}/{make_id()}").status_code == 404


class TestList:
    def test_lists_the_newest_first_by_pages(self, client: APIClient, customer: Customer) -> None:
        plan = make_plan()
        made = [str(subscribe(customer=customer, plan=plan).pk) for _ in range(3)]

        first = client.get(PATH, {"limit": 2})
        link = first["Link"].removeprefix("<").partition(">")[0]
        second = client.get(link)

        assert [row["id"] for row in first.json()] == made[:0:-1]
        assert [row["id"] for row in second.json()] == made[:1]
        assert "Link" not in second

    def test_filters(self, client: APIClient, customer: Customer) -> None:
        plan = make_plan()
        make_sku(plan, currency="EUR")
        other = subscribe()
        ours = subscribe(customer=customer, plan=plan, currency="EUR", trial_days=5)
        later = (max(ours.created_at, other.created_at) + timedelta(seconds=1)).isoformat()

        for name, value in {
            "customer_id": str(customer.pk),
            "plan_id": str(plan.pk),
            "status": "Trialing",
            "currency": "EUR",
            "created_after": ours.created_at.isoformat(),
        }.items():
            assert [row["id"] for row in client.get(PATH, {name: value}).json()] == [str(ours.pk)], name
        assert len(client.get(PATH, {"created_before": later}).json()) == 2
        assert client.get(PATH, {"created_after": later}).json() == []

    @pytest.mark.parametrize(
        ("query", "problem"),
        [
            ({"status": "Running"}, ("status", "invalid_choice")),
            ({"customer_id": "x"}, ("customer_id", "invalid")),
            ({"plan": "x"}, ("plan", "unknown_parameter")),
        ],
    )
    def test_refuses(self, client: APIClient, query: dict[str, str], problem: tuple[str, str]) -> None:
        answer = client.get(PATH, query)

        assert answer.status_code == 422
        assert list_problems(answer) == [problem]

    def test_makes_the_same_queries_for_many(self, client: APIClient, customer: Customer) -> None:
        client.get(PATH)  # The first request of a key also notes that it was used.
        counts = []
        for _ in range(2):
            for _ in range(3):
                plan = make_plan()
                make_sku(plan)
                subscribe(customer=customer, plan=plan)
            with CaptureQueriesContext(connection) as queries:
                assert client.get(PATH).status_code == 200
            counts.append(len(queries))

        assert counts[0] == counts[1]


class TestCancel:
    def test_ends_it_now(self, client: APIClient, customer: Customer) -> None:
        subscription = subscribe(customer=customer, at=NOON - timedelta(days=1))

        answer = client.post(f"{PATH}/{subscription.pk}/cancel", {"when": "Now"})

        assert answer.status_code == 200
        assert answer.json() == show(client, subscription)
        assert answer.json()["status"] == "Cancelled"
        assert answer.json()["ends_at"] == answer.json()["cancelled_at"] == "2026-02-28T12:00:00Z"
        assert answer.json()["current_period"]["ends_at"] == "2026-02-28T12:00:00Z"
        assert not answer.json()["cancel_at_period_end"]
        assert find_breaches() == []

    def test_ends_it_with_its_period(self, client: APIClient, customer: Customer) -> None:
        subscription = subscribe(customer=customer)

        answer = client.post(f"{PATH}/{subscription.pk}/cancel", {"when": "PeriodEnd"})

        assert answer.status_code == 200
        assert answer.json()["status"] == "Active"
        assert answer.json()["ends_at"] == "2026-03-28T00:00:00Z"
        assert answer.json()["cancelled_at"] is None
        assert answer.json()["cancel_at_period_end"]

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({}, ("when", "required")),
            ({"when": "Tomorrow"}, ("when", "invalid_choice")),
            ({"when": "Now", "refund": True}, ("refund", "unknown_field")),
        ],
    )
    def test_refuses(
        self, client: APIClient, customer: Customer, body: dict[str, Any], problem: tuple[str, str]
    ) -> None:
        subscription = subscribe(customer=customer)

        answer = client.post(f"{PATH}/{subscription.pk}/cancel", body)

        assert answer.status_code == 422
        assert list_problems(answer) == [problem]
        assert show(client, subscription)["ends_at"] is None

    @pytest.mark.parametrize(
        ("first", "second", "code"),
        [
            (When.NOW, "Now", "subscription_ended"),
            (When.NOW, "PeriodEnd", "subscription_ended"),
            (When.PERIOD_END, "PeriodEnd", "cancellation_already_planned"),
        ],
    )
    def test_answers_409_the_second_time(
        self, client: APIClient, customer: Customer, first: When, second: str, code: str
    ) -> None:
        subscription = subscribe(customer=customer)
        cancel_subscription(subscription_id=subscription.pk, when=first, at=NOON, actor=TESTER)
        before = show(client, subscription)

        answer = client.post(f"{PATH}/{subscription.pk}/cancel", {"when": second})

        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert show(client, subscription) == before

    def test_answers_404_where_there_is_none(self, client: APIClient) -> None:
        assert client.post(f"{PATH}/{make_id()}/cancel", {"when": "Now"}).status_code == 404


class TestUncancel:
    def test_lets_it_run_on(self, client: APIClient, customer: Customer) -> None:
        subscription = subscribe(customer=customer)
        before = show(client, subscription)
        client.post(f"{PATH}/{subscription.pk}/cancel", {"when": "PeriodEnd"})

        answer = client.post(f"{PATH}/{subscription.pk}/uncancel")

        assert answer.status_code == 200
        assert answer.json() == before == show(client, subscription)

    def test_answers_409_where_nothing_is_planned(self, client: APIClient, customer: Customer) -> None:
        answer = client.post(f"{PATH}/{subscribe(customer=customer).pk}/uncancel")

        assert (answer.status_code, answer.json()["code"]) == (409, "no_cancellation_planned")


class TestAccess:
    @pytest.mark.parametrize(
        ("key", "may_read", "may_write"),
        [
            ({"role": ApiKeyRole.ADMIN}, True, True),
            ({"role": ApiKeyRole.FINANCE}, True, True),
            ({"role": ApiKeyRole.READ_ONLY}, True, False),
            ({"kind": ApiKeyKind.PUBLISHABLE}, True, False),
            ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["subscriptions:read"]}, True, False),
            ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["subscriptions:write"]}, False, True),
            ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["customers:write"]}, False, False),
            (None, False, False),
        ],
    )
    def test_asks_for_the_scope(
        self, customer: Customer, key: dict[str, Any] | None, *, may_read: bool, may_write: bool
    ) -> None:
        client = APIClient() if key is None else make_client(**key)
        subscription = subscribe(customer=customer)
        path = f"{PATH}/{subscription.pk}"
        body = {
            "customer_id": str(customer.pk),
            "plan_id": str(subscription.plan_version.plan_id),
            "currency": "USD",
        }
        refused = 401 if key is None else 403

        reads = [client.get(PATH), client.get(path)]
        writes = [
            client.post(PATH, body),
            client.post(f"{path}/cancel", {"when": "PeriodEnd"}),
            client.post(f"{path}/uncancel"),
            client.post(f"{path}/change", {}),
            client.post(f"{path}/pause", {}),
            client.post(f"{path}/resume", {}),
            client.post(f"{path}/phases", {"phases": [{"starts_at": "2026-05-01T00:00:00Z"}]}),
            client.post(f"{path}/withdraw-change", {"change_id": str(make_id())}),
        ]

        assert [answer.status_code for answer in reads] == ([200] * 2 if may_read else [refused] * 2)
        done = [201, 200, 200, 409, 200, 200, 409, 404]  # Nothing is to be changed, nor is there a change.
        assert [answer.status_code for answer in writes] == (done if may_write else [refused] * len(done))
