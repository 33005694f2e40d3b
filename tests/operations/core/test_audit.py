"""The audit trail."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django import DjangoAssertNumQueries

from billing_project.core import audit
from billing_project.core.actors import Actor, ActorKind
from billing_project.core.models import ApiKey, AuditEntry, NumberSequence
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db


class TestRecord:
    def test_keeps_who_what_when_and_why(self) -> None:
        key = ApiKey(name="CI")
        actor = Actor(ActorKind.STAFF, "7", "ada", request_id="r-1", reason="asked by phone")

        entry = audit.record(
            "api_key.renamed", subject=key, changes={"name": ("CD", "CI")}, actor=actor, at=NOON
        )

        stored = AuditEntry.objects.get(pk=entry.pk)
        assert stored.action == "api_key.renamed"
        assert (stored.subject_type, stored.subject_id) == ("core.ApiKey", str(key.id))
        assert stored.changes == {"name": ["CD", "CI"]}
        assert (stored.actor_kind, stored.actor_id, stored.actor_label) == ("Staff", "7", "ada")
        assert (stored.request_id, stored.reason) == ("r-1", "asked by phone")
        assert stored.occurred_at == NOON
        assert stored.customer_id is None

    def test_names_the_customer_of_a_subject_that_has_one(self) -> None:
        row = NumberSequence(series="s")
        row.customer_id = UUID(int=5)  # type: ignore[attr-defined]

        assert audit.record("x", subject=row, changes={}, actor=TESTER, at=NOON).customer_id == UUID(int=5)

    def test_keeps_no_secret(self) -> None:
        with pytest.raises(AssertionError, match="is a secret"):
            audit.record("x", subject=ApiKey(), changes={"key_hash": (None, "a")}, actor=TESTER, at=NOON)

        assert not AuditEntry.objects.exists()


class TestRecordAll:
    def test_takes_one_statement_for_a_thousand(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        entries = [audit.Change(NumberSequence(series=str(n)), {"n": (n, n + 1)}) for n in range(1_000)]

        with django_assert_num_queries(1):
            audit.record_all("x", entries=entries, actor=TESTER, at=NOON)

        assert AuditEntry.objects.count() == 1_000


class TestSetFields:
    def test_sets_what_differs_and_tells_it(self) -> None:
        key = ApiKey(name="CI", hint="abcd")

        changes = audit.set_fields(key, {"name": "CD", "hint": "abcd", "expires_at": NOON})

        assert changes == {"name": ("CI", "CD"), "expires_at": (None, NOON)}
        assert (key.name, key.expires_at) == ("CD", NOON)


class TestMade:
    def test_says_that_each_field_was_nothing(self) -> None:
        assert audit.made(ApiKey(name="CI", hint="x"), "name", "hint") == {
            "name": (None, "CI"),
            "hint": (None, "x"),
        }


class TestAuditEntry:
    @pytest.fixture
    def entry(self) -> AuditEntry:
        return audit.record("x", subject=ApiKey(), changes={}, actor=TESTER, at=NOON)

    @pytest.mark.parametrize(
        ("statement", "operation"),
        [
            ("UPDATE core_auditentry SET action = 'y'", "UPDATE"),
            ("UPDATE core_auditentry SET action = action", "UPDATE"),
            ("DELETE FROM core_auditentry", "DELETE"),
            ("TRUNCATE core_auditentry", "TRUNCATE"),
            ("SET pgtrigger.ignore = '{pgtrigger_append_only_97da0}'; DELETE FROM core_auditentry", "DELETE"),
        ],
    )
    def test_cannot_be_changed_even_by_sql(self, entry: AuditEntry, statement: str, operation: str) -> None:
        message = f"core_auditentry is append-only: {operation} is refused"
        with pytest.raises(IntegrityError, match=message), transaction.atomic():
            connection.cursor().execute(statement)

        assert AuditEntry.objects.get() == entry

    def test_cannot_be_changed_by_the_orm(self, entry: AuditEntry) -> None:
        entry.occurred_at = NOON + timedelta(days=1)
        with pytest.raises(IntegrityError, match="UPDATE is refused"), transaction.atomic():
            entry.save()
        with pytest.raises(IntegrityError, match="DELETE is refused"), transaction.atomic():
            entry.delete()

        assert AuditEntry.objects.get().occurred_at == NOON


@pytest.mark.django_db(transaction=True)
def test_is_written_only_in_a_transaction() -> None:
    with pytest.raises(AssertionError, match="shares the transaction"):
        audit.record("x", subject=ApiKey(), changes={}, actor=TESTER, at=NOON)
