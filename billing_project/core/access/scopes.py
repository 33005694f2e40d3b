"""Scopes: the rights that a key can hold. A role is a set of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Scope(StrEnum):
    """One right, as it is written on a restricted key."""

    ALERTS_READ = "alerts:read"
    ALERTS_WRITE = "alerts:write"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"
    AUDIT_READ = "audit:read"
    BILL_RUNS_READ = "bill_runs:read"
    CATALOG_READ = "catalog:read"
    CATALOG_WRITE = "catalog:write"
    CREDITS_READ = "credits:read"
    CREDITS_WRITE = "credits:write"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    EVENTS_READ = "events:read"
    EVENTS_WRITE = "events:write"
    INVOICES_READ = "invoices:read"
    INVOICES_WRITE = "invoices:write"
    LEDGER_READ = "ledger:read"
    METERING_READ = "metering:read"
    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    SUBSCRIPTIONS_READ = "subscriptions:read"
    SUBSCRIPTIONS_WRITE = "subscriptions:write"
    TAX_READ = "tax:read"
    TAX_WRITE = "tax:write"
    TEST_CLOCKS_READ = "test_clocks:read"
    TEST_CLOCKS_WRITE = "test_clocks:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


ALL_SCOPES = frozenset(Scope)
# Keys and the audit trail tell how the install is guarded: they are for Admin, and where a role names them.
READ_SCOPES = frozenset(
    scope
    for scope in Scope
    if scope.endswith(":read") and scope not in {Scope.API_KEYS_READ, Scope.AUDIT_READ}
)
PUBLISHABLE_SCOPES = READ_SCOPES

ROLE_SCOPES: Mapping[str, frozenset[Scope]] = {
    "Admin": ALL_SCOPES,
    "Finance": READ_SCOPES
    | {
        Scope.ALERTS_WRITE,
        Scope.AUDIT_READ,
        Scope.CREDITS_WRITE,
        Scope.CUSTOMERS_WRITE,
        Scope.INVOICES_WRITE,
        Scope.PAYMENTS_WRITE,
        Scope.SUBSCRIPTIONS_WRITE,
        Scope.TAX_WRITE,
    },
    "Support": READ_SCOPES | {Scope.ALERTS_WRITE, Scope.CUSTOMERS_WRITE},
    "Developer": READ_SCOPES
    | {
        Scope.CATALOG_WRITE,
        Scope.CUSTOMERS_WRITE,
        Scope.EVENTS_WRITE,
        Scope.SUBSCRIPTIONS_WRITE,
        Scope.TEST_CLOCKS_WRITE,
        Scope.WEBHOOKS_WRITE,
    },
    "ReadOnly": READ_SCOPES,
}

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Access:
    """The scopes that a view asks for: one to read, one to change, and others for single actions.

    `actions` maps the name of a view's action to its scope, where it is not the usual one. Where `write` is
    missing the view changes nothing.
    """

    read: Scope
    write: Scope | None = None
    actions: Mapping[str, Scope] = field(default_factory=dict)

    def find_scope(self, *, method: str, action: str | None) -> Scope | None:
        """Find the scope that a request needs; None if nothing allows it."""
        if action is not None and action in self.actions:
            return self.actions[action]
        return self.read if method in SAFE_METHODS else self.write
