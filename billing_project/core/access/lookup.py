"""Finding the API key that a caller has sent."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q

from billing_project.core.access.tokens import hash_token
from billing_project.core.errors import NotAuthenticated
from billing_project.core.models import ApiKey
from billing_project.core.statements import fetch_rows_first

LAST_USE_PRECISION = timedelta(minutes=1)
COLUMNS = tuple(field.attname for field in ApiKey._meta.concrete_fields)

# Every request begins with it.
FIND_KEY = f"SELECT {', '.join(COLUMNS)} FROM {ApiKey._meta.db_table} WHERE key_hash = %(key_hash)s"  # noqa: S608 (names of ours)


class UnknownKey(NotAuthenticated):
    """There is no such key."""

    code = "invalid_api_key"


class KeyRevoked(NotAuthenticated):
    """The key was taken back."""

    code = "revoked_api_key"


class KeyExpired(NotAuthenticated):
    """The key's time is over."""

    code = "expired_api_key"


class KeyOfOtherMode(NotAuthenticated):
    """The key was made when the install was in the other mode."""

    code = "api_key_of_other_mode"


def authenticate(*, token: str, at: datetime) -> ApiKey:
    """Find the key of a caller, and note that it is in use, at most once a minute.

    Raises: UnknownKey; KeyRevoked; KeyExpired; KeyOfOtherMode.
    """
    row = _find(hash_token(token))
    if row.revoked_at is not None:
        raise KeyRevoked("The API key was revoked.")
    if not row.is_usable(at=at):
        raise KeyExpired("The API key has expired.")
    if not row.prefix.endswith(f"_{settings.BILLING_MODE.lower()}_"):
        raise KeyOfOtherMode(f"The API key is not for {settings.BILLING_MODE} mode.")
    stale_at = at - LAST_USE_PRECISION
    if row.last_used_at is None or row.last_used_at <= stale_at:
        not_noted = Q(last_used_at__isnull=True) | Q(last_used_at__lte=stale_at)
        ApiKey.objects.filter(not_noted, pk=row.pk).update(last_used_at=at)
    return row


def _find(key_hash: str) -> ApiKey:
    """Find a key, as it is at this moment.

    Raises: UnknownKey.
    """
    rows = fetch_rows_first(FIND_KEY, {"key_hash": key_hash})
    if not rows:
        raise UnknownKey("The API key is not known.")
    return ApiKey.from_db(DEFAULT_DB_ALIAS, COLUMNS, rows[0])
