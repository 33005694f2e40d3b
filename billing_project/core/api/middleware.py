"""What happens around every request: its id, its line in the log, and the limit of its body."""

import re
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from billing_project.core.api.problems import TOO_LARGE, is_api_path, problem_response
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
    """Refuses a body by its stated length, before anything of it is read."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a request."""
        length = request.META.get("CONTENT_LENGTH") or "0"
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if limit is None or not length.isdigit() or int(length) <= limit:
            return self.get_response(request)
        if is_api_path(request.path):
            return problem_response(
                request, replace(TOO_LARGE, detail=f"A request body has at most {limit} bytes.")
            )
        return HttpResponse(status=TOO_LARGE.status)
