"""What is true of every endpoint: problems, ids, strict bodies and queries, paging."""

import re
from typing import Any
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from billing_project.core.ids import make_id
from billing_project.core.models import ApiKey, ApiKeyKind, NumberSequence
from tests.factories.core import make_api_key, make_client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.core.sample")]

THINGS = "/v1/things"


@pytest.fixture
def client() -> APIClient:
    return make_client(name="CI")


def send(client: APIClient, path: str, body: bytes, **rest: Any) -> Any:
    """Post the bytes as they are."""
    return client.generic("POST", path, body, **rest)


def check_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a problem, whole and of its kind, and return it."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert list(problem) == ["type", "title", "status", "detail", "code", "request_id", "errors"]
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"urn:problem:{code}")
    assert problem["request_id"] == answer["X-Request-ID"]
    return problem


class TestProblems:
    @pytest.mark.parametrize("path", ["/v1/nothing", "/admin/v1/nothing", "/v1/things/", "/v1/things/7"])
    @pytest.mark.parametrize("method", ["get", "post", "delete"])
    @pytest.mark.parametrize("debug", [False, True])
    def test_answer_a_path_that_does_not_exist(
        self, client: APIClient, path: str, method: str, debug: bool, settings: Settings
    ) -> None:
        settings.DEBUG = debug

        check_problem(getattr(client, method)(path), 404, "not_found")

    def test_answer_an_object_that_does_not_exist(self, client: APIClient) -> None:
        problem = check_problem(client.get(f"{THINGS}/{make_id()}"), 404, "not_found")

        assert problem["detail"] == "There is no such object."

    @pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace"])
    def test_answer_a_method_that_is_not_there(self, client: APIClient, method: str) -> None:
        answer = client.generic(method.upper(), THINGS)

        check_problem(answer, 405, "method_not_allowed")
        assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"

    @pytest.mark.parametrize(
        ("how", "status", "code"),
        [
            ("conflict", 409, "conflict"),
            ("limit", 402, "limit_reached"),
            ("busy", 503, "busy"),
            ("upstream", 502, "upstream_failed"),
            ("lock_timeout", 503, "busy"),
            ("deadlock", 503, "busy"),
            ("gone", 503, "unavailable"),
            ("out_of_range", 422, "out_of_range"),
            ("constraint", 500, "internal_error"),
            ("bug", 500, "internal_error"),
        ],
    )
    def test_answer_what_an_action_raises_and_change_nothing(
        self, client: APIClient, how: str, status: int, code: str
    ) -> None:
        answer = client.post(f"{THINGS}/fail", {"how": how})

        check_problem(answer, status, code)
        assert answer.get("Retry-After") == ("1" if status == 503 else None)
        assert not NumberSequence.objects.exists()

    def test_say_nothing_of_a_bug_but_log_it_without_secrets(
        self, client: APIClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = client.post(f"{THINGS}/fail", {"how": "bug"})

        assert b"ZeroDivision" not in answer.content
        assert b"secret" not in answer.content
        (record,) = [record for record in caplog.records if "request_failed" in str(record.msg)]
        assert record.levelname == "ERROR"
        assert isinstance(record.msg, dict)
        assert record.msg["request_id"] == answer["X-Request-ID"]
        assert isinstance(record.msg["exc_info"], ZeroDivisionError)

    def test_name_each_field(self, client: APIClient) -> None:
        problem = check_problem(
            client.post(THINGS, {"name": "x" * 21, "amount_nanos": -1}), 422, "invalid_input"
        )

        assert [(error["field"], error["code"]) for error in problem["errors"]] == [
            ("name", "max_length"),
            ("amount_nanos", "min_value"),
        ]


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"{", 400, "parse_error"),
            (b"NaN", 400, "parse_error"),
            (b'{"name": "a\\u0000b"}', 400, "parse_error"),
            (b'{"name": "\\ud800"}', 400, "parse_error"),
            (b'{"name": "a", "name": "b"}', 400, "parse_error"),
            (b"\xff", 400, "parse_error"),
            (b"[" * 50_000, 413, "body_too_large"),
            (b"[" * 100 + b"]" * 100, 413, "body_too_large"),
            (b"[]", 422, "invalid_input"),
            (b"null", 422, "invalid_input"),
            (b'{"name": 1e400}', 422, "invalid_input"),
            (b'{"name": "x", "amount_nanos": 1e400}', 422, "invalid_input"),
            (b'{"name": "x", "amount_nanos": 1.5}', 422, "invalid_input"),
            (b'{"name": "x", "colour": 1}', 422, "invalid_input"),
            (b"", 422, "invalid_input"),
        ],
    )
    def test_are_read_strictly(self, client: APIClient, body: bytes, status: int, code: str) -> None:
        answer = send(client, THINGS, body, content_type="application/json")

        check_problem(answer, status, code)
        assert not NumberSequence.objects.exists()

    def test_name_an_unknown_field(self, client: APIClient) -> None:
        problem = client.post(THINGS, {"name": "x", "nmae": "y"}).json()

        assert problem["errors"] == [
            {"field": "nmae", "code": "unknown_field", "detail": "There is no such field."}
        ]

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_are_json(self, client: APIClient, content_type: str) -> None:
        answer = send(client, THINGS, b"name=x", content_type=content_type)

        check_problem(answer, 415, "unsupported_media_type")

    def test_may_have_a_charset_in_their_type(self, client: APIClient) -> None:
        answer = send(client, THINGS, b'{"name": "x"}', content_type="Application/JSON; charset=utf-8")

        assert answer.status_code == 201

    @pytest.mark.parametrize("content_type", ["", "application/json", "application/x-www-form-urlencoded"])
    def test_may_be_missing_where_no_field_is_needed(self, client: APIClient, content_type: str) -> None:
        answer = send(client, f"{THINGS}/bump", b"", content_type=content_type)

        assert answer.status_code == 200

    @pytest.mark.parametrize("length", ["1001", "99999999999999999999"])
    def test_have_a_limit(self, client: APIClient, settings: Settings, length: str) -> None:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000

        answer = send(client, THINGS, b"", content_type="application/json", CONTENT_LENGTH=length)

        check_problem(answer, 413, "body_too_large")

    @pytest.mark.parametrize("encoding", ["chunked", "gzip, Chunked"])
    def test_state_their_length(self, client: APIClient, encoding: str) -> None:
        answer = client.generic("POST", f"{THINGS}/bump", HTTP_TRANSFER_ENCODING=encoding, CONTENT_LENGTH="")

        check_problem(answer, 411, "length_required")
        assert not NumberSequence.objects.exists()

    def test_may_reach_the_limit(self, client: APIClient, settings: Settings) -> None:
        body = b'{"name": "x"}'
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(body)

        answer = send(client, THINGS, body, content_type="application/json")

        assert answer.status_code == 201


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "code", "field"),
        [
            ("colour=red", "unknown_parameter", "colour"),
            ("limit=1&colour=red", "unknown_parameter", "colour"),
            ("kind=secret", "invalid_filter", "kind"),
            ("kind=Secret&kind=Restricted", "invalid_filter", "kind"),
            ("customer_id=7", "invalid_filter", "customer_id"),
            ("name=a%00b", "invalid_filter", "name"),
            ("created_after=2026-02-28T00:00:00", "invalid_filter", "created_after"),
            ("created_after=yesterday", "invalid_filter", "created_after"),
            ("limit=0", "invalid_limit", "limit"),
            ("limit=1001", "invalid_limit", "limit"),
            ("limit=-1", "invalid_limit", "limit"),
            ("limit=1e2", "invalid_limit", "limit"),
            ("limit=", "invalid_limit", "limit"),
            ("limit=%D9%A1", "invalid_limit", "limit"),
            ("cursor=", "invalid_cursor", "cursor"),
            ("cursor=x", "invalid_cursor", "cursor"),
            ("cursor=bm90IGpzb24", "invalid_cursor", "cursor"),
            ("cursor=WzFd", "invalid_cursor", "cursor"),
            ("cursor=WyJ4Il0", "invalid_cursor", "cursor"),
            ("cursor=WyJhIiwiYiJd", "invalid_cursor", "cursor"),
            ("cursor=%FF", "invalid_cursor", "cursor"),
        ],
    )
    def test_are_read_strictly(self, client: APIClient, query: str, code: str, field: str) -> None:
        problem = check_problem(client.get(f"{THINGS}?{query}"), 422, code)

        assert [error["field"] for error in problem["errors"]] == [field]

    def test_take_filters(self, client: APIClient) -> None:
        make_api_key(name="other", kind=ApiKeyKind.PUBLISHABLE)

        assert [row["name"] for row in client.get(THINGS, {"kind": "Publishable"}).json()] == ["other"]
        assert [row["name"] for row in client.get(THINGS, {"name": "CI"}).json()] == ["CI"]
        assert client.get(THINGS, {"created_after": "2100-01-01T00:00:00Z"}).json() == []
        assert len(client.get(THINGS, {"created_after": "2020-01-01T00:00:00+02:00"}).json()) == 2

    def test_take_what_an_action_declares_and_nothing_else(self, client: APIClient) -> None:
        row_id = ApiKey.objects.get().id

        assert client.get(f"{THINGS}/{row_id}/peek?colour=red").status_code == 200
        check_problem(client.get(f"{THINGS}/{row_id}/peek?kind=Secret"), 422, "unknown_parameter")
        check_problem(client.get(f"{THINGS}/{row_id}?limit=1"), 422, "unknown_parameter")
        check_problem(client.post(f"{THINGS}?limit=1", {"name": "x"}), 422, "unknown_parameter")
        assert not NumberSequence.objects.exists()


class TestPages:
    @pytest.fixture
    def ids(self) -> list[str]:
        """Make seven keys, and list all there are, newest first."""
        for _ in range(7):
            make_api_key()
        return [str(key.id) for key in ApiKey.objects.order_by("-id")]

    def follow(self, client: APIClient, address: str) -> list[list[str]]:
        pages = []
        while address:
            answer = client.get(address)
            assert answer.status_code == 200
            pages.append([row["id"] for row in answer.json()])
            found = re.fullmatch(
                r'<(http://testserver/v1/things\?[^>]+)>; rel="next"', answer.get("Link", "<>")
            )
            address = found[1] if found else ""
        return pages

    def test_tile_the_list_newest_first(self, client: APIClient, ids: list[str]) -> None:
        ids = [str(key.id) for key in ApiKey.objects.order_by("-id")]
        pages = self.follow(client, f"{THINGS}?limit=3")

        assert [len(page) for page in pages] == [3, 3, 2]
        assert sum(pages, []) == ids

    def test_end_without_an_empty_page(self, client: APIClient, ids: list[str]) -> None:
        pages = self.follow(client, f"{THINGS}?limit=4")

        assert [len(page) for page in pages] == [4, 4]

    def test_keep_their_filters(self, client: APIClient, ids: list[str]) -> None:
        pages = self.follow(client, f"{THINGS}?limit=5&name=A%20key")

        assert [len(page) for page in pages] == [5, 2]

    def test_stay_in_place_when_newer_rows_come(self, client: APIClient, ids: list[str]) -> None:
        first = client.get(f"{THINGS}?limit=3")
        make_api_key(name="newer")
        address = first["Link"].partition("<")[2].partition(">")[0]

        second = client.get(address).json()

        assert "newer" not in [row["name"] for row in second]

    def test_count_nothing(
        self, client: APIClient, ids: list[str], django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        client.get(THINGS)

        with django_assert_num_queries(2) as queries:  # The key, and the page.
            client.get(f"{THINGS}?limit=3")

        assert "LIMIT 4" in queries[1]["sql"]
        assert not any("COUNT" in query["sql"] for query in queries)

    def test_are_bare_arrays_of_a_hundred_at_most_unless_asked(self, client: APIClient) -> None:
        ApiKey.objects.bulk_create(
            ApiKey(name="n", role="Admin", prefix="bsk_test_", hint="x", key_hash=str(n)) for n in range(100)
        )

        assert len(client.get(THINGS).json()) == 100
        assert len(client.get(f"{THINGS}?limit=1000").json()) == 101


class TestRequestIds:
    def test_are_taken_from_the_caller_and_told_to_the_action(self, client: APIClient) -> None:
        row_id = ApiKey.objects.get().id

        answer = client.get(
            f"{THINGS}/{row_id}/peek", headers={"X-Request-ID": "r-1.a:b_C", "X-Reason": "why"}
        )

        assert answer["X-Request-ID"] == "r-1.a:b_C"
        seen = answer.json()
        assert (seen["request_id"], seen["reason"], seen["kind"]) == ("r-1.a:b_C", "why", "ApiKey")
        assert seen["actor"].startswith("CI (bsk_test_…")

    @pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\nb", "é", "<script>"])
    def test_are_made_where_the_caller_s_is_not_sane(self, client: APIClient, given: str) -> None:
        answer = client.get(THINGS, headers={"X-Request-ID": given})

        assert UUID(answer["X-Request-ID"]).version == 7

    def test_are_in_the_log_line_of_the_request(
        self, client: APIClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        client.get(f"{THINGS}?name=x", headers={"X-Request-ID": "r-2"})

        (line,) = [r.msg for r in caplog.records if isinstance(r.msg, dict) and r.msg["event"] == "request"]
        assert (line["method"], line["path"], line["status"]) == ("GET", THINGS, 200)
        assert line["request_id"] == "r-2"
        assert "bsk_test_" not in caplog.text


class TestFormats:
    @pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", ""])
    def test_are_json_whatever_is_asked_for(self, client: APIClient, accept: str) -> None:
        answer = client.get(THINGS, headers={"Accept": accept})

        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"

    def test_have_no_body_for_head(self, client: APIClient) -> None:
        answer = client.head(THINGS)

        assert (answer.status_code, answer.content) == (200, b"")
