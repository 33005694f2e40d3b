"""Routes of the API, and what answers a path that is none of them."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import URLPattern, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ViewSetMixin

from billing_project.core.api.problems import handler404


class ApiRouter(SimpleRouter):
    """Routes without a slash at the end: `register("admin/v1/meters", MeterViewSet)` makes all of them."""

    def __init__(self) -> None:
        super().__init__(trailing_slash=False, use_regex_path=False)

    def register(self, prefix: str, viewset: type[ViewSetMixin], basename: str | None = None) -> None:
        """Add the routes of a view; its name is its path, so that no two clash."""
        super().register(prefix, viewset, basename or prefix.replace("/", "-"))


@csrf_exempt
def _nothing_here(request: HttpRequest, **_: Any) -> HttpResponseBase:
    """Answer 404 as a problem, also with DEBUG on, and before the admin can redirect to its log-in page."""
    return handler404(request, Http404())


fallback_urlpatterns: list[URLPattern] = [
    path("admin/v1/<path:rest>", _nothing_here),
    path("v1/<path:rest>", _nothing_here),
]
