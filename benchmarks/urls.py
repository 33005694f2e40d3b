"""The platform's routes, and those of the baselines, behind the same middleware."""

from django.urls import path

from benchmarks.baselines import BareEventView, PlainEventView
from billing_project import urls

urlpatterns = [
    path("benchmark/bare", BareEventView.as_view()),
    path("benchmark/plain", PlainEventView.as_view()),
    *urls.urlpatterns,
]
