"""Errors as `application/problem+json` (RFC 9457): the one place that turns an exception into a response."""

from collections.abc import Iterable, Iterator, Mapping
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
RETRY_AFTER_SECONDS = 1

logger = structlog.get_logger(__name__)


class BodyTooLarge(exceptions.APIException):
    """The body is longer, or nested deeper, than is accepted."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "body_too_large"


def is_api_path(path: str) -> bool:
    """Tell whether a path belongs to the API, whose every answer is JSON."""
    return path.startswith(API_PREFIXES)


def make_problem(
    *, status: int, code: str, detail: str, request_id: str, errors: Iterable[FieldError] = ()
) -> dict[str, object]:
    """Make the body of an error."""
    return {
        "type": f"urn:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "request_id": request_id,
        "errors": [{"field": error.field, "code": error.code, "detail": error.detail} for error in errors],
    }


def handle_exception(error: Exception, context: Mapping[str, Any]) -> Response:
    """Turn whatever a view raised into a problem. DRF calls it, as its `EXCEPTION_HANDLER`."""
    status, code, detail, errors, headers = _describe(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request_failed", exc_info=error)
    body = make_problem(
        status=status,
        code=code,
        detail=detail,
        request_id=str(getattr(context["request"], "request_id", "")),
        errors=errors,
    )
    return Response(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def problem_response(request: HttpRequest, *, status: int, code: str, detail: str) -> JsonResponse:
    """Build a problem outside of DRF, in middleware and in Django's own error handlers."""
    body = make_problem(
        status=status, code=code, detail=detail, request_id=str(getattr(request, "request_id", ""))
    )
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a request that Django itself could not read."""
    if is_api_path(request.path):
        return problem_response(request, status=400, code="bad_request", detail="The request is malformed.")
    return defaults.bad_request(request, exception)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a request that Django itself refused."""
    if is_api_path(request.path):
        return problem_response(request, status=403, code="permission_denied", detail="This is not allowed.")
    return defaults.permission_denied(request, exception)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a request for a path that does not exist."""
    if is_api_path(request.path):
        return problem_response(
            request, status=404, code="not_found", detail="There is nothing at this path."
        )
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponseBase:
    """Answer a request that failed outside of a view of the API."""
    if is_api_path(request.path):
        return problem_response(request, status=500, code="internal_error", detail=_INTERNAL)
    return defaults.server_error(request)


_INTERNAL = "Something went wrong on our side. The request id names it in the logs."
_Description = tuple[int, str, str, tuple[FieldError, ...], dict[str, str]]


def _describe(error: Exception) -> _Description:
    """Choose status, code, detail, field errors and headers for an exception."""
    match error:
        case BillingError():
            return error.http_status, error.code, error.detail, error.errors, _headers_for(error.http_status)
        case exceptions.ValidationError():
            errors = tuple(_flatten(error.detail))
            return (
                422,
                "invalid_input",
                "The request was understood, but not everything in it is valid.",
                errors,
                {},
            )
        case exceptions.APIException():
            return _describe_drf(error)
        case Http404():
            return 404, "not_found", "There is no such object.", (), {}
        case PermissionDenied():
            return 403, "permission_denied", "This is not allowed.", (), {}
        case RequestDataTooBig():
            return 413, BodyTooLarge.default_code, BodyTooLarge.default_detail, (), {}
        case SuspiciousOperation() | UnreadablePostError():
            return 400, "bad_request", "The request is malformed.", (), {}
        case DatabaseError() | InterfaceError():
            return _describe_database(error)
    return 500, "internal_error", _INTERNAL, (), {}


def _describe_drf(error: exceptions.APIException) -> _Description:
    """Describe what DRF itself raises."""
    headers = _headers_for(error.status_code)
    wait = getattr(error, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(int(wait) + 1)
    code = error.get_codes()
    return error.status_code, code if isinstance(code, str) else "error", str(error.detail), (), headers


def _describe_database(error: DatabaseError | InterfaceError) -> _Description:
    """Describe what the database refused: too busy, away, or a value that no column holds."""
    if isinstance(error, DatabaseError) and is_contention(error):
        detail = "Something else is working on this. Try again shortly."
        return 503, "busy", detail, (), _headers_for(503)
    if isinstance(error, DataError):
        logger.warning("value_out_of_range", exc_info=error)
        return 422, "out_of_range", "A value is beyond what can be stored.", (), {}
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("database_unavailable", exc_info=error)
        return 503, "unavailable", "The database does not answer. Try again shortly.", (), _headers_for(503)
    return 500, "internal_error", _INTERNAL, (), {}


def _headers_for(status: int) -> dict[str, str]:
    """Return the headers that a status is not complete without."""
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": WWW_AUTHENTICATE}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


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
