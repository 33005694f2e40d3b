"""Scopes and roles."""

import pytest

from billing_project.core.access.scopes import (
    ALL_SCOPES,
    PUBLISHABLE_SCOPES,
    READ_SCOPES,
    ROLE_SCOPES,
    Access,
    Scope,
)
from billing_project.core.models import ApiKey, ApiKeyKind, ApiKeyRole


class TestRoleScopes:
    def test_has_every_role(self) -> None:
        assert set(ROLE_SCOPES) == set(ApiKeyRole.values)

    def test_admin_may_do_everything(self) -> None:
        assert ROLE_SCOPES["Admin"] == ALL_SCOPES == set(Scope)

    def test_read_only_writes_nothing(self) -> None:
        assert ROLE_SCOPES["ReadOnly"] == READ_SCOPES
        assert not any(scope.endswith(":write") for scope in ROLE_SCOPES["ReadOnly"])

    def test_finance_handles_money_and_leaves_the_catalogue(self) -> None:
        assert {Scope.INVOICES_WRITE, Scope.PAYMENTS_WRITE, Scope.AUDIT_READ} <= ROLE_SCOPES["Finance"]
        assert Scope.CATALOG_READ in ROLE_SCOPES["Finance"]
        assert Scope.CATALOG_WRITE not in ROLE_SCOPES["Finance"]

    @pytest.mark.parametrize("role", ["Support", "Developer", "ReadOnly"])
    def test_moves_no_money(self, role: str) -> None:
        money = {Scope.INVOICES_WRITE, Scope.PAYMENTS_WRITE, Scope.CREDITS_WRITE, Scope.TAX_WRITE}

        assert not money & ROLE_SCOPES[role]

    @pytest.mark.parametrize("role", ["Finance", "Support", "Developer", "ReadOnly"])
    def test_only_admin_handles_keys(self, role: str) -> None:
        assert not {Scope.API_KEYS_READ, Scope.API_KEYS_WRITE} & ROLE_SCOPES[role]


class TestGrantedScopes:
    def test_are_those_of_the_role_of_a_secret_key(self) -> None:
        key = ApiKey(kind=ApiKeyKind.SECRET, role=ApiKeyRole.FINANCE)

        assert key.granted_scopes == ROLE_SCOPES["Finance"]

    def test_are_those_listed_on_a_restricted_key(self) -> None:
        key = ApiKey(kind=ApiKeyKind.RESTRICTED, scopes=["events:write", "of:another-version"])

        assert key.granted_scopes == {Scope.EVENTS_WRITE}

    def test_only_read_with_a_publishable_key(self) -> None:
        assert ApiKey(kind=ApiKeyKind.PUBLISHABLE).granted_scopes == PUBLISHABLE_SCOPES
        assert not any(scope.endswith(":write") for scope in PUBLISHABLE_SCOPES)


class TestFindScope:
    ACCESS = Access(
        read=Scope.CATALOG_READ, write=Scope.CATALOG_WRITE, actions={"quote": Scope.METERING_READ}
    )

    @pytest.mark.parametrize(
        ("method", "action", "scope"),
        [
            ("GET", "list", Scope.CATALOG_READ),
            ("HEAD", "retrieve", Scope.CATALOG_READ),
            ("POST", "create", Scope.CATALOG_WRITE),
            ("DELETE", "destroy", Scope.CATALOG_WRITE),
            ("POST", "quote", Scope.METERING_READ),
            ("PUT", None, Scope.CATALOG_WRITE),
        ],
    )
    def test_chooses_by_method_and_action(self, method: str, action: str | None, scope: Scope) -> None:
        assert self.ACCESS.find_scope(method=method, action=action) == scope

    def test_finds_none_where_nothing_is_written(self) -> None:
        assert Access(read=Scope.AUDIT_READ).find_scope(method="POST", action="create") is None
