"""Authentication and permission of API requests, in the manner of DRF."""

from typing import TYPE_CHECKING

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission

from billing_project.core.access.lookup import authenticate
from billing_project.core.access.scopes import SAFE_METHODS, Access
from billing_project.core.clock import now
from billing_project.core.errors import NotAuthenticated, PermissionDenied
from billing_project.core.models import ApiKey, ApiKeyKind

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

WWW_AUTHENTICATE = 'Bearer realm="billing"'
CUSTOMER_PREFIX = "/v1/"


class MissingKey(NotAuthenticated):
    """The request carries no key."""

    code = "missing_api_key"


class MalformedAuthorization(NotAuthenticated):
    """The header is not `Bearer`, one space, and the key."""

    code = "malformed_authorization"


class MissingScope(PermissionDenied):
    """The key does not hold the right that this needs."""

    code = "missing_scope"


class ApiKeyAuthentication(BaseAuthentication):
    """An API key in `Authorization: Bearer` or `X-API-Key`. It becomes `request.auth`; there is no user."""

    def authenticate(self, request: "Request") -> tuple[AnonymousUser, ApiKey] | None:
        """Find the key that the request carries; None if it carries none.

        Raises: MalformedAuthorization; what `access.lookup.authenticate` raises.
        """
        token = _read_token(request)
        if token is None:
            return None
        return AnonymousUser(), authenticate(token=token, at=now())

    def authenticate_header(self, request: "Request") -> str:
        """Return the value of `WWW-Authenticate`."""
        return WWW_AUTHENTICATE


class HasAccess(BasePermission):
    """The key holds the scope that the view's `access` names. Without `access`, nobody gets in."""

    def has_permission(self, request: "Request", view: "APIView") -> bool:
        """Let the request through.

        Raises: MissingKey; MissingScope.
        """
        key = request.auth
        if not isinstance(key, ApiKey):
            raise MissingKey(
                "Send an API key in the Authorization header, as `Bearer <key>`, or in X-API-Key."
            )
        access: Access | None = getattr(view, "access", None)
        method = request.method or ""
        scope = access and access.find_scope(method=method, action=getattr(view, "action", None))
        if not scope:
            # An action that does not exist is answered 405 further on; one that lacks a scope is our mistake.
            return getattr(view, "action", None) is None and access is not None
        if key.kind == ApiKeyKind.PUBLISHABLE and not _is_open_to_publishable(
            method=method, path=request.path
        ):
            raise MissingScope("A publishable key only reads, and only under /v1.")
        if scope not in key.granted_scopes:
            raise MissingScope(f"The API key lacks the scope {scope}.")
        return True


def _read_token(request: "Request") -> str | None:
    """Read the key from the headers; None if there is none."""
    header = str(request.META.get("HTTP_AUTHORIZATION", "")).strip()
    if not header:
        return str(request.META.get("HTTP_X_API_KEY", "")).strip() or None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or " " in token.strip():
        raise MalformedAuthorization("The Authorization header is not `Bearer <key>`.")
    return token.strip()


def _is_open_to_publishable(*, method: str, path: str) -> bool:
    """Tell whether a publishable key may send this at all."""
    return method in SAFE_METHODS and path.startswith(CUSTOMER_PREFIX)
