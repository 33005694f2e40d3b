"""Who does something: every operation takes an `Actor`, and the audit trail keeps it."""

import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import unquote

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

MAX_REASON_LENGTH = 500
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]+")


class ActorKind(StrEnum):
    """What sort of caller it is."""

    STAFF = "Staff"
    API_KEY = "ApiKey"
    CUSTOMER_TOKEN = "CustomerToken"  # noqa: S105 (a kind of caller, not a password)
    SYSTEM = "System"
    COMMAND = "Command"
    ANONYMOUS = "Anonymous"


class Identity(Protocol):
    """What authentication leaves in `request.auth`: an API key, a customer token."""

    @property
    def actor_kind(self) -> ActorKind:
        """Return the kind of actor that it stands for."""

    @property
    def actor_id(self) -> str:
        """Return what identifies it for good."""

    @property
    def actor_label(self) -> str:
        """Return what people call it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that changes things, and why, if they said so."""

    kind: ActorKind
    id: str
    label: str
    request_id: str = ""
    reason: str = ""

    @classmethod
    def system(cls, name: str) -> Self:
        """Name a part of the platform that acts by itself, such as a periodic job."""
        return cls(kind=ActorKind.SYSTEM, id=name, label=name)

    @classmethod
    def command(cls, name: str) -> Self:
        """Name a management command."""
        return cls(kind=ActorKind.COMMAND, id=name, label=f"manage.py {name}")

    @classmethod
    def from_request(cls, request: "HttpRequest | Request") -> Self:
        """Tell who sent a request: the bearer of an API key or token, or a member of staff."""
        request_id = str(getattr(request, "request_id", ""))
        reason = _read_reason(request.META.get("HTTP_X_REASON", ""))
        identity: Identity | None = getattr(request, "auth", None)
        if identity is not None:
            return cls(identity.actor_kind, identity.actor_id, identity.actor_label, request_id, reason)
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated:
            return cls(ActorKind.STAFF, str(user.pk), user.get_username(), request_id, reason)
        return cls(ActorKind.ANONYMOUS, "", "Anonymous", request_id, reason)


def _read_reason(header: str) -> str:
    """Read `X-Reason`: ASCII, other characters percent-encoded; or UTF-8, where the web server lets it pass.

    WSGI hands headers over as Latin-1, and Granian hands over none that is not ASCII.
    """
    with suppress(UnicodeError):  # What is not UTF-8 stays as it was read.
        header = header.encode("latin-1").decode("utf-8")
    return _CONTROL_CHARACTERS.sub(" ", unquote(header)).strip()[:MAX_REASON_LENGTH]
