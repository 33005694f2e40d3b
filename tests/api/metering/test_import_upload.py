"""`POST /v1/events/import`: a stream in, totals and the first refusals out."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from billing_project.core.models import ApiKeyKind, ApiKeyRole
from metering.api import imports
from metering.models import UsageEvent
from metering.operations import ingest_many_events
from subscriptions.models import Subscription
from tests.factories.core import NOON, make_client
from tests.factories.metering import INPUT, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

PATH = "/v1/events/import"


@pytest.fixture
def subscription() -> Subscription:
    return subscribe(plan=make_metered_plan())


def encode(*events: Mapping[str, Any] | bytes) -> bytes:
    lines = [
        event if isinstance(event, bytes) else msgspec.json.encode(event, enc_hook=str) for event in events
    ]
    return b"".join(line + b"\n" for line in lines)


def upload(body: bytes, *, client: APIClient | None = None, content_type: str = imports.NDJSON) -> Any:
    return (client or make_client()).generic("POST", PATH, body, content_type=content_type)


class TestCreate:
    def test_takes_a_stream_in(self, subscription: Subscription) -> None:
        events = [write_event(subscription) for _ in range(7)]

        with override_settings(BILLING_IMPORT_CHUNK=3):
            answer = upload(
                encode(*events, events[0], b""), content_type="application/x-ndjson; charset=utf-8"
            )

        assert answer.status_code == 200
        assert answer.json() == {
            "accepted": 7,
            "duplicates": 1,
            "rejected": 0,
            "errors": [],
            "errors_left_off": 0,
        }
        assert read_totals(subscription)[INPUT] == 70
        assert upload(encode(*events)).json()["duplicates"] == 7
        assert find_breaches() == []

    def test_says_which_lines_are_rejected_across_chunks(self, subscription: Subscription) -> None:
        good = write_event(subscription, timestamp=NOON)
        bad = write_event(subscription, id="bad", properties={"input_tokens": "many"})

        with override_settings(BILLING_IMPORT_CHUNK=2):
            answer = upload(encode(good, b"", b"{", good, bad, {**good, "properties": {}}))

        assert answer.status_code == 207
        report = answer.json()
        assert [report[name] for name in ("accepted", "duplicates", "rejected")] == [1, 1, 3]
        assert [(error["line"], error["id"], error["code"]) for error in report["errors"]] == [
            (3, None, "malformed"),
            (5, "bad", "invalid_value"),
            (6, good["id"], "conflict"),
        ]

    def test_is_a_problem_if_all_are_rejected(self, subscription: Subscription) -> None:
        answer = upload(encode(b"[]", write_event(subscription, properties={"input_tokens": -1})))

        assert answer.status_code == 422
        assert answer["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["rejected"], problem["errors_left_off"]) == (
            "all_events_rejected",
            2,
            0,
        )
        assert [(error["field"], error["line"], error["code"]) for error in problem["errors"]] == [
            ("line 1", 1, "malformed"),
            ("line 2", 2, "invalid_value"),
        ]

    def test_lists_so_many_errors_and_counts_the_others(
        self, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(imports, "MAX_ERRORS", 3)

        with override_settings(BILLING_IMPORT_CHUNK=2):
            report = upload(encode(write_event(subscription), *[b"{}"] * 8)).json()

        assert [error["line"] for error in report["errors"]] == [2, 3, 4]
        assert (report["rejected"], report["errors_left_off"]) == (8, 5)

    def test_is_not_bound_by_the_limit_of_other_bodies(self, subscription: Subscription) -> None:
        body = encode(*[write_event(subscription) for _ in range(20)])

        with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=len(body) // 2):
            answer = upload(body)

        assert answer.json()["accepted"] == 20

    def test_has_a_limit_of_its_own_before_anything_is_read(self, subscription: Subscription) -> None:
        body = encode(write_event(subscription))

        with override_settings(STREAMED_BODY_LIMITS={PATH: len(body) - 1}):
            answer = upload(body)

        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert UsageEvent.objects.count() == 0

    def test_counts_as_it_reads(self, subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(imports, "BUFFER_BYTES", 64)
        first = encode(write_event(subscription))
        second = encode(write_event(subscription))

        with override_settings(BILLING_IMPORT_CHUNK=1, BILLING_IMPORT_MAX_BYTES=len(first) + 100):
            answer = upload(first + second)

        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert UsageEvent.objects.count() == 1  # What came before is stored.

    def test_keeps_what_was_stored_when_it_breaks_and_a_repeat_is_harmless(
        self, subscription: Subscription, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = encode(*[write_event(subscription) for _ in range(4)])
        original, calls = ingest_many_events, []

        def fail(**options: Any) -> Any:
            calls.append(options)
            if len(calls) == 2:
                raise OSError("The connection is gone.")
            return original(**options)

        with override_settings(BILLING_IMPORT_CHUNK=2):
            with monkeypatch.context() as patches:
                patches.setattr(imports, "ingest_many_events", fail)
                assert upload(body).status_code == 500
            assert UsageEvent.objects.count() == 2

            report = upload(body).json()

        assert (report["accepted"], report["duplicates"]) == (2, 2)
        assert read_totals(subscription)[INPUT] == 40

    @pytest.mark.parametrize("body", [b"", b"\n\r\n"])
    def test_may_be_empty(self, body: bytes) -> None:
        answer = upload(body)

        assert (answer.status_code, answer.json()["accepted"]) == (200, 0)

    @pytest.mark.parametrize("content_type", ["application/json", "text/csv", ""])
    def test_takes_no_other_type(self, content_type: str, subscription: Subscription) -> None:
        answer = upload(encode(write_event(subscription)), content_type=content_type)

        assert answer.status_code == 415
        assert UsageEvent.objects.count() == 0

    def test_takes_the_right_to_write_events(self, subscription: Subscription) -> None:
        body = encode(write_event(subscription))
        allowed = make_client(kind=ApiKeyKind.RESTRICTED, scopes=["events:write"])
        refused = make_client(kind=ApiKeyKind.RESTRICTED, scopes=["events:read"])

        assert upload(body, client=APIClient()).status_code == 401
        assert upload(body, client=refused).status_code == 403
        assert upload(body, client=make_client(role=ApiKeyRole.READ_ONLY)).status_code == 403
        assert UsageEvent.objects.count() == 0
        assert upload(body, client=allowed).status_code == 200

    def test_cannot_be_read(self) -> None:
        assert make_client().get(PATH).status_code == 405

    def test_gives_every_line_its_rules(self, subscription: Subscription) -> None:
        event = write_event(subscription, timestamp=NOON)
        ingest(event)

        answer = upload(b"\xef\xbb\xbf" + encode(event).replace(b"\n", b"\r\n") + b"x" * (1024 * 1024 + 1))

        assert answer.json()["duplicates"] == 1
        assert answer.json()["errors"][0]["code"] == "too_long"


class TestSchema:
    def test_describes_the_upload(self) -> None:
        schema = json.loads(APIClient().get("/openapi.json").content)
        operation = schema["paths"][PATH]["post"]

        assert list(operation["requestBody"]["content"]) == [imports.NDJSON]
        assert {"200", "207", "413", "415", "422"} <= operation["responses"].keys()
        assert "send the\nwhole again" in operation["description"]
        reference = operation["responses"]["207"]["content"]["application/json"]["schema"]["$ref"]
        properties = schema["components"]["schemas"][reference.rpartition("/")[2]]["properties"]
        assert properties.keys() == {"accepted", "duplicates", "rejected", "errors", "errors_left_off"}
