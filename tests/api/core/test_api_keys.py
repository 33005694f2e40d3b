"""API keys over HTTP."""

from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from billing_project.core.access.lookup import authenticate
from billing_project.core.clock import now
from billing_project.core.ids import make_id
from billing_project.core.models import ApiKey, ApiKeyKind, ApiKeyRole, AuditEntry, IdempotencyRecord
from tests.api.core.test_conventions import check_problem
from tests.factories.core import make_api_key, make_client

pytestmark = pytest.mark.django_db

KEYS = "/admin/v1/api-keys"
SHOWN = [
    "id",
    "name",
    "kind",
    "role",
    "scopes",
    "prefix",
    "hint",
    "test_clock_id",
    "expires_at",
    "revoked_at",
    "last_used_at",
    "created_at",
]


@pytest.fixture
def client() -> APIClient:
    return make_client(name="CI")


class TestCreate:
    def test_shows_the_key_this_once(self, client: APIClient) -> None:
        answer = client.post(KEYS, {"name": "Finance tool", "role": "Finance"})

        assert answer.status_code == 201
        made = answer.json()
        assert list(made) == [*SHOWN, "key"]
        assert (made["name"], made["kind"], made["role"]) == ("Finance tool", "Secret", "Finance")
        assert authenticate(token=made["key"], at=now()).id == UUID(made["id"])
        shown = client.get(f"{KEYS}/{made['id']}")
        assert list(shown.json()) == SHOWN
        assert made["key"].encode() not in shown.content

    def test_makes_an_admin_s_key_by_default(self, client: APIClient) -> None:
        assert client.post(KEYS, {"name": "x"}).json()["role"] == "Admin"

    def test_makes_a_restricted_key(self, client: APIClient) -> None:
        body = {"name": "x", "kind": "Restricted", "scopes": ["events:write", "metering:read"]}

        made = client.post(KEYS, body).json()

        assert made["key"].startswith("brk_test_")
        assert (made["role"], made["scopes"]) == ("", ["events:write", "metering:read"])

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({}, "name", "required"),
            ({"name": "x", "role": "Boss"}, "role", "invalid_choice"),
            ({"name": "x", "kind": "Restricted"}, "scopes", "scopes_of_restricted_key"),
            ({"name": "x", "scopes": ["events:write"]}, "scopes", "scopes_of_restricted_key"),
            ({"name": "x", "kind": "Restricted", "scopes": ["no"]}, "scopes.0", "unknown_scope"),
            ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "in_the_past"),
            ({"name": "x", "expires_at": "2030-01-01T00:00:00"}, "expires_at", "no_offset"),
            ({"name": "x", "key_hash": "y"}, "key_hash", "unknown_field"),
        ],
    )
    def test_refuses(self, client: APIClient, body: dict[str, Any], field: str, code: str) -> None:
        problem = check_problem(client.post(KEYS, body), 422, "invalid_input")

        assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]
        assert ApiKey.objects.count() == 1

    def test_gives_no_more_than_the_caller_has(self) -> None:
        client = make_client(kind=ApiKeyKind.RESTRICTED, scopes=["api_keys:write", "events:write"])

        check_problem(client.post(KEYS, {"name": "x"}), 403, "scope_escalation")
        allowed = {"name": "x", "kind": "Restricted", "scopes": ["events:write"]}
        assert client.post(KEYS, allowed).status_code == 201

    def test_keeps_no_key_for_a_repeat(self, client: APIClient) -> None:
        headers = {"Idempotency-Key": "k"}
        first = client.post(KEYS, {"name": "x"}, headers=headers).json()
        repeat = client.post(KEYS, {"name": "x"}, headers=headers).json()

        assert repeat == {**first, "key": None}
        assert first["key"] not in IdempotencyRecord.objects.get().body
        assert ApiKey.objects.filter(name="x").count() == 1

    def test_is_audited_with_the_caller(self, client: APIClient) -> None:
        client.post(KEYS, {"name": "x"}, headers={"X-Reason": "new tool", "X-Request-ID": "r-9"})

        entry = AuditEntry.objects.filter(action="api_key.created").latest("id")
        assert (entry.actor_kind, entry.reason, entry.request_id) == ("ApiKey", "new tool", "r-9")
        assert entry.actor_id == str(ApiKey.objects.get(name="CI").id)

    @pytest.mark.parametrize("role", [role for role in ApiKeyRole if role != ApiKeyRole.ADMIN])
    def test_is_for_admin(self, role: ApiKeyRole) -> None:
        client = make_client(role=role)

        check_problem(client.post(KEYS, {"name": "x"}), 403, "missing_scope")
        check_problem(client.get(KEYS), 403, "missing_scope")
        assert ApiKey.objects.count() == 1


class TestList:
    def test_shows_the_newest_first_and_filters(self, client: APIClient) -> None:
        make_api_key(name="second", role=ApiKeyRole.FINANCE)

        assert [row["name"] for row in client.get(KEYS).json()] == ["second", "CI"]
        assert [row["name"] for row in client.get(KEYS, {"role": "Finance"}).json()] == ["second"]
        assert client.get(KEYS, {"kind": "Restricted"}).json() == []


class TestRevoke:
    def test_closes_the_key(self, client: APIClient) -> None:
        new = make_api_key()

        answer = client.post(f"{KEYS}/{new.api_key.id}/revoke")

        assert answer.status_code == 200
        assert answer.json()["revoked_at"].endswith("Z")
        check_problem(APIClient().get(KEYS, headers={"X-API-Key": new.token}), 401, "revoked_api_key")

    def test_does_not_find_what_is_not_there(self, client: APIClient) -> None:
        check_problem(client.post(f"{KEYS}/{make_id()}/revoke"), 404, "not_found")


class TestRotate:
    def test_makes_a_key_beside_the_old_one(self, client: APIClient) -> None:
        old = make_api_key(role=ApiKeyRole.FINANCE)

        answer = client.post(f"{KEYS}/{old.api_key.id}/rotate", {"overlap_seconds": 3600})

        assert answer.status_code == 201
        assert answer.json()["role"] == "Finance"
        assert authenticate(token=old.token, at=now())
        assert authenticate(token=answer.json()["key"], at=now())

    def test_can_end_the_old_key_at_once(self, client: APIClient) -> None:
        old = make_api_key()

        client.post(f"{KEYS}/{old.api_key.id}/rotate", {"overlap_seconds": 0})

        check_problem(APIClient().get(KEYS, headers={"X-API-Key": old.token}), 401, "expired_api_key")
        check_problem(client.post(f"{KEYS}/{old.api_key.id}/rotate"), 409, "api_key_not_usable")

    @pytest.mark.parametrize("seconds", [-1, 2_592_001, "60", 1.5, True])
    def test_refuses_an_overlap_out_of_range(self, client: APIClient, seconds: object) -> None:
        old = make_api_key().api_key

        check_problem(
            client.post(f"{KEYS}/{old.id}/rotate", {"overlap_seconds": seconds}), 422, "invalid_input"
        )
