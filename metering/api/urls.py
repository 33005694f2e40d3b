"""Routes of the metering app."""

from django.urls import path

from billing_project.core.api.routers import ApiRouter
from metering.api.corrections import EventCorrectionViewSet, UsageCorrectionViewSet
from metering.api.fills import MeterFillViewSet
from metering.api.imports import EventImportViewSet
from metering.api.notes import IngestNoteViewSet
from metering.api.usage import UsageViewSet
from metering.api.views import EventViewSet

router = ApiRouter()
router.register("v1/events/import", EventImportViewSet)  # Before the events, whose ids may be anything.
router.register("v1/events", EventViewSet)
router.register("v1/ingest-notes", IngestNoteViewSet)
router.register("admin/v1/events", EventCorrectionViewSet)
router.register("admin/v1/meter-fills", MeterFillViewSet)
router.register("admin/v1/usage-corrections", UsageCorrectionViewSet)

urlpatterns = [
    *router.urls,
    path(
        "v1/subscriptions/<uuid:id>/usage",
        UsageViewSet.as_view({"get": "retrieve"}),
        name="v1-subscriptions-usage",
    ),
]
