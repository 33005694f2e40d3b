"""The sample API together with its schema."""

from django.urls import path

from billing_project.core.api.openapi import openapi
from tests.api.core.sample import handler400, handler403, handler404, handler500
from tests.api.core.sample import urlpatterns as sample_urlpatterns

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [path("openapi.json", openapi), *sample_urlpatterns]
