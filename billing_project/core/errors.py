"""Errors that a caller can act on. Each says what is wrong, has a code, and maps to one HTTP status.

A concrete error is defined above the function that raises it, by subclassing one of these and naming its
`code`. The API handler, the admin and the tasks each translate `BillingError` once; everything else is a bug.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of the input; `field` is its path, such as `lines.0.quantity`."""

    field: str
    code: str
    detail: str


class BillingError(Exception):
    """Something the caller can act on.

    `field` is short for one `FieldError` with the error's own code and message.
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500

    def __init__(self, detail: str, *, field: str | None = None, errors: Iterable[FieldError] = ()) -> None:
        super().__init__(detail)
        own = () if field is None else (FieldError(field, self.code, detail),)
        self.detail = detail
        self.errors: tuple[FieldError, ...] = (*own, *errors)


class InvalidInput(BillingError):
    """The request is well-formed, but what it says cannot be accepted."""

    code = "invalid_input"
    http_status = 422


class NotFound(BillingError):
    """There is no such thing, or none that the caller may know of."""

    code = "not_found"
    http_status = 404


class Conflict(BillingError):
    """The thing is not in a state in which this can be done."""

    code = "conflict"
    http_status = 409


class LimitReached(BillingError):
    """A limit that the customer or staff have set does not allow it."""

    code = "limit_reached"
    http_status = 402


class NotAuthenticated(BillingError):
    """Nobody who is known is asking."""

    code = "not_authenticated"
    http_status = 401


class PermissionDenied(BillingError):
    """The caller is known, but may not do this."""

    code = "permission_denied"
    http_status = 403


class Busy(BillingError):
    """Something else holds what this needs; the same call can be made again shortly."""

    code = "busy"
    http_status = 503


class UpstreamFailed(BillingError):
    """A service that this depends on did not answer, or not usefully."""

    code = "upstream_failed"
    http_status = 502
