"""Taking many events back over HTTP, after a look at what that would do."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind, ApiKeyRole
from customers.models import Customer
from metering.models import UsageCorrection
from subscriptions.models import Period, Subscription
from tests.api.problems import read_problem
from tests.factories.core import make_client
from tests.factories.customers import make_customer
from tests.factories.metering import EVENT_TYPE, INPUT, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

PATH = "/admin/v1/events/void"
Json = dict[str, Any]


@pytest.fixture
def subscription(customer: Customer) -> Subscription:
    """A subscription that has used 3 x 10 input tokens and 3 x 2 output tokens."""
    subscription = subscribe(customer=customer, plan=make_metered_plan())
    ingest(*[write_event(subscription, id=f"event/{number}") for number in range(3)])
    return subscription


def post(client: APIClient, owner: Subscription, **body: Any) -> Any:
    headers = body.pop("headers", {})
    return client.post(PATH, {"customer_id": str(owner.customer_id), **body}, headers=headers)


class TestVoid:
    def test_takes_back_what_satisfies_the_conditions(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        answer = post(
            client,
            subscription,
            event_ids=["event/0", "event/2"],
            event_type=EVENT_TYPE,
            subscription_id=str(subscription.pk),
            stamped_from="2026-02-28T12:00:00Z",
            stamped_before="2026-02-28T13:00:00Z",
            received_from="2026-02-28T12:00:00Z",
            received_before="2026-02-28T13:00:00Z",
            properties={"input_tokens": 10},
            reason="A test run",
        )

        assert answer.status_code == 201
        shown = answer.json()
        assert (shown["kind"], shown["event_count"], shown["reason"]) == ("Void", 2, "A test run")
        assert shown["subscription_id"] == str(subscription.pk)
        detail = client.get(f"/admin/v1/usage-corrections/{shown['id']}").json()
        assert [event["event_id"] for event in detail["events"]] == ["event/0", "event/2"]
        assert read_totals(subscription)[INPUT] == 10
        assert find_breaches() == []

    def test_shows_what_it_would_change(self, client: APIClient, subscription: Subscription) -> None:
        ingest(write_event(subscription.customer, id="stray", event_type="other"))
        period = Period.objects.get()

        answer = post(client, subscription, event_ids=["event/0", "stray"], preview=True)

        assert answer.status_code == 200
        about: Json = {
            "subscription_id": str(subscription.pk),
            "period_id": str(period.pk),
            "period_start": "2026-02-28T12:00:00Z",
            "period_end": answer.json()["usage"][0]["period_end"],
            "is_open": True,
        }
        # Each token costs $0.000002.
        assert answer.json() == {
            "event_count": 2,
            "unmatched_count": 1,
            "usage": [
                {**about, "meter_id": INPUT, "before": "30", "after": "20"},
                {**about, "meter_id": "llm.completion.output_tokens", "before": "6", "after": "4"},
            ],
            "charges": [
                {
                    "subscription_id": str(subscription.pk),
                    "currency": "USD",
                    "before_nanos": "72000000",
                    "after_nanos": "48000000",
                    "difference_nanos": "-24000000",
                }
            ],
        }
        assert read_totals(subscription)[INPUT] == 30
        assert not UsageCorrection.objects.exists()

    def test_keeps_a_preview_from_writing_with_a_key_too(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        headers = {"Idempotency-Key": "one"}

        answers = [
            post(client, subscription, event_ids=["event/0"], preview=True, headers=headers) for _ in range(2)
        ]

        assert answers[0].json() == answers[1].json()
        assert answers[1]["X-Idempotency-Replayed"] == "true"
        assert read_totals(subscription)[INPUT] == 30

    def test_is_done_once_for_a_key(self, client: APIClient, subscription: Subscription) -> None:
        headers = {"Idempotency-Key": "one"}

        answers = [
            post(client, subscription, event_type=EVENT_TYPE, reason="x", headers=headers) for _ in range(2)
        ]

        assert answers[0].json() == answers[1].json()
        assert UsageCorrection.objects.count() == 1

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (
                {"event_ids": ["event/0"]},
                (422, "correction_reason_missing", [("reason", "correction_reason_missing")]),
            ),
            ({"reason": "x"}, (422, "selection_too_wide", [])),
            (
                {"reason": "x", "event_ids": ["nobody"]},
                (422, "unknown_events", [("event_ids", "unknown_events")]),
            ),
            ({"reason": "x", "event_type": "other"}, (409, "nothing_to_void", [])),
            (
                {"reason": "x", "properties": {"run": [1]}},
                (422, "invalid_property_value", [("properties.run", "invalid_property_value")]),
            ),
            (
                {"reason": "x", "customer_id": str(make_id()), "event_type": "x"},
                (422, "unknown_customer", [("customer_id", "unknown_customer")]),
            ),
            ({"reason": "x", "event_ids": "event/0"}, (422, "invalid_input", [("event_ids", "wrong_type")])),
            (
                {"reason": "x", "stamped_from": "2026-02-28T12:00:00"},
                (422, "invalid_input", [("stamped_from", "no_offset")]),
            ),
            ({"reason": "x", "type": "y"}, (422, "invalid_input", [("type", "unknown_field")])),
        ],
        ids=["reason", "empty", "unknown", "none", "nested", "customer", "list", "offset", "field"],
    )
    def test_refuses_what_does_not_fit(
        self, client: APIClient, subscription: Subscription, body: Json, problem: object
    ) -> None:
        assert read_problem(post(client, subscription, **body)) == problem

        assert read_totals(subscription)[INPUT] == 30
        assert not UsageCorrection.objects.exists()

    def test_leaves_what_is_not_the_customers(self, client: APIClient, subscription: Subscription) -> None:
        stranger = make_customer()
        body = {"customer_id": str(stranger.pk), "subscription_id": str(subscription.pk), "reason": "x"}

        assert read_problem(client.post(PATH, body))[:2] == (409, "nothing_to_void")
        assert read_totals(subscription)[INPUT] == 30


class TestAccess:
    KEYS: tuple[tuple[Json, int], ...] = (
        ({"role": ApiKeyRole.ADMIN}, 201),
        ({"role": ApiKeyRole.FINANCE}, 201),
        ({"role": ApiKeyRole.DEVELOPER}, 403),
        ({"role": ApiKeyRole.SUPPORT}, 403),
        ({"role": ApiKeyRole.READ_ONLY}, 403),
        ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["events:write"]}, 403),
        ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["invoices:write"]}, 201),
        ({"kind": ApiKeyKind.PUBLISHABLE}, 403),
    )

    @pytest.mark.parametrize(("key", "status"), KEYS)
    def test_follows_the_key(self, subscription: Subscription, key: Json, status: int) -> None:
        client = make_client(**key)

        preview = post(client, subscription, event_type=EVENT_TYPE, preview=True)
        answer = post(client, subscription, event_type=EVENT_TYPE, reason="x")

        assert preview.status_code == (200 if status == 201 else 403)
        assert answer.status_code == status
        assert read_totals(subscription).get(INPUT, 0) == (0 if status == 201 else 30)

    def test_needs_a_key(self, subscription: Subscription) -> None:
        assert post(APIClient(), subscription, event_type=EVENT_TYPE, reason="x").status_code == 401
