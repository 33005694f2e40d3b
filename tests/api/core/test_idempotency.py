"""Idempotency keys over HTTP."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.models import ApiKeyRole, IdempotencyRecord, NumberSequence
from tests.api.core.test_conventions import check_problem
from tests.factories.core import make_client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.core.sample")]

THINGS = "/v1/things"


@pytest.fixture
def client() -> APIClient:
    return make_client()


def post(client: APIClient, path: str, body: Any = None, *, key: str = "k", **headers: str) -> Any:
    return client.post(path, body, headers={"Idempotency-Key": key, **headers})


def taken(series: str) -> int:
    return sum(row.last_number for row in NumberSequence.objects.filter(series=series))


class TestIdempotencyKey:
    def test_gives_a_repeat_the_same_answer(self, client: APIClient) -> None:
        first = post(client, THINGS, {"name": "x"})
        repeat = post(client, THINGS, {"name": "x"})

        assert (first.status_code, first.json()) == (201, {"number": 1})
        assert "X-Idempotency-Replayed" not in first
        assert (repeat.status_code, repeat.content) == (201, first.content)
        assert repeat["X-Idempotency-Replayed"] == "true"
        assert repeat["Content-Type"] == first["Content-Type"] == "application/json"
        assert repeat["X-Request-ID"] != first["X-Request-ID"]
        assert taken("x") == 1

    def test_means_nothing_without_being_sent(self, client: APIClient) -> None:
        client.post(THINGS, {"name": "x"})
        client.post(THINGS, {"name": "x"})

        assert taken("x") == 2
        assert not IdempotencyRecord.objects.exists()

    def test_is_refused_for_another_body(self, client: APIClient) -> None:
        post(client, THINGS, {"name": "x"})

        check_problem(post(client, THINGS, {"name": "y"}), 422, "idempotency_key_reused")
        assert taken("y") == 0

    def test_belongs_to_its_caller(self, client: APIClient) -> None:
        post(client, THINGS, {"name": "x"})

        assert post(make_client(), THINGS, {"name": "x"}).json() == {"number": 2}

    def test_belongs_to_its_path(self, client: APIClient) -> None:
        post(client, THINGS, {"name": "x"})

        assert post(client, "/admin/v1/things", {"name": "x"}).json() == {"number": 2}

    @pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\tb"])
    def test_is_1_to_255_visible_characters(self, client: APIClient, key: str) -> None:
        problem = check_problem(post(client, THINGS, {"name": "x"}, key=key), 422, "invalid_idempotency_key")

        assert problem["errors"][0]["field"] == "Idempotency-Key"
        assert taken("x") == 0

    @pytest.mark.parametrize("how", ["conflict", "busy", "lock_timeout", "bug", "out_of_range"])
    def test_keeps_no_failure(self, client: APIClient, how: str) -> None:
        first = post(client, f"{THINGS}/fail", {"how": how})
        again = post(client, f"{THINGS}/fail", {"how": how})

        assert first.status_code == again.status_code >= 409
        assert "X-Idempotency-Replayed" not in again
        assert taken("fail") == 0
        assert not IdempotencyRecord.objects.exists()

    def test_keeps_no_invalid_request(self, client: APIClient) -> None:
        check_problem(post(client, THINGS, {"nmae": "x"}), 422, "invalid_input")

        assert post(client, THINGS, {"name": "x"}).status_code == 201

    def test_opens_nothing_to_a_key_without_the_right(self, client: APIClient) -> None:
        reader = make_client(role=ApiKeyRole.READ_ONLY)

        check_problem(post(reader, THINGS, {"name": "x"}), 403, "missing_scope")
        assert not IdempotencyRecord.objects.exists()

    def test_works_without_a_body(self, client: APIClient) -> None:
        assert post(client, f"{THINGS}/bump").json() == post(client, f"{THINGS}/bump").json()
        assert taken("bump") == 1

    def test_keeps_an_answer_that_is_no_json(self, client: APIClient) -> None:
        post(client, f"{THINGS}/page")
        repeat = post(client, f"{THINGS}/page")

        assert (repeat.status_code, repeat.content, repeat["Content-Type"]) == (202, b"number", "text/plain")

    def test_is_ignored_when_reading(self, client: APIClient) -> None:
        answer = client.get(THINGS, headers={"Idempotency-Key": "a b"})

        assert answer.status_code == 200
        assert not IdempotencyRecord.objects.exists()

    def test_is_ignored_where_a_view_keeps_none(self, client: APIClient) -> None:
        assert post(client, "/v1/free").json() == {"number": 1}
        assert post(client, "/v1/free").json() == {"number": 2}
        assert not IdempotencyRecord.objects.exists()

    def test_keeps_no_secret(self, client: APIClient) -> None:
        first, repeat = post(client, "/v1/prepared"), post(client, "/v1/prepared")

        assert first.json() == {"number": 1, "secret": "s"}
        assert repeat.json() == {"number": 1, "secret": None}
        assert IdempotencyRecord.objects.get().body == '{"number":1,"secret":null}'


@pytest.mark.django_db(transaction=True)
class TestPrepare:
    def test_commits_before_the_action_and_not_for_a_repeat(self, client: APIClient) -> None:
        post(client, "/v1/prepared")
        post(client, "/v1/prepared")

        assert (taken("prepared"), taken("done")) == (1, 1)

    def test_runs_without_a_key_too(self, client: APIClient) -> None:
        client.post("/v1/prepared")

        assert (taken("prepared"), taken("done")) == (1, 1)
