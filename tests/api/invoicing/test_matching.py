"""Having a subscription take unmatched events over HTTP, after a look at what that would do."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyRole, AuditEntry
from customers.models import Customer
from subscriptions.models import Period, Subscription
from tests.api.problems import read_problem
from tests.factories.core import NOON, make_client
from tests.factories.metering import INPUT, OUTPUT, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

PATH = "/admin/v1/events/match"


@pytest.fixture
def subscription(customer: Customer) -> Subscription:
    """A subscription whose customer used 2 x 10 input tokens and 2 x 2 output tokens the day before."""
    ingest(*[write_event(customer, timestamp=NOON - timedelta(days=1)) for _ in range(2)])
    return subscribe(customer=customer, plan=make_metered_plan())


def post(client: APIClient, owner: Subscription, **body: Any) -> Any:
    headers = body.pop("headers", {})
    given = {
        "customer_id": str(owner.customer_id),
        "subscription_id": str(owner.pk),
        "stamped_before": "2026-02-28T12:00:00Z",
        "reason": "Before the contract",
        **body,
    }
    return client.post(PATH, given, headers=headers)


class TestMatch:
    def test_counts_the_events_and_says_how_many_there_were(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        answer = post(client, subscription)

        assert (answer.status_code, answer.json()) == (200, {"event_count": 2})
        assert read_totals(subscription) == {INPUT: 20, OUTPUT: 4}
        assert AuditEntry.objects.get(action="usage.matched").subject_id == str(subscription.pk)
        assert find_breaches() == []

    def test_shows_what_it_would_change(self, client: APIClient, subscription: Subscription) -> None:
        period = Period.objects.get()

        answer = post(client, subscription, preview=True, reason="")

        assert answer.status_code == 200
        about = {
            "subscription_id": str(subscription.pk),
            "period_id": str(period.pk),
            "period_start": "2026-02-28T12:00:00Z",
            "period_end": answer.json()["usage"][0]["period_end"],
            "is_open": True,
        }
        # Each token costs $0.000002.
        assert answer.json() == {
            "event_count": 2,
            "usage": [
                {**about, "meter_id": INPUT, "before": "0", "after": "20"},
                {**about, "meter_id": OUTPUT, "before": "0", "after": "4"},
            ],
            "charges": [
                {
                    "subscription_id": str(subscription.pk),
                    "currency": "USD",
                    "before_nanos": "0",
                    "after_nanos": "48000000",
                    "difference_nanos": "48000000",
                }
            ],
        }
        assert read_totals(subscription) == {}

    def test_is_done_once_for_a_key(self, client: APIClient, subscription: Subscription) -> None:
        answers = [post(client, subscription, headers={"Idempotency-Key": "one"}) for _ in range(2)]

        assert [answer.json() for answer in answers] == [{"event_count": 2}] * 2
        assert answers[1]["X-Idempotency-Replayed"] == "true"

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            (
                {"reason": ""},
                (422, "correction_reason_missing", [("reason", "correction_reason_missing")]),
            ),
            ({"stamped_before": None}, (422, "selection_too_wide", [])),
            ({"event_type": "other"}, (409, "nothing_to_match", [])),
            (
                {"customer_id": str(make_id())},
                (422, "unknown_customer", [("customer_id", "unknown_customer")]),
            ),
            (
                {"subscription_id": str(make_id())},
                (422, "unknown_subscription", [("subscription_id", "unknown_subscription")]),
            ),
        ],
        ids=["reason", "everything", "nothing", "customer", "subscription"],
    )
    def test_refuses_what_it_cannot_do(
        self, client: APIClient, subscription: Subscription, body: dict[str, Any], problem: Any
    ) -> None:
        assert read_problem(post(client, subscription, **body)) == problem
        assert read_totals(subscription) == {}

    @pytest.mark.parametrize("role", [ApiKeyRole.DEVELOPER, ApiKeyRole.READ_ONLY])
    def test_is_not_for_those_who_send_or_read(self, subscription: Subscription, role: ApiKeyRole) -> None:
        assert post(make_client(role=role), subscription).status_code == 403
