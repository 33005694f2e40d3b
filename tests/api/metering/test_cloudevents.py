"""CloudEvents 1.0, written by the official SDK as any of its clients would send them."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_project.core.clock import now
from metering.models import UsageEvent
from subscriptions.models import Subscription
from tests.factories.core import make_client
from tests.factories.customers import make_customer
from tests.factories.metering import EVENT_TYPE, INPUT, OUTPUT, make_metered_plan, read_totals
from tests.factories.subscriptions import subscribe

pytestmark = pytest.mark.django_db

URL = "/v1/events"


def write_cloud_event(customer: object, *, data: Any = None, **attributes: Any) -> CloudEvent:
    given = {
        "id": "1",
        "source": "/gateway",
        "type": EVENT_TYPE,
        "subject": str(customer),
        "time": now() - timedelta(minutes=1),
        **attributes,
    }
    return CloudEvent(
        attributes={name: value for name, value in given.items() if value is not None},
        data={"input_tokens": 10, "output_tokens": 2} if data is None else data,
    )


def send(message: HTTPMessage) -> Any:
    headers = {name: value for name, value in message.headers.items() if name.lower() != "content-type"}
    content_type = next(
        (value for name, value in message.headers.items() if name.lower() == "content-type"),
        "application/json",
    )
    return make_client().generic("POST", URL, message.body, content_type=content_type, headers=headers)


def send_structured(event: CloudEvent) -> Any:
    return send(to_structured(event, JSONFormat()))


def send_binary(event: CloudEvent) -> Any:
    return send(to_binary(event, JSONFormat()))


def send_batch(*events: CloudEvent) -> Any:
    body = b"[" + b",".join(JSONFormat().write(event) for event in events) + b"]"
    return send(HTTPMessage({"content-type": "application/cloudevents-batch+json; charset=utf-8"}, body))


def subscribe_now(**options: Any) -> Subscription:
    started_at = now() - timedelta(days=1)
    return subscribe(plan=make_metered_plan(), start_at=started_at, at=started_at, **options)


class TestOne:
    @pytest.mark.parametrize("send_one", [send_structured, send_binary])
    def test_is_taken_in_and_counts_once(self, send_one: Any) -> None:
        subscription = subscribe_now()
        event = write_cloud_event(subscription.customer_id)

        first, second = send_one(event), send_one(event)

        assert (first.status_code, first.json()) == (
            201,
            {"accepted": True, "event_id": "/gateway#1", "duplicate": False},
        )
        assert (second.status_code, second.json()["duplicate"]) == (200, True)
        stored = UsageEvent.objects.get(customer_id=subscription.customer_id)
        assert (stored.event_id, stored.event_type) == ("/gateway#1", EVENT_TYPE)
        assert stored.timestamp == event.get_time()
        assert read_totals(subscription) == {INPUT: 10, OUTPUT: 2}

    def test_is_the_same_event_in_either_mode(self) -> None:
        event = write_cloud_event(subscribe_now().customer_id)
        send_structured(event)

        assert send_binary(event).json()["duplicate"] is True

    def test_finds_the_customer_by_the_external_id(self) -> None:
        customer = make_customer(external_id="acme")
        subscribe_now(customer=customer)

        assert send_structured(write_cloud_event("acme")).status_code == 201
        assert UsageEvent.objects.get().customer_id == customer.pk

    def test_names_a_subscription_by_an_extension(self) -> None:
        first = subscribe_now()
        second = subscribe(
            customer=first.customer, plan=make_metered_plan(), start_at=first.starts_at, at=now()
        )

        unnamed = send_structured(write_cloud_event(first.customer_id))
        named = send_structured(write_cloud_event(first.customer_id, subscriptionid=str(second.pk)))

        assert (unnamed.status_code, unnamed.json()["errors"][0]["field"]) == (422, "subscriptionid")
        assert named.status_code == 201
        assert UsageEvent.objects.get().subscription_id == second.pk

    def test_is_told_apart_from_another_sources_by_its_source(self) -> None:
        subscription = subscribe_now()
        send_structured(write_cloud_event(subscription.customer_id))

        answer = send_structured(write_cloud_event(subscription.customer_id, source="/batch", data={}))

        assert answer.json() == {"accepted": True, "event_id": "/batch#1", "duplicate": False}

    def test_without_a_time_is_stamped_when_it_comes_and_still_counts_once(self) -> None:
        subscription = subscribe_now()
        event = write_cloud_event(subscription.customer_id, time=None)
        before = now()

        body = msgspec.json.decode(JSONFormat().write(event))
        body.pop("time", None)
        message = HTTPMessage({"content-type": "application/cloudevents+json"}, msgspec.json.encode(body))
        answers = [send(message), send(message)]

        assert [answer.json()["duplicate"] for answer in answers] == [False, True]
        assert before <= UsageEvent.objects.get().timestamp <= now()

    @pytest.mark.parametrize(
        ("attributes", "data", "code"),
        [
            ({"subject": "nobody"}, None, "unknown_customer"),
            ({"type": "x" * 201}, None, "too_long"),
            ({"id": "x" * 250}, None, "too_long"),
            ({}, "text", "malformed"),
            ({}, b"\x00\x01", "malformed"),
            ({}, {"input_tokens": -1}, "invalid_value"),
        ],
    )
    def test_is_refused_like_any_event(self, attributes: dict[str, str], data: Any, code: str) -> None:
        subscription = subscribe_now()
        event = write_cloud_event(subscription.customer_id, data=data, **attributes)

        answer = send_structured(event)

        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert not UsageEvent.objects.exists()

    @pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "subject"])
    def test_needs_what_makes_it_one(self, missing: str) -> None:
        body = msgspec.json.decode(JSONFormat().write(write_cloud_event(subscribe_now().customer_id)))
        del body[missing]

        answer = send(
            HTTPMessage({"content-type": "application/cloudevents+json"}, msgspec.json.encode(body))
        )

        assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
        assert not UsageEvent.objects.exists()

    def test_of_another_version_is_refused(self) -> None:
        body = msgspec.json.decode(JSONFormat().write(write_cloud_event(subscribe_now().customer_id)))

        answer = send(
            HTTPMessage(
                {"content-type": "application/cloudevents+json"},
                msgspec.json.encode({**body, "specversion": "0.3"}),
            )
        )

        assert (answer.status_code, answer.json()["code"]) == (422, "malformed")


class TestBatch:
    def test_is_answered_like_a_batch(self) -> None:
        subscription = subscribe_now()
        good = write_cloud_event(subscription.customer_id)
        bad = write_cloud_event("nobody", id="2")

        answer = send_batch(good, bad, good)

        assert answer.status_code == 207
        report = answer.json()
        assert (report["accepted"], report["duplicates"], report["rejected"]) == (1, 1, 1)
        assert [(error["index"], error["id"], error["code"]) for error in report["errors"]] == [
            (1, "/gateway#2", "unknown_customer")
        ]

    def test_makes_the_same_queries_for_any_number_of_customers(self) -> None:
        plan = make_metered_plan()
        started_at = now() - timedelta(days=1)
        customers = [subscribe(plan=plan, start_at=started_at, at=started_at).customer_id for _ in range(10)]
        send_batch(write_cloud_event(customers[0]))
        counts = []

        for number in (1, 10):
            with CaptureQueriesContext(connection) as queries:
                answer = send_batch(
                    *[write_cloud_event(one, id=f"of-{number}") for one in customers[:number]]
                )
            counts.append((len(queries), answer.json()["accepted"]))

        assert counts == [(counts[0][0], 1), (counts[0][0], 10)]

    @pytest.mark.parametrize(("body", "status"), [(b"{}", 422), (b"[", 400), (b"[1, {}]", 422), (b"[]", 200)])
    def test_that_is_none_says_so(self, body: bytes, status: int) -> None:
        answer = send(HTTPMessage({"content-type": "application/cloudevents-batch+json"}, body))

        assert answer.status_code == status
