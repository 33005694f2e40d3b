"""Routes of the metering app."""

from django.urls import path

from billing_project.core.api.routers import ApiRouter
from metering.api.views import EventViewSet, UsageViewSet

router = ApiRouter()
router.register("v1/events", EventViewSet)

urlpatterns = [
    *router.urls,
    path(
        "v1/subscriptions/<uuid:id>/usage",
        UsageViewSet.as_view({"get": "retrieve"}),
        name="v1-subscriptions-usage",
    ),
]
