"""Routes of core: liveness, readiness, the schema and its pages, and core's own endpoints."""

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerView

from billing_project.core.access.api import ApiKeyViewSet
from billing_project.core.api.audit import AuditEntryViewSet
from billing_project.core.api.health import health, ready
from billing_project.core.api.openapi import openapi
from billing_project.core.api.routers import ApiRouter

router = ApiRouter()
router.register("admin/v1/api-keys", ApiKeyViewSet)
router.register("admin/v1/audit-log", AuditEntryViewSet)

redoc = SpectacularRedocView.as_view(url_name="openapi", template_name="core/redoc.html")
swagger = SpectacularSwaggerView.as_view(url_name="openapi")

urlpatterns: list[URLPattern | URLResolver] = [
    path("health", health, name="health"),
    path("ready", ready, name="ready"),
    path("openapi.json", openapi, name="openapi"),
    path("docs/api", redoc, name="redoc"),
    path("docs/swagger", swagger, name="swagger"),
    *router.urls,
]
