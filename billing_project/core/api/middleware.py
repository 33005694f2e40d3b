"""What happens around every request: its id, its line in the log, and the limit of its body."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from billing_project.core.api.problems import (
    LENGTH_REQUIRED,
    TOO_LARGE,
    Problem,
    is_api_path,
    problem_response,
)
from billing_project.core.ids import make_id

GetResponse = Callable[[HttpRequest], HttpResponseBase]
REQUEST_ID_HEADER = "X-Request-ID"
QUIET_PATHS = frozenset({"/health", "/ready"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")

logger = structlog.get_logger(__name__)


class RequestIdMiddleware:
    """Gives each request an id, the caller's if it has a sane one, and writes one line about how it went."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request."""
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _REQUEST_ID.match(given) else str(make_id())
        request.request_id = request_id  # type: ignore[attr-defined]
        started = time.perf_counter_ns()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            if request.path not in QUIET_PATHS:
                logger.info(
                    "request",
                    method=request.method,
                    path=request.path,
                    status=response.status_code,
                    duration_ms=(time.perf_counter_ns() - started) // 1_000_000,
                )
        response[REQUEST_ID_HEADER] = request_id
        return response


class BodyLimitMiddleware:
    """Refuses a body by its stated length, before anything of it is read, and one that states none.

    A body in chunks has no stated length. Django takes it for an empty one, which would make a request say
    something else than what was sent.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request."""
        problem = find_body_problem(request)
        if problem is None:
            return self.get_response(request)
        if is_api_path(request.path):
            return problem_response(request, problem)
        return HttpResponse(status=problem.status)


def find_body_problem(request: HttpRequest) -> Problem | None:
    """Find out what is wrong with the length of a body; None if nothing is.

    A path that reads its body as it comes has a limit of its own, and needs no length if the server marks the
    end: there the view counts.
    """
    length = request.META.get("CONTENT_LENGTH") or ""
    streamed_limit = settings.STREAMED_BODY_LIMITS.get(request.path)
    if not length and "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        has_end = request.META.get("wsgi.input_terminated", False)
        return None if streamed_limit is not None and has_end else LENGTH_REQUIRED
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE if streamed_limit is None else streamed_limit
    if limit is not None and length.isdigit() and int(length) > limit:
        return replace(TOO_LARGE, detail=f"A request body has at most {limit} bytes.")
    return None
