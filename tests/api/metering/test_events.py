"""Events over HTTP: one, a batch, and what was made of them."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
import pytest
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind, ApiKeyRole, IdempotencyRecord
from customers.models import Customer
from metering.models import UsageEvent
from subscriptions.models import Subscription
from tests.api.problems import read_problem
from tests.factories.archives import archive_all, make_role, make_settled
from tests.factories.core import NOON, make_client
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import INPUT, OUTPUT, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import subscribe

pytestmark = pytest.mark.django_db

PATH = "/v1/events"
BATCH = "/v1/events/batch"


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


def post(client: APIClient, path: str, body: object, **headers: str) -> Any:
    data: Any = body if isinstance(body, bytes) else msgspec.json.encode(body, enc_hook=str)
    return client.generic("POST", path, data, content_type="application/json", headers=headers)


def post_batch(client: APIClient, *events: object) -> Any:
    return post(client, BATCH, {"events": events})


class TestCreate:
    def test_stores_an_event(self, client: APIClient, subscription: Subscription) -> None:
        answer = post(client, PATH, write_event(subscription, id="event-1"))

        assert answer.status_code == 201
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == {"accepted": True, "event_id": "event-1", "duplicate": False}
        assert read_totals(subscription)[INPUT] == 10

    def test_tells_a_repeat(self, client: APIClient, subscription: Subscription) -> None:
        event = write_event(subscription, id="event-1")
        post(client, PATH, event)

        answer = post(client, PATH, event)

        assert answer.status_code == 200
        assert answer.json() == {"accepted": True, "event_id": "event-1", "duplicate": True}
        assert read_totals(subscription)[INPUT] == 10

    def test_ignores_an_idempotency_key(self, client: APIClient, subscription: Subscription) -> None:
        first = post(client, PATH, write_event(subscription), **{"Idempotency-Key": "same"})
        second = post(client, PATH, write_event(subscription), **{"Idempotency-Key": "same"})

        assert [first.status_code, second.status_code] == [201, 201]
        assert IdempotencyRecord.objects.count() == 0

    @pytest.mark.parametrize(
        ("fields", "field", "code"),
        [
            (
                {"customer_id": UUID("01944b1f-0000-7000-8000-000000000001")},
                "customer_id",
                "unknown_customer",
            ),
            (
                {"subscription_id": UUID("01944b1f-0000-7000-8000-000000000001")},
                "subscription_id",
                "unknown_subscription",
            ),
            ({"timestamp": NOON + timedelta(hours=2)}, "timestamp", "timestamp_in_future"),
            ({"properties": {"input_tokens": -1}}, "properties", "invalid_value"),
        ],
    )
    def test_refuses_with_a_code(
        self, client: APIClient, subscription: Subscription, fields: dict[str, Any], field: str, code: str
    ) -> None:
        answer = post(client, PATH, write_event(subscription, **fields))

        assert read_problem(answer) == (422, code, [(field, code)])
        assert UsageEvent.objects.count() == 0

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"timestamp": "2026-02-28T12:00:00"}, "malformed"),
            ({"surprise": 1}, "malformed"),
            ({"id": "x" * 256}, "too_long"),
        ],
    )
    def test_refuses_what_is_no_event(
        self, client: APIClient, subscription: Subscription, fields: dict[str, Any], code: str
    ) -> None:
        assert read_problem(post(client, PATH, write_event(subscription, **fields))) == (422, code, [])

    def test_refuses_other_content_under_the_same_id(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        event = write_event(subscription)
        post(client, PATH, event)

        answer = post(client, PATH, {**event, "properties": {}})

        assert read_problem(answer) == (409, "conflict", [("id", "conflict")])

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1"])
    @pytest.mark.parametrize("path", [PATH, BATCH])
    def test_refuses_what_is_not_json(self, client: APIClient, path: str, body: bytes) -> None:
        assert read_problem(post(client, path, body))[:2] == (400, "parse_error")

    @pytest.mark.parametrize("path", [PATH, BATCH])
    def test_refuses_other_kinds_of_bodies(self, client: APIClient, path: str) -> None:
        answer = client.generic("POST", path, "a=1", content_type="application/x-www-form-urlencoded")

        assert read_problem(answer)[:2] == (415, "unsupported_media_type")

    @pytest.mark.parametrize("path", [PATH, BATCH])
    def test_refuses_a_body_over_the_limit(
        self, client: APIClient, path: str, settings: pytest.FixtureRequest
    ) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000  # type: ignore[attr-defined]

        assert read_problem(post(client, path, b" " * 1001))[:2] == (413, "body_too_large")


class TestBatch:
    def test_answers_200_where_none_is_rejected(self, client: APIClient, subscription: Subscription) -> None:
        event = write_event(subscription)
        post(client, PATH, event)

        answer = post_batch(client, event, write_event(subscription), write_event(subscription))

        assert answer.status_code == 200
        assert answer.json() == {"accepted": 2, "duplicates": 1, "rejected": 0, "errors": []}
        assert read_totals(subscription)[INPUT] == 30

    def test_answers_207_where_some_are_rejected(self, client: APIClient, subscription: Subscription) -> None:
        answer = post_batch(client, {"id": "broken"}, write_event(subscription), 7)

        assert answer.status_code == 207
        report = answer.json()
        assert (report["accepted"], report["duplicates"], report["rejected"]) == (1, 0, 2)
        assert report["errors"][0] == {
            "index": 0,
            "id": "broken",
            "code": "malformed",
            "detail": "Object missing required field `event_type`.",
        }
        assert (report["errors"][1]["index"], report["errors"][1]["id"]) == (2, None)

    def test_answers_422_with_the_report_as_a_problem_where_all_are(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        answer = post_batch(client, write_event(subscription, customer_id=make_id(), id="a"), {})

        assert answer.status_code == 422
        assert answer.headers["Content-Type"] == "application/problem+json"
        report = answer.json()
        assert (report["code"], report["status"]) == ("all_events_rejected", 422)
        assert report["request_id"] == answer.headers["X-Request-ID"]
        assert (report["accepted"], report["duplicates"], report["rejected"]) == (0, 0, 2)
        assert [
            (error["field"], error["index"], error["id"], error["code"]) for error in report["errors"]
        ] == [
            ("events.0", 0, "a", "unknown_customer"),
            ("events.1", 1, None, "malformed"),
        ]

    def test_takes_an_empty_batch(self, client: APIClient) -> None:
        answer = post_batch(client)

        assert (answer.status_code, answer.json()["accepted"]) == (200, 0)

    @pytest.mark.parametrize("body", [{}, [], {"events": 1}, {"events": [], "more": 1}], ids=str)
    def test_refuses_what_is_not_a_batch(self, client: APIClient, body: object) -> None:
        assert read_problem(post(client, BATCH, body)) == (422, "invalid_batch", [])

    def test_refuses_more_events_than_the_limit_and_stores_none(
        self, client: APIClient, subscription: Subscription, settings: pytest.FixtureRequest
    ) -> None:
        settings.BILLING_EVENT_BATCH_LIMIT = 2  # type: ignore[attr-defined]

        answer = post_batch(client, *[write_event(subscription) for _ in range(3)])

        assert read_problem(answer) == (422, "too_many_events", [("events", "too_many_events")])
        assert UsageEvent.objects.count() == 0


class TestRetrieve:
    def test_shows_what_was_sent_and_how_it_is_billed(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        properties = {"input_tokens": Decimal("0.1234567890123456789"), "model": "gpt-4o", "n": 10**25}
        encoded = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode(
            write_event(subscription, id="event-1", properties=properties)
        )
        post(client, PATH, encoded)

        answer = client.get(f"{PATH}/event-1", {"customer_id": str(subscription.customer_id)})

        assert answer.status_code == 200
        period = subscription.periods.get()
        shown = answer.json()
        received_at, meters = shown.pop("received_at"), shown.pop("meters")
        assert received_at.endswith("Z")
        assert shown == {
            "id": "event-1",
            "event_type": "llm.completion",
            "customer_id": str(subscription.customer_id),
            "subscription_id": str(subscription.pk),
            "timestamp": "2026-02-28T12:00:00Z",
            "properties": {"input_tokens": 0.1234567890123456789, "model": "gpt-4o", "n": 10**25},
            "segment_id": str(subscription.segments.get().pk),
            "period_id": str(period.pk),
            "period_number": 0,
            "period_start": "2026-02-28T12:00:00Z",
            "period_end": "2026-03-28T00:00:00Z",
            "period_closed_at": None,
            "billed_at": "2026-02-28T12:00:00Z",
            "is_late": False,
            "is_void": False,
            "ingest_notes": f"/v1/ingest-notes?customer_id={subscription.customer_id}&event_id=event-1",
            "missed_period": None,
            "void": None,
            "replaces_event_id": None,
            "billing_state": "Upcoming",
            "billing_detail": "The period is open: it goes on the next invoice.",
        }
        assert [(meter["meter_id"], meter["value"]) for meter in meters] == [
            (INPUT, "0.1234567890123456789"),
            (OUTPUT, None),
        ]
        assert b'"input_tokens":0.1234567890123456789' in answer.content  # Not rounded to a double.

    def test_shows_an_event_that_is_unmatched(self, client: APIClient, customer: Customer) -> None:
        ingest(write_event(customer, id="event-1"))

        shown = client.get(f"{PATH}/event-1", {"customer_id": str(customer.pk)}).json()

        assert [shown[name] for name in ("subscription_id", "segment_id", "period_id", "billed_at")] == [
            None
        ] * 4

    @pytest.mark.parametrize("event_id", ["a/b", "a b", "ü", "..", "a?b=c", "batches", "%2F"])
    def test_finds_any_id(self, client: APIClient, customer: Customer, event_id: str) -> None:
        ingest(write_event(customer, id=event_id))

        answer = client.get(f"{PATH}/{quote(event_id, safe='')}", {"customer_id": str(customer.pk)})

        assert (answer.status_code, answer.json()["id"]) == (200, event_id)

    def test_refuses_without_a_customer(self, client: APIClient) -> None:
        assert read_problem(client.get(f"{PATH}/event-1")) == (
            422,
            "invalid_input",
            [("customer_id", "required")],
        )
        answer = client.get(f"{PATH}/event-1", {"customer_id": "nobody"})
        assert read_problem(answer) == (422, "invalid_input", [("customer_id", "invalid")])

    def test_refuses_what_is_another_customers(self, client: APIClient, customer: Customer) -> None:
        ingest(write_event(customer, id="event-1"))

        answer = client.get(f"{PATH}/event-1", {"customer_id": str(make_customer().pk)})

        assert read_problem(answer)[:2] == (404, "not_found")

    @pytest.mark.django_db(transaction=True)
    def test_says_where_the_data_of_an_archived_event_is(self, client: APIClient, tmp_path: Path) -> None:
        make_role()
        subscription = make_settled(write_event(make_customer(), id="old"))
        archive = archive_all(tmp_path)

        answer = client.get(f"{PATH}/old", {"customer_id": str(subscription.customer_id)})

        assert read_problem(answer)[:2] == (404, "event_archived")
        where = f"its data is in {archive.file_name} (archive {archive.number})"
        assert where in answer.json()["detail"]
        assert "of the period 2026-02-28 to 2026-03-28." in answer.json()["detail"]


class TestList:
    def test_shows_a_customers_events_newest_first(
        self, client: APIClient, subscription: Subscription
    ) -> None:
        for number in range(3):
            ingest(write_event(subscription, id=f"event-{number}"))
        ingest(write_event(make_customer()))

        answer = client.get(PATH, {"customer_id": str(subscription.customer_id)})

        assert answer.status_code == 200
        assert [event["id"] for event in answer.json()] == ["event-2", "event-1", "event-0"]

    def test_goes_on_page_by_page(self, client: APIClient, subscription: Subscription) -> None:
        ingest(*[write_event(subscription) for _ in range(5)])
        address = f"{PATH}?customer_id={subscription.customer_id}&limit=2"
        seen: list[str] = []

        for _ in range(3):
            answer = client.get(address)
            seen += [event["id"] for event in answer.json()]
            address = answer.headers.get("Link", "<>")[1:].partition(">")[0]

        assert address == ""
        assert len(seen) == len(set(seen)) == 5

    @pytest.mark.parametrize(
        ("filters", "count"),
        [
            ({}, 3),
            ({"event_type": "llm.embedding"}, 1),
            ({"subscription_id": "01944b1f-0000-7000-8000-000000000001"}, 0),
            ({"stamped_after": "2026-02-28T12:00:00Z"}, 2),
            ({"stamped_before": "2026-02-28T12:00:00Z"}, 1),
        ],
        ids=str,
    )
    def test_can_be_narrowed(
        self, client: APIClient, subscription: Subscription, filters: dict[str, str], count: int
    ) -> None:
        ingest(
            write_event(subscription),
            write_event(subscription, event_type="llm.embedding"),
            write_event(subscription, timestamp=NOON - timedelta(seconds=1)),
        )

        answer = client.get(PATH, {"customer_id": str(subscription.customer_id), **filters})

        assert len(answer.json()) == count

    @pytest.mark.parametrize(
        ("query", "problem"),
        [
            ({}, (422, "invalid_filter", [("customer_id", "required")])),
            ({"customer_id": "nobody"}, (422, "invalid_filter", [("customer_id", "invalid")])),
            (
                {"customer_id": "01944b1f-0000-7000-8000-000000000001", "id": "a"},
                (422, "unknown_parameter", [("id", "unknown_parameter")]),
            ),
        ],
        ids=str,
    )
    def test_needs_a_customer(self, client: APIClient, query: dict[str, str], problem: Any) -> None:
        assert read_problem(client.get(PATH, query)) == problem


class TestAccess:
    @pytest.mark.parametrize(
        ("key", "can_write"),
        [
            ({"role": ApiKeyRole.ADMIN}, True),
            ({"role": ApiKeyRole.DEVELOPER}, True),
            ({"role": ApiKeyRole.READ_ONLY}, False),
            ({"kind": ApiKeyKind.PUBLISHABLE}, False),
            ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["events:write"]}, True),
            ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["metering:read"]}, False),
        ],
        ids=str,
    )
    def test_needs_the_scope_to_write(
        self, subscription: Subscription, key: dict[str, Any], can_write: bool
    ) -> None:
        client = make_client(**key)

        single = post(client, PATH, write_event(subscription))
        batch = post_batch(client, write_event(subscription))

        assert [single.status_code, batch.status_code] == ([201, 200] if can_write else [403, 403])
        assert UsageEvent.objects.count() == (2 if can_write else 0)

    def test_needs_a_key(self, subscription: Subscription) -> None:
        assert read_problem(post(APIClient(), PATH, write_event(subscription)))[:2] == (
            401,
            "missing_api_key",
        )
        assert read_problem(post_batch(APIClient()))[0] == 401
        assert read_problem(APIClient().get(PATH))[0] == 401
