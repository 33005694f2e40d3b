"""Operations on API keys, and finding one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries, Settings

from billing_project.core.access.lookup import (
    KeyExpired,
    KeyOfOtherMode,
    KeyRevoked,
    UnknownKey,
    authenticate,
)
from billing_project.core.access.operations import (
    ApiKeyNotUsable,
    ClockInLiveMode,
    ScopeEscalation,
    create_api_key,
    revoke_api_key,
    rotate_api_key,
)
from billing_project.core.access.scopes import ROLE_SCOPES, Scope
from billing_project.core.access.tokens import hash_token
from billing_project.core.errors import InvalidInput, NotFound
from billing_project.core.models import ApiKey, ApiKeyKind, ApiKeyRole, AuditEntry
from tests.factories.core import NOON, TESTER, make_api_key

pytestmark = pytest.mark.django_db

CLOCK_ID = UUID(int=3)


class TestCreateApiKey:
    def test_stores_the_hash_and_never_the_key(self) -> None:
        new = make_api_key(name="CI")

        row = ApiKey.objects.get()
        assert new.api_key == row
        assert new.token.startswith("bsk_test_")
        assert row.key_hash == hash_token(new.token)
        assert (row.prefix, row.hint) == ("bsk_test_", new.token[-4:])
        values = [str(value) for value in ApiKey.objects.values().get().values()]
        assert not any(new.token in value for value in values)

    def test_is_audited_without_the_key(self) -> None:
        new = make_api_key(name="CI", test_clock_id=CLOCK_ID)

        entry = AuditEntry.objects.get()
        assert entry.action == "api_key.created"
        assert entry.changes["name"] == [None, "CI"]
        assert entry.changes["test_clock_id"] == [None, str(CLOCK_ID)]
        assert "key_hash" not in entry.changes
        assert new.token[9:] not in str(entry.changes)

    @pytest.mark.parametrize(
        ("kind", "given", "prefix"),
        [
            (ApiKeyKind.SECRET, {"role": ApiKeyRole.FINANCE}, "bsk_live_"),
            (ApiKeyKind.PUBLISHABLE, {}, "bpk_live_"),
            (ApiKeyKind.RESTRICTED, {"scopes": ["events:write"]}, "brk_live_"),
        ],
    )
    def test_shows_kind_and_mode_in_the_key(
        self, kind: ApiKeyKind, given: dict[str, Any], prefix: str, settings: Settings
    ) -> None:
        settings.BILLING_MODE = "Live"

        new = create_api_key(name="x", kind=kind, at=NOON, actor=TESTER, **given)

        assert new.token.startswith(prefix)
        assert new.api_key.prefix == prefix

    @pytest.mark.parametrize(
        ("given", "field", "code"),
        [
            ({"kind": ApiKeyKind.SECRET}, "role", "role_of_secret_key"),
            ({"kind": ApiKeyKind.PUBLISHABLE, "role": ApiKeyRole.ADMIN}, "role", "role_of_secret_key"),
            ({"kind": ApiKeyKind.RESTRICTED}, "scopes", "scopes_of_restricted_key"),
            (
                {"role": ApiKeyRole.ADMIN, "scopes": ["events:write"]},
                "scopes",
                "scopes_of_restricted_key",
            ),
            ({"kind": ApiKeyKind.RESTRICTED, "scopes": ["everything"]}, "scopes.0", "unknown_scope"),
            ({"role": ApiKeyRole.ADMIN, "expires_at": NOON}, "expires_at", "in_the_past"),
        ],
    )
    def test_refuses_rights_that_do_not_go_with_the_kind(
        self, given: dict[str, Any], field: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            create_api_key(name="x", at=NOON, actor=TESTER, **given)

        assert [(error.field, error.code) for error in caught.value.errors] == [(field, code)]
        assert not ApiKey.objects.exists()

    def test_refuses_a_test_clock_in_live_mode(self, settings: Settings) -> None:
        settings.BILLING_MODE = "Live"

        with pytest.raises(ClockInLiveMode):
            make_api_key(test_clock_id=CLOCK_ID)

    def test_gives_no_more_than_its_maker_has(self) -> None:
        with pytest.raises(ScopeEscalation):
            make_api_key(role=ApiKeyRole.FINANCE, within=ROLE_SCOPES["ReadOnly"])

        assert not ApiKey.objects.exists()
        assert make_api_key(role=ApiKeyRole.READ_ONLY, within=ROLE_SCOPES["Finance"])

    @pytest.mark.parametrize(
        "changes",
        [{"role": ""}, {"kind": ApiKeyKind.PUBLISHABLE}, {"scopes": ["events:write"]}, {"kind": "Other"}],
    )
    def test_is_checked_by_the_database_too(self, changes: dict[str, Any]) -> None:
        key = make_api_key().api_key

        with pytest.raises(IntegrityError, match="apikey_"), transaction.atomic():
            ApiKey.objects.filter(pk=key.pk).update(**changes)


class TestRevokeApiKey:
    def test_closes_the_key_at_once(self) -> None:
        new = make_api_key()

        revoke_api_key(api_key_id=new.api_key.id, at=NOON, actor=TESTER)

        with pytest.raises(KeyRevoked):
            authenticate(token=new.token, at=NOON)
        assert AuditEntry.objects.filter(action="api_key.revoked").count() == 1

    def test_leaves_a_revoked_key_as_it_is(self) -> None:
        key = make_api_key().api_key
        revoke_api_key(api_key_id=key.id, at=NOON, actor=TESTER)

        again = revoke_api_key(api_key_id=key.id, at=NOON + timedelta(days=1), actor=TESTER)

        assert again.revoked_at == NOON
        assert AuditEntry.objects.filter(action="api_key.revoked").count() == 1

    def test_does_not_find_what_is_not_there(self) -> None:
        with pytest.raises(NotFound):
            revoke_api_key(api_key_id=UUID(int=1), at=NOON, actor=TESTER)


class TestRotateApiKey:
    def test_gives_the_same_rights_and_lets_the_old_key_expire(self) -> None:
        old = make_api_key(name="CI", role=ApiKeyRole.FINANCE, test_clock_id=CLOCK_ID)

        new = rotate_api_key(api_key_id=old.api_key.id, overlap=timedelta(hours=1), at=NOON, actor=TESTER)

        assert new.token != old.token
        assert new.api_key.replaces == old.api_key
        assert (new.api_key.name, new.api_key.role, new.api_key.test_clock_id) == ("CI", "Finance", CLOCK_ID)
        assert new.api_key.expires_at is None
        just_before = NOON + timedelta(minutes=59)
        assert authenticate(token=old.token, at=just_before) == old.api_key
        assert authenticate(token=new.token, at=just_before) == new.api_key
        with pytest.raises(KeyExpired):
            authenticate(token=old.token, at=NOON + timedelta(hours=1))

    def test_does_not_lengthen_the_old_key_s_life(self) -> None:
        soon = NOON + timedelta(minutes=5)
        old = make_api_key(expires_at=soon).api_key

        rotate_api_key(api_key_id=old.id, overlap=timedelta(days=1), at=NOON, actor=TESTER)

        old.refresh_from_db()
        assert old.expires_at == soon

    def test_refuses_a_key_that_opens_nothing(self) -> None:
        old = make_api_key().api_key
        revoke_api_key(api_key_id=old.id, at=NOON, actor=TESTER)

        with pytest.raises(ApiKeyNotUsable):
            rotate_api_key(api_key_id=old.id, overlap=timedelta(0), at=NOON, actor=TESTER)

        assert ApiKey.objects.count() == 1

    def test_gives_no_more_than_its_maker_has(self) -> None:
        old = make_api_key().api_key

        with pytest.raises(ScopeEscalation):
            rotate_api_key(
                api_key_id=old.id,
                overlap=timedelta(0),
                at=NOON,
                actor=TESTER,
                within=frozenset({Scope.API_KEYS_WRITE}),
            )


class TestAuthenticate:
    def test_finds_the_key_by_its_hash(self) -> None:
        new = make_api_key()
        make_api_key()

        assert authenticate(token=new.token, at=NOON) == new.api_key

    @pytest.mark.parametrize("token", ["", "bsk_test_", "bsk_test_" + "x" * 43, "x" * 10_000, "é\x00"])
    def test_knows_no_other(self, token: str) -> None:
        make_api_key()

        with pytest.raises(UnknownKey):
            authenticate(token=token, at=NOON)

    def test_refuses_a_key_of_the_other_mode(self, settings: Settings) -> None:
        new = make_api_key()
        settings.BILLING_MODE = "Live"

        with pytest.raises(KeyOfOtherMode):
            authenticate(token=new.token, at=NOON)

    def test_notes_the_use_at_most_once_a_minute(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        new = make_api_key()

        with django_assert_num_queries(2):
            authenticate(token=new.token, at=NOON)
        with django_assert_num_queries(1):
            authenticate(token=new.token, at=NOON + timedelta(seconds=59))
        assert ApiKey.objects.get().last_used_at == NOON
        with django_assert_num_queries(2):
            authenticate(token=new.token, at=NOON + timedelta(seconds=60))
        assert ApiKey.objects.get().last_used_at == NOON + timedelta(seconds=60)
