"""Who gets in."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.access.operations import revoke_api_key
from billing_project.core.ids import make_id
from billing_project.core.models import ApiKeyKind, ApiKeyRole, NumberSequence
from tests.api.core.test_conventions import check_problem
from tests.factories.core import NOON, TESTER, make_api_key, make_client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.core.sample")]

READER: dict[str, Any] = {"role": ApiKeyRole.READ_ONLY}
DEVELOPER: dict[str, Any] = {"role": ApiKeyRole.DEVELOPER}
PUBLISHABLE: dict[str, Any] = {"kind": ApiKeyKind.PUBLISHABLE}


def restricted(*scopes: str) -> dict[str, Any]:
    return {"kind": ApiKeyKind.RESTRICTED, "scopes": scopes}


class TestAuthentication:
    def test_takes_the_key_as_bearer_or_in_its_own_header(self) -> None:
        token = make_api_key().token

        for headers in (
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"bearer {token}"},
            {"X-API-Key": token},
        ):
            assert APIClient().get("/v1/things", headers=headers).status_code == 200

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({}, "missing_api_key"),
            ({"Authorization": ""}, "missing_api_key"),
            ({"X-API-Key": " "}, "missing_api_key"),
            ({"Authorization": "Bearer bsk_test_nobody"}, "invalid_api_key"),
            ({"X-API-Key": "bsk_test_nobody"}, "invalid_api_key"),
            ({"X-API-Key": "\xe9\x00"}, "invalid_api_key"),
            ({"Authorization": "Bearer"}, "malformed_authorization"),
            ({"Authorization": "Bearer a b"}, "malformed_authorization"),
            ({"Authorization": "Basic dXNlcjpwYXNz"}, "malformed_authorization"),
        ],
    )
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_refuses(self, headers: dict[str, str], code: str, method: str) -> None:
        answer = getattr(APIClient(), method)("/v1/things", headers=headers)

        check_problem(answer, 401, code)
        assert answer["WWW-Authenticate"] == 'Bearer realm="billing"'

    def test_refuses_a_revoked_key(self) -> None:
        new = make_api_key()
        revoke_api_key(api_key_id=new.api_key.id, at=NOON, actor=TESTER)

        answer = APIClient().get("/v1/things", headers={"X-API-Key": new.token})

        check_problem(answer, 401, "revoked_api_key")

    def test_comes_before_everything_else(self) -> None:
        check_problem(APIClient().get(f"/v1/things/{make_id()}?colour=red"), 401, "missing_api_key")
        check_problem(APIClient().put("/v1/things"), 401, "missing_api_key")


class TestHasAccess:
    @pytest.mark.parametrize(
        ("key", "method", "path", "status"),
        [
            ({}, "get", "/v1/things", 200),
            ({}, "post", "/v1/things", 201),
            ({}, "get", "/admin/v1/things", 200),
            (READER, "get", "/v1/things", 200),
            (READER, "head", "/v1/things", 200),
            (READER, "get", "/admin/v1/things", 200),
            (READER, "post", "/v1/things", 403),
            (READER, "post", "/admin/v1/things", 403),
            (DEVELOPER, "post", "/v1/things", 201),
            ({"role": ApiKeyRole.FINANCE}, "post", "/v1/things", 403),
            (PUBLISHABLE, "get", "/v1/things", 200),
            (PUBLISHABLE, "get", "/admin/v1/things", 403),
            (PUBLISHABLE, "post", "/v1/things", 403),
            (restricted("catalog:read"), "get", "/v1/things", 200),
            (restricted("catalog:read"), "get", "/admin/v1/things", 200),
            (restricted("catalog:read"), "post", "/v1/things", 403),
            (restricted("catalog:write"), "post", "/v1/things", 201),
            (restricted("catalog:write"), "get", "/v1/things", 403),
            (restricted("events:write"), "get", "/v1/things", 403),
            (restricted("events:write"), "post", "/v1/free", 201),
        ],
    )
    def test_goes_by_the_scope(self, key: dict[str, Any], method: str, path: str, status: int) -> None:
        client = make_client(**key)

        answer = getattr(client, method)(path, {"name": "x"} if method == "post" else None)

        if method == "post" and path == "/v1/free":
            answer = client.post(path)
        if status == 403:
            check_problem(answer, 403, "missing_scope")
            assert not NumberSequence.objects.exists()
        else:
            assert answer.status_code == status

    def test_may_ask_another_scope_for_one_action(self) -> None:
        row_id = make_api_key().api_key.id
        peek = f"/v1/things/{row_id}/peek"

        assert make_client(**restricted("metering:read")).get(peek).status_code == 200
        check_problem(make_client(**restricted("catalog:read")).get(peek), 403, "missing_scope")

    def test_says_which_scope_is_missing(self) -> None:
        problem = make_client(**READER).post("/v1/things", {"name": "x"}).json()

        assert problem["detail"] == "The API key lacks the scope catalog:write."

    def test_lets_nobody_into_a_view_that_declares_nothing(self) -> None:
        check_problem(make_client().get("/v1/closed"), 403, "permission_denied")
