"""The same request, sent at the same moment."""

import threading
from collections import Counter

import pytest
from rest_framework.test import APIClient

from billing_project.core.idempotency.answers import Answer, InProgress, RequestKey, answer_once
from billing_project.core.models import IdempotencyRecord, NumberSequence
from billing_project.core.sequences import take_number
from tests.concurrency.racing import errors_of, race
from tests.factories.core import NOON, make_api_key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.api.core.sample")]

KEY = RequestKey(caller="ApiKey:1", method="POST", path="/v1/things", key="k", fingerprint="f")


class TestAnswerOnce:
    def test_tells_the_second_that_the_first_is_running(self) -> None:
        inside, go_on = threading.Event(), threading.Event()

        def run_slowly() -> Answer:
            inside.set()
            assert go_on.wait(30)
            return Answer(201, str(take_number("work")))

        def first() -> Answer:
            return answer_once(request=KEY, prepare=lambda: None, run=run_slowly, at=NOON)

        def second() -> Answer:
            assert inside.wait(30)
            try:
                return answer_once(request=KEY, prepare=lambda: None, run=run_slowly, at=NOON)
            finally:
                go_on.set()

        answer, refusal = race(first, second)

        assert answer == Answer(201, "1")
        assert isinstance(refusal, InProgress)
        assert NumberSequence.objects.get().last_number == 1

    def test_lets_another_key_pass(self) -> None:
        inside, go_on = threading.Event(), threading.Event()

        def wait() -> Answer:
            inside.set()
            assert go_on.wait(30)
            return Answer(201, "first")

        def first() -> Answer:
            return answer_once(request=KEY, prepare=lambda: None, run=wait, at=NOON)

        def second() -> Answer:
            assert inside.wait(30)
            other = RequestKey(caller="ApiKey:1", method="POST", path="/v1/things", key="l", fingerprint="f")
            try:
                return answer_once(
                    request=other, prepare=lambda: None, run=lambda: Answer(201, "second"), at=NOON
                )
            finally:
                go_on.set()

        outcomes = race(first, second)

        assert outcomes == [Answer(201, "first"), Answer(201, "second")]


class TestIdempotencyKey:
    def test_changes_once_for_eight_callers_at_once(self) -> None:
        token = make_api_key().token

        def post() -> tuple[int, object, str | None]:
            answer = APIClient().post(
                "/v1/things", {"name": "x"}, headers={"X-API-Key": token, "Idempotency-Key": "k"}
            )
            return answer.status_code, answer.json().get("number"), answer.get("X-Idempotency-Replayed")

        outcomes = race(*[post] * 8)

        assert errors_of(outcomes) == []
        kinds = Counter(outcomes)
        assert kinds[201, 1, None] == 1
        assert kinds.keys() <= {(201, 1, None), (201, 1, "true"), (409, None, None)}
        assert NumberSequence.objects.get().last_number == 1
        assert IdempotencyRecord.objects.count() == 1
        assert post() == (201, 1, "true")
