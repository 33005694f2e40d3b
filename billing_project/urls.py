"""Routes of the whole platform."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from billing_project.core.api.problems import handler400, handler403, handler404, handler500
from billing_project.core.api.routers import fallback_urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("metering.api.urls")),  # First, since it has the busiest.
    path("", include("billing_project.core.api.urls")),
    path("", include("catalog.api.urls")),
    path("", include("customers.api.urls")),
    path("", include("subscriptions.api.urls")),
    path("", include("invoicing.api.urls")),
    *fallback_urlpatterns,  # After every route of the API, and before the admin, which answers /admin/*.
    path("admin/", admin.site.urls),
]
