"""The audit trail over HTTP."""

import pytest
from django.db import connection
from rest_framework.test import APIClient

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.models import ApiKey, ApiKeyRole
from tests.api.core.test_conventions import check_problem
from tests.factories.core import NOON, make_client

pytestmark = pytest.mark.django_db

LOG = "/admin/v1/audit-log"


@pytest.fixture
def client() -> APIClient:
    return make_client(role=ApiKeyRole.FINANCE)


class TestList:
    def test_shows_who_changed_what(self, client: APIClient) -> None:
        key = ApiKey(name="x")
        audit.record(
            "key.renamed", subject=key, changes={"name": ("y", "x")}, actor=Actor.system("t"), at=NOON
        )

        newest = client.get(LOG).json()[0]

        assert newest.pop("id")
        assert newest.pop("created_at").endswith("Z")
        assert newest == {
            "action": "key.renamed",
            "subject_type": "core.ApiKey",
            "subject_id": str(key.id),
            "customer_id": None,
            "changes": {"name": ["y", "x"]},
            "actor_kind": "System",
            "actor_id": "t",
            "actor_label": "t",
            "reason": "",
            "request_id": "",
            "occurred_at": "2026-02-28T12:00:00Z",
        }

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("action=api_key.created", 1),
            ("action=other", 0),
            ("subject_type=core.ApiKey", 1),
            ("actor_kind=System", 1),
            ("actor_kind=Staff", 0),
            ("actor_id=tests", 1),
            ("customer_id=01944b1f-0000-7000-8000-000000000001", 0),
            ("created_after=2020-01-01T00:00:00Z", 1),
            ("created_before=2020-01-01T00:00:00Z", 0),
            ("request_id=r", 0),
        ],
    )
    def test_filters(self, client: APIClient, query: str, count: int) -> None:
        assert len(client.get(f"{LOG}?{query}").json()) == count

    @pytest.mark.parametrize("query", ["actor_kind=Robot", "customer_id=x", "actor=x"])
    def test_refuses_other_filters(self, client: APIClient, query: str) -> None:
        assert client.get(f"{LOG}?{query}").status_code == 422

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_cannot_be_written(self, client: APIClient, method: str) -> None:
        check_problem(getattr(client, method)(LOG), 405, "method_not_allowed")

    @pytest.mark.parametrize("role", [ApiKeyRole.SUPPORT, ApiKeyRole.DEVELOPER, ApiKeyRole.READ_ONLY])
    def test_is_not_for_everybody(self, role: ApiKeyRole) -> None:
        check_problem(make_client(role=role).get(LOG), 403, "missing_scope")


class TestPlans:
    @pytest.mark.parametrize(
        ("condition", "index"),
        [
            ("subject_type = 'core.ApiKey' AND subject_id = 'x'", "auditentry_by_subject"),
            ("customer_id = '01944b1f-0000-7000-8000-000000000001'", "auditentry_by_customer"),
            ("action = 'x'", "auditentry_by_action"),
            ("actor_id = 'x'", "auditentry_by_actor"),
        ],
    )
    def test_use_an_index_and_no_sort(self, condition: str, index: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            cursor.execute(
                f"EXPLAIN SELECT * FROM core_auditentry WHERE {condition} ORDER BY id DESC LIMIT 101"
            )
            plan = "\n".join(line for (line,) in cursor.fetchall())

        assert index in plan
        assert "Sort" not in plan
