"""Corrections of usage over HTTP: voiding and amending an event, and what was corrected."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind, ApiKeyRole, AuditEntry
from customers.models import Customer
from metering.models import EventVoid, UsageCorrection
from subscriptions.models import Subscription
from tests.api.problems import read_problem
from tests.factories.core import NOON, make_client
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import INPUT, get_stored, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

EVENTS = "/admin/v1/events"
CORRECTIONS = "/admin/v1/usage-corrections"
Json = dict[str, Any]


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def customer() -> Customer:
    """A customer for whom it is noon."""
    return make_customer(test_clock_id=make_test_clock(now_at=NOON).pk)


@pytest.fixture
def subscription(customer: Customer) -> Subscription:
    return subscribe(customer=customer, plan=make_metered_plan())


def store(owner: Subscription, **fields: Any) -> Json:
    event = write_event(owner, **fields)
    assert ingest(event).accepted == 1
    return event


def post(client: APIClient, event: Json, verb: str, body: Json, **headers: str) -> Any:
    path = f"{EVENTS}/{quote(event['id'], safe='')}/{verb}"
    data: Any = msgspec.json.encode({"customer_id": str(event["customer_id"]), **body}, enc_hook=str)
    return client.generic("POST", path, data, content_type="application/json", headers=headers)


def void(client: APIClient, event: Json, reason: str = "A test run", **body: Any) -> Any:
    return post(client, event, "void", {"reason": reason, **body})


def amend(client: APIClient, event: Json, replacement: Json, **body: Any) -> Any:
    return post(client, event, "amend", {"reason": "Counted twice", "event": replacement, **body})


class TestVoid:
    def test_takes_an_event_back(self, client: APIClient, subscription: Subscription) -> None:
        event = store(subscription)
        store(subscription)

        answer = void(client, event)

        assert answer.status_code == 201
        shown = answer.json()
        assert shown == {
            "id": str(UsageCorrection.objects.get().pk),
            "kind": "Void",
            "customer_id": str(subscription.customer_id),
            "subscription_id": str(subscription.pk),
            "event_count": 1,
            "reason": "A test run",
            "created_at": "2026-02-28T12:00:00Z",
        }
        assert read_totals(subscription)[INPUT] == 10
        assert AuditEntry.objects.get(action="usage.voided").actor_kind == "ApiKey"
        assert find_breaches() == []

    @pytest.mark.parametrize("event_id", ["a/b", "void", "x/void", "a/amend", "ü ?&#%", "../x"])
    def test_takes_any_id(self, client: APIClient, subscription: Subscription, event_id: str) -> None:
        event = store(subscription, id=event_id)

        assert void(client, event).status_code == 201

        assert EventVoid.objects.get().event_id == event_id

    def test_is_refused_the_second_time(self, client: APIClient, subscription: Subscription) -> None:
        event = store(subscription)
        void(client, event)

        assert read_problem(void(client, event)) == (409, "event_already_voided", [])

    def test_is_answered_from_the_record_with_a_key(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        event = store(subscription)
        answers = [
            post(client, event, "void", {"reason": "x"}, **{"Idempotency-Key": "one"}) for _ in range(2)
        ]

        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
        assert answers[1]["X-Idempotency-Replayed"] == "true"
        assert UsageCorrection.objects.count() == 1

    def test_knows_events_by_their_customer(self, client: APIClient, subscription: Subscription) -> None:
        event = store(subscription)
        stranger = make_customer()

        for customer_id in (stranger.pk, make_id()):
            answer = void(client, {**event, "customer_id": customer_id})
            assert read_problem(answer)[:2] == (404, "not_found")
        assert read_problem(void(client, {**event, "id": "nobody"}))[:2] == (404, "not_found")
        assert read_totals(subscription)[INPUT] == 10

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"reason": ""}, ("reason", "blank")),
            ({"reason": None}, ("reason", "null")),
            ({"reason": 7}, ("reason", "wrong_type")),
            ({"customer_id": "nobody"}, ("customer_id", "invalid")),
            ({"force": True}, ("force", "unknown_field")),
        ],
    )
    def test_refuses_what_does_not_fit(
        self, client: APIClient, subscription: Subscription, body: Json, field: tuple[str, str]
    ) -> None:
        event = store(subscription)

        assert read_problem(void(client, event, **body)) == (422, "invalid_input", [field])

        assert read_totals(subscription)[INPUT] == 10


class TestAmend:
    def test_puts_another_event_in_its_place(self, client: APIClient, subscription: Subscription) -> None:
        wrong = store(subscription)
        exact = "0.1000000000000000055"
        right = write_event(subscription, properties={"input_tokens": msgspec.Raw(exact.encode())})

        answer = amend(client, wrong, right)

        assert answer.status_code == 201
        assert answer.json()["kind"] == "Amend"
        assert format(read_totals(subscription)[INPUT], "f") == exact
        shown = client.get(f"{CORRECTIONS}/{answer.json()['id']}").json()
        assert shown["events"] == [
            {
                "event_id": wrong["id"],
                "segment_id": str(get_stored(wrong).segment_id),
                "replacement_event_id": right["id"],
            }
        ]
        assert find_breaches() == []

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"id": "known"}, (409, "replacement_not_new", [])),
            (
                {"properties": {"input_tokens": -1}},
                (422, "replacement_refused", [("event", "invalid_value")]),
            ),
            (
                {"timestamp": "2026-02-28T14:00:00Z"},
                (422, "replacement_refused", [("event", "timestamp_in_future")]),
            ),
            ({"event_type": "a\tb" * 100}, (422, "invalid_input", [("event.event_type", "max_length")])),
            (
                {"customer_id": str(make_id())},
                (422, "replacement_refused", [("event.customer_id", "replacement_refused")]),
            ),
            (
                {"timestamp": "2026-02-28T12:00:00"},
                (422, "invalid_input", [("event.timestamp", "no_offset")]),
            ),
        ],
        ids=["id", "value", "future", "long", "customer", "offset"],
    )
    def test_changes_nothing_if_that_is_refused(
        self, client: APIClient, subscription: Subscription, change: Json, problem: object
    ) -> None:
        event = store(subscription, id="known")

        assert read_problem(amend(client, event, write_event(subscription, **change))) == problem

        assert read_totals(subscription)[INPUT] == 10
        assert not UsageCorrection.objects.exists()

    def test_needs_an_event(self, client: APIClient, subscription: Subscription) -> None:
        event = store(subscription)

        answer = post(client, event, "amend", {"reason": "x"})

        assert read_problem(answer) == (422, "invalid_input", [("event", "required")])


class TestCorrections:
    def test_are_listed_the_newest_first(self, client: APIClient, subscription: Subscription) -> None:
        events = [store(subscription) for _ in range(3)]
        made = [void(client, event).json() for event in events]

        assert client.get(CORRECTIONS).json() == made[::-1]

    def test_are_found(self, client: APIClient, subscription: Subscription) -> None:
        plan = subscription.plan_version.plan
        other = subscribe(plan=plan)
        first = void(client, store(subscription, id="same")).json()
        second = void(client, store(other, id="same")).json()
        third = amend(client, store(subscription), write_event(subscription)).json()

        def find(**query: Any) -> list[Any]:
            answer = client.get(CORRECTIONS, query)
            assert answer.status_code == 200, answer.content
            return answer.json()

        assert find(customer_id=subscription.customer_id) == [third, first]
        assert find(subscription_id=other.pk) == [second]
        assert find(kind="Amend") == [third]
        assert find(event_id="same") == [second, first]
        assert find(event_id="same", customer_id=other.customer_id) == [second]
        assert find(created_before="2026-02-28T12:00:00Z", customer_id=subscription.customer_id) == []
        assert find(created_after="2026-02-28T12:00:00Z", customer_id=subscription.customer_id) == [
            third,
            first,
        ]

    @pytest.mark.parametrize("query", [{"kind": "None"}, {"customer": "x"}])
    def test_are_not_found_by_what_is_unknown(self, client: APIClient, query: Json) -> None:
        assert client.get(CORRECTIONS, query).status_code == 422

    def test_that_are_not_there(self, client: APIClient) -> None:
        assert read_problem(client.get(f"{CORRECTIONS}/{make_id()}"))[:2] == (404, "not_found")


class TestAccess:
    """Who may send events may not take them back: that changes what is billed."""

    KEYS: tuple[tuple[Json, int, int], ...] = (
        ({"role": ApiKeyRole.ADMIN}, 201, 200),
        ({"role": ApiKeyRole.FINANCE}, 201, 200),
        ({"role": ApiKeyRole.DEVELOPER}, 403, 200),
        ({"role": ApiKeyRole.SUPPORT}, 403, 200),
        ({"role": ApiKeyRole.READ_ONLY}, 403, 200),
        ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["events:write"]}, 403, 403),
        ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["events:read"]}, 403, 200),
        ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["invoices:write"]}, 201, 403),
        ({"kind": ApiKeyKind.PUBLISHABLE}, 403, 403),
    )

    @pytest.mark.parametrize(("key", "written", "read"), KEYS)
    def test_follows_the_key(self, subscription: Subscription, key: Json, written: int, read: int) -> None:
        client = make_client(**key)
        one, two = store(subscription), store(subscription)
        correction_id: UUID | str = void(make_client(), store(subscription)).json()["id"]

        assert void(client, one).status_code == written
        assert amend(client, two, write_event(subscription)).status_code == written
        assert client.get(CORRECTIONS).status_code == read
        assert client.get(f"{CORRECTIONS}/{correction_id}").status_code == read
        left = read_totals(subscription).get(INPUT, 0)
        assert left == (10 if written == 201 else 20)

    def test_needs_a_key(self, subscription: Subscription) -> None:
        client = APIClient()
        event = store(subscription)

        assert void(client, event).status_code == 401
        assert amend(client, event, write_event(subscription)).status_code == 401
        assert client.get(CORRECTIONS).status_code == 401
