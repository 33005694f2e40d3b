"""Notes on events that were not stored, over HTTP: `/v1/ingest-notes`."""

from typing import ClassVar

import django_filters
from rest_framework.mixins import ListModelMixin

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.filters import InstantFilter, StrictFilterSet
from billing_project.core.api.serializers import OutputSerializer
from billing_project.core.api.views import ApiViewSet
from metering.models import IngestNote


class IngestNoteSerializer(OutputSerializer[IngestNote]):
    """Why an event was not stored. `code` is that of the refusal, or `duplicate`."""

    class Meta:
        model = IngestNote
        fields: ClassVar[list[str]] = [
            "id",
            "noted_at",
            "code",
            "detail",
            "customer_id",
            "event_id",
            "event_type",
            "timestamp",
            "properties",
        ]
        extra_kwargs: ClassVar[dict[str, dict[str, str]]] = {
            "customer_id": {"help_text": "Null if the event could not be read."},
            "properties": {"help_text": "The beginning of their JSON."},
        }


class IngestNoteFilters(StrictFilterSet):
    """Filters of the list of notes."""

    customer_id = django_filters.UUIDFilter()
    event_id = django_filters.CharFilter()
    event_type = django_filters.CharFilter()
    code = django_filters.CharFilter()
    noted_after = InstantFilter(field_name="noted_at", lookup_expr="gte")
    noted_before = InstantFilter(field_name="noted_at", lookup_expr="lt")


class IngestNoteViewSet(ListModelMixin, ApiViewSet):
    """Events that were refused or sent again, for whoever integrates.

    Kept for a week, and of each request the first hundred.
    """

    queryset = IngestNote.objects.all()
    serializer_class = IngestNoteSerializer
    filterset_class = IngestNoteFilters
    access = Access(read=Scope.EVENTS_READ)
