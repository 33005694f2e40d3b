"""Secrets in text: the one description of what must never reach a log, a page or the audit trail."""

import re

SECRET_NAMES = frozenset(
    {
        "authorization",
        "cookie",
        "key_hash",
        "password",
        "plaintext",
        "secret",
        "secret_key",
        "set_cookie",
        "signing_secret",
        "token",
        "x_api_key",
    }
)
REDACTED = "[redacted]"

_API_KEY = re.compile(r"\b(b[spr]k_(?:live|test)_)[A-Za-z0-9_-]+")
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_BEARER = re.compile(r"(?i)\b(bearer)\s+[A-Za-z0-9._~+/=-]+")


def is_secret_name(name: str) -> bool:
    """Tell whether a field or header of this name holds a secret."""
    return name.lower().removeprefix("http_").replace("-", "_") in SECRET_NAMES


def redact(text: str) -> str:
    """Replace API keys, bearer tokens and passwords in URLs with a mark that shows what stood there."""
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    text = _API_KEY.sub(rf"\1{REDACTED}", text)
    return _CREDENTIALS_IN_URL.sub(rf"\1:{REDACTED}@", text)
