"""Errors as `application/problem+json` (RFC 9457): the one place that turns an exception into a response."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse, UnreadablePostError
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from billing_project.core.access.authentication import WWW_AUTHENTICATE
from billing_project.core.contention import is_contention
from billing_project.core.errors import BillingError, FieldError

API_PREFIXES = ("/v1/", "/admin/v1/")
CONTENT_TYPE = "application/problem+json"

logger = structlog.get_logger(__name__)


class BodyTooLarge(exceptions.APIException):
    """The body is longer, or nested deeper, than is accepted."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "body_too_large"


def is_api_path(path: str) -> bool:
    """Tell whether a path belongs to the API, whose every answer is JSON."""
    return path.startswith(API_PREFIXES)


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error's answer says."""

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    retry_after_seconds: int | None = None

    def body(self, *, request_id: str) -> dict[str, object]:
        """Return the document."""
        return {
            "type": f"urn:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": int(self.status),
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
            "errors": [
                {"field": error.field, "code": error.code, "detail": error.detail} for error in self.errors
            ],
        }

    def headers(self) -> dict[str, str]:
        """Return the headers that the status is not complete without."""
        if self.status == HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": WWW_AUTHENTICATE}
        if self.retry_after_seconds is not None:
            return {"Retry-After": str(self.retry_after_seconds)}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return {"Retry-After": "1"}
        return {}


BAD_REQUEST = Problem(400, "bad_request", "The request is malformed.")
FORBIDDEN = Problem(403, "permission_denied", "This is not allowed.")
NO_SUCH_OBJECT = Problem(404, "not_found", "There is no such object.")
NO_SUCH_PATH = Problem(404, "not_found", "There is nothing at this path.")
LENGTH_REQUIRED = Problem(411, "length_required", "Send the body whole, with its Content-Length.")
TOO_LARGE = Problem(413, BodyTooLarge.default_code, BodyTooLarge.default_detail)
OUT_OF_RANGE = Problem(422, "out_of_range", "A value is beyond what can be stored.")
INTERNAL = Problem(
    500, "internal_error", "Something went wrong on our side. The request id names it in the logs."
)
BUSY = Problem(503, "busy", "Something else is working on this. Try again shortly.")
UNAVAILABLE = Problem(503, "unavailable", "The database does not answer. Try again shortly.")

# The first that fits, of what Django itself raises.
_DJANGO_ERRORS: tuple[tuple[type[Exception], Problem], ...] = (
    (Http404, NO_SUCH_OBJECT),
    (PermissionDenied, FORBIDDEN),
    (RequestDataTooBig, TOO_LARGE),
    (SuspiciousOperation, BAD_REQUEST),
    (UnreadablePostError, BAD_REQUEST),
)


def handle_exception(error: Exception, context: Mapping[str, Any]) -> Response:
    """Turn whatever a view raised into a problem. DRF calls it, as its `EXCEPTION_HANDLER`."""
    problem = describe(error)
    if problem == INTERNAL:
        logger.error("request_failed", exc_info=error)
    request_id = str(getattr(context["request"], "request_id", ""))
    return Response(
        problem.body(request_id=request_id),
        status=problem.status,
        headers=problem.headers(),
        content_type=CONTENT_TYPE,
    )


def problem_response(request: HttpRequest, problem: Problem) -> JsonResponse:
    """Answer with a problem outside of DRF, in middleware and in Django's own error handlers."""
    request_id = str(getattr(request, "request_id", ""))
    return JsonResponse(
        problem.body(request_id=request_id),
        status=problem.status,
        headers=problem.headers(),
        content_type=CONTENT_TYPE,
    )


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a request that Django itself could not read."""
    if is_api_path(request.path):
        return problem_response(request, BAD_REQUEST)
    return defaults.bad_request(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a request that Django itself refused."""
    if is_api_path(request.path):
        return problem_response(request, FORBIDDEN)
    return defaults.permission_denied(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a request for a path that does not exist."""
    if is_api_path(request.path):
        return problem_response(request, NO_SUCH_PATH)
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponseBase:
    """Answer a request that failed outside of a view of the API."""
    if is_api_path(request.path):
        return problem_response(request, INTERNAL)
    return defaults.server_error(request)


def describe(error: Exception) -> Problem:
    """Choose the problem for an exception; what is nobody's but ours is INTERNAL."""
    match error:
        case BillingError():
            return Problem(error.http_status, error.code, error.detail, error.errors)
        case exceptions.ValidationError():
            detail = "The request was understood, but not everything in it is valid."
            return Problem(422, "invalid_input", detail, tuple(_flatten(error.detail)))
        case exceptions.APIException():
            return _describe_drf(error)
        case DatabaseError() | InterfaceError():
            return _describe_database(error)
    return next((problem for kind, problem in _DJANGO_ERRORS if isinstance(error, kind)), INTERNAL)


def _describe_drf(error: exceptions.APIException) -> Problem:
    """Describe what DRF itself raises."""
    code = error.get_codes()
    wait = getattr(error, "wait", None)
    return Problem(
        error.status_code,
        code if isinstance(code, str) else "error",
        str(error.detail),
        retry_after_seconds=None if wait is None else math.ceil(wait),
    )


def _describe_database(error: DatabaseError | InterfaceError) -> Problem:
    """Describe what the database refused: too busy, away, or a value that no column holds."""
    if isinstance(error, DatabaseError) and is_contention(error):
        return BUSY
    if isinstance(error, DataError):
        logger.warning("value_out_of_range", exc_info=error)
        return OUT_OF_RANGE
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("database_unavailable", exc_info=error)
        return UNAVAILABLE
    return INTERNAL


def _flatten(detail: object, path: str = "") -> Iterator[FieldError]:
    """Turn DRF's tree of errors into one list, in which a field is named by its path."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            own = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
            yield from _flatten(inner, own)
    elif isinstance(detail, list):
        for number, inner in enumerate(detail):
            is_leaf = isinstance(inner, exceptions.ErrorDetail)
            yield from _flatten(inner, path if is_leaf else f"{path}.{number}".lstrip("."))
    else:
        yield FieldError(path, str(getattr(detail, "code", "invalid")), str(detail))
