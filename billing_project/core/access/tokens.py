"""The text of API keys: how they are made, recognised and hashed."""

import hashlib
import secrets

from billing_project.core.models.api_keys import ApiKeyKind
from billing_project.core.models.seller import Mode

RANDOM_BYTES = 32
HINT_LENGTH = 4
_KIND_PREFIXES = {ApiKeyKind.SECRET: "bsk", ApiKeyKind.PUBLISHABLE: "bpk", ApiKeyKind.RESTRICTED: "brk"}


def make_prefix(*, kind: ApiKeyKind, mode: Mode) -> str:
    """Make what every key of that kind and mode begins with, such as `bsk_test_`."""
    return f"{_KIND_PREFIXES[kind]}_{mode.lower()}_"


def make_token(prefix: str) -> str:
    """Make a new key."""
    return prefix + secrets.token_urlsafe(RANDOM_BYTES)


def hash_token(token: str) -> str:
    """Hash a key for storage and look-up.

    The look-up is by the whole hash, so how long it takes says nothing about the key.
    """
    return hashlib.sha256(token.encode()).hexdigest()
