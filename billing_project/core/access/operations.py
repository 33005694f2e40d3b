"""Operations on API keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from billing_project.core import audit
from billing_project.core.access.scopes import ALL_SCOPES, Scope
from billing_project.core.access.tokens import HINT_LENGTH, hash_token, make_prefix, make_token
from billing_project.core.actors import Actor
from billing_project.core.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    PermissionDenied,
)
from billing_project.core.models import ApiKey, ApiKeyKind, ApiKeyRole, Mode

LONGEST_OVERLAP = timedelta(days=30)
_AUDITED_FIELDS = ("name", "kind", "role", "scopes", "prefix", "hint", "test_clock_id", "expires_at")


class ScopeEscalation(PermissionDenied):
    """A key cannot hand out rights that it does not have."""

    code = "scope_escalation"


class ClockInLiveMode(InvalidInput):
    """Test clocks exist in Test mode only."""

    code = "test_clock_in_live_mode"


class ApiKeyNotUsable(Conflict):
    """A key that opens nothing any more cannot be replaced."""

    code = "api_key_not_usable"


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made, with its text, which is shown once and cannot be had again."""

    api_key: ApiKey
    token: str


@transaction.atomic
def create_api_key(  # noqa: PLR0913  # Each is one property of the key.
    *,
    name: str,
    at: datetime,
    actor: Actor,
    kind: ApiKeyKind = ApiKeyKind.SECRET,
    role: ApiKeyRole | None = None,
    scopes: Iterable[str] = (),
    test_clock_id: UUID | None = None,
    expires_at: datetime | None = None,
    within: frozenset[Scope] = ALL_SCOPES,
) -> NewApiKey:
    """Make a key: a secret one has a role, a restricted one its scopes, a publishable one neither.

    `within` are the rights of whoever asks for it.

    Raises: InvalidInput; ScopeEscalation.
    """
    listed = sorted(set(scopes))
    _validate(kind=kind, role=role, scopes=listed, expires_at=expires_at, at=at)
    if test_clock_id is not None and settings.BILLING_MODE == Mode.LIVE:
        raise ClockInLiveMode("A key cannot be bound to a test clock in Live mode.", field="test_clock_id")
    row = ApiKey(
        name=name,
        kind=kind,
        role=role or "",
        scopes=listed,
        test_clock_id=test_clock_id,
        expires_at=expires_at,
    )
    if not row.granted_scopes <= within:
        raise ScopeEscalation("A key cannot be given rights that whoever makes it does not have.")
    return _store(row, at=at, actor=actor)


@transaction.atomic
def revoke_api_key(*, api_key_id: UUID, at: datetime, actor: Actor) -> ApiKey:
    """Take a key back at once; one that was taken back already stays as it is.

    Raises: NotFound.
    Locks: API key.
    """
    row = _lock_api_key(api_key_id)
    if row.revoked_at is None:
        changes = audit.set_fields(row, {"revoked_at": at})
        row.save(update_fields=changes)
        audit.record("api_key.revoked", subject=row, changes=changes, actor=actor, at=at)
    return row


@transaction.atomic
def rotate_api_key(
    *,
    api_key_id: UUID,
    overlap: timedelta,
    at: datetime,
    actor: Actor,
    within: frozenset[Scope] = ALL_SCOPES,
) -> NewApiKey:
    """Make a key with the same rights, and let the old one expire after the overlap.

    Raises: NotFound; ApiKeyNotUsable; ScopeEscalation.
    Locks: API key.
    """
    assert timedelta(0) <= overlap <= LONGEST_OVERLAP
    old = _lock_api_key(api_key_id)
    if not old.is_usable(at=at):
        raise ApiKeyNotUsable("A key that was revoked or has expired cannot be rotated; make a new one.")
    if not old.granted_scopes <= within:
        raise ScopeEscalation("A key cannot rotate one that has rights which it does not have.")
    new = ApiKey(
        name=old.name,
        kind=old.kind,
        role=old.role,
        scopes=old.scopes,
        test_clock_id=old.test_clock_id,
        expires_at=old.expires_at,
        replaces=old,
    )
    ends_at = at + overlap
    changes = audit.set_fields(old, {"expires_at": min(old.expires_at or ends_at, ends_at)})
    old.save(update_fields=changes)
    audit.record("api_key.rotated", subject=old, changes=changes, actor=actor, at=at)
    return _store(new, at=at, actor=actor)


def _store(row: ApiKey, *, at: datetime, actor: Actor) -> NewApiKey:
    """Save a new key under the hash of a new token."""
    row.prefix = make_prefix(kind=ApiKeyKind(row.kind), mode=Mode(settings.BILLING_MODE))
    token = make_token(row.prefix)
    row.hint = token[-HINT_LENGTH:]
    row.key_hash = hash_token(token)
    row.save(force_insert=True)
    changes = audit.made(row, *_AUDITED_FIELDS)
    audit.record("api_key.created", subject=row, changes=changes, actor=actor, at=at)
    return NewApiKey(row, token)


def _lock_api_key(api_key_id: UUID) -> ApiKey:
    """Read a key again, under its lock."""
    row = ApiKey.objects.select_for_update(of=("self",), no_key=True).filter(pk=api_key_id).first()
    if row is None:
        raise NotFound(f"There is no API key {api_key_id}.")
    return row


def _validate(
    *, kind: ApiKeyKind, role: ApiKeyRole | None, scopes: list[str], expires_at: datetime | None, at: datetime
) -> None:
    """Refuse a key whose rights do not go with its kind."""
    errors = [
        FieldError(f"scopes.{number}", "unknown_scope", f"{scope!r} is not a scope.")
        for number, scope in enumerate(scopes)
        if scope not in ALL_SCOPES
    ]
    if (kind == ApiKeyKind.SECRET) != (role is not None):
        errors.append(
            FieldError("role", "role_of_secret_key", "A secret key has a role, and no other kind has.")
        )
    if (kind == ApiKeyKind.RESTRICTED) != bool(scopes):
        detail = "A restricted key lists its scopes, and no other kind does."
        errors.append(FieldError("scopes", "scopes_of_restricted_key", detail))
    if expires_at is not None and expires_at <= at:
        errors.append(FieldError("expires_at", "in_the_past", "A key cannot expire before it is made."))
    if errors:
        raise InvalidInput("The API key cannot be made like this.", errors=errors)
