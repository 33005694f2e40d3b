"""Fills of meters over HTTP: `/admin/v1/meter-fills`."""

from typing import ClassVar

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.filters import StrictFilterSet
from billing_project.core.api.serializers import OutputSerializer
from billing_project.core.api.views import ApiViewSet
from metering.models import FillStatus, MeterFill


class MeterFillSerializer(OutputSerializer[MeterFill]):
    """Counting, for a meter, the events that were stored before it began to count. Billing waits for it."""

    meter_code = serializers.CharField(source="meter.code")
    segment_count = serializers.IntegerField(
        help_text="In how many stretches of subscriptions there were events when it began."
    )
    done_count = serializers.IntegerField(help_text="In how many of them they are counted.")
    percent = serializers.IntegerField(help_text="How much is done, in whole per cent.")

    class Meta:
        model = MeterFill
        fields: ClassVar[list[str]] = [
            "id",
            "meter_id",
            "meter_code",
            "status",
            "segment_count",
            "done_count",
            "percent",
            "started_at",
            "completed_at",
            "created_at",
        ]


class MeterFillFilters(StrictFilterSet):
    """Filters of the list of fills."""

    status = django_filters.ChoiceFilter(choices=FillStatus.choices)
    meter_id = django_filters.UUIDFilter()
    meter_code = django_filters.CharFilter(field_name="meter__code")


class MeterFillViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Fills of meters: how far the counting of earlier events is."""

    queryset = MeterFill.objects.all()
    serializer_class = MeterFillSerializer
    filterset_class = MeterFillFilters
    access = Access(read=Scope.METERING_READ)

    def get_queryset(self) -> QuerySet[MeterFill]:
        """Select fills with their meters."""
        return MeterFill.objects.select_related("meter")
