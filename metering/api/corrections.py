"""Corrections of usage over HTTP: voiding and amending an event, and `/admin/v1/usage-corrections`.

Voiding many at once is with invoicing, since its preview says what that does to the bills.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import django_filters
import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.actors import MAX_REASON_LENGTH
from billing_project.core.api.filters import InstantFilter, StrictFilterSet
from billing_project.core.api.serializers import InputSerializer, OutputSerializer
from billing_project.core.api.views import ApiViewSet
from customers.queries import now_for
from metering.api.serializers import EventInput
from metering.ingest.decoding import decode_event
from metering.models import CorrectionKind, EventVoid, UsageCorrection, UsageEvent
from metering.operations import amend_event, void_event

# Who sends events may not take them back: that changes what is billed.
CORRECTIONS_ACCESS = Access(read=Scope.EVENTS_READ, write=Scope.INVOICES_WRITE)

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class VoidEventInput(InputSerializer):
    """Why an event of a customer is taken back."""

    customer_id = serializers.UUIDField()
    reason = serializers.CharField(max_length=MAX_REASON_LENGTH)


class AmendEventInput(VoidEventInput):
    """Why an event of a customer is replaced, and by which."""

    event = EventInput(help_text="What takes its place: an event of the same customer, with a new id.")


class UsageCorrectionSerializer(OutputSerializer[UsageCorrection]):
    """Events that were taken back, or one that was replaced: when, by the customer's clock, and why."""

    class Meta:
        model = UsageCorrection
        fields: ClassVar[list[str]] = [
            "id",
            "kind",
            "customer_id",
            "subscription_id",
            "event_count",
            "reason",
            "created_at",
        ]


class EventVoidSerializer(OutputSerializer[EventVoid]):
    """An event that does not count any more, and the one in its place. An unmatched one has no segment."""

    class Meta:
        model = EventVoid
        fields: ClassVar[list[str]] = ["event_id", "segment_id", "replacement_event_id"]


class UsageCorrectionDetailSerializer(UsageCorrectionSerializer):
    """A correction with its events."""

    events = EventVoidSerializer(many=True, source="voids")

    class Meta(UsageCorrectionSerializer.Meta):
        fields: ClassVar[list[str]] = [*UsageCorrectionSerializer.Meta.fields, "events"]


class UsageCorrectionFilters(StrictFilterSet):
    """Filters of the list of corrections. An event's id is its customer's: give both."""

    customer_id = django_filters.UUIDFilter()
    subscription_id = django_filters.UUIDFilter()
    kind = django_filters.ChoiceFilter(choices=CorrectionKind.choices)
    event_id = django_filters.CharFilter(field_name="voids__event_id")
    created_after = InstantFilter(field_name="created_at", lookup_expr="gte")
    created_before = InstantFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = UsageCorrection
        fields: list[str] = []


class EventCorrectionViewSet(ApiViewSet):
    """Taking an event back, or replacing it. Events themselves are never edited."""

    queryset = UsageEvent.objects.all()
    serializer_class = UsageCorrectionSerializer
    access = CORRECTIONS_ACCESS
    input_classes = {"void": VoidEventInput, "amend": AmendEventInput}
    lookup_value_converter = "path"  # Ids are the sender's, and may have slashes.

    @extend_schema(responses={201: UsageCorrectionSerializer})
    @action(detail=True, methods=["post"])
    def void(self, request: Request, id: str) -> Response:  # noqa: A002 (the name in the path)
        """Take an event back: it counts no more. What was billed for it is credited with the next bill."""
        values = self.read_input()
        correction = void_event(
            event_id=id, **values, at=self.read_time(values["customer_id"]), actor=self.actor
        )
        return self.respond(correction, status=http.HTTP_201_CREATED)

    @extend_schema(responses={201: UsageCorrectionSerializer})
    @action(detail=True, methods=["post"])
    def amend(self, request: Request, id: str) -> Response:  # noqa: A002 (the name in the path)
        """Take an event back, and another one in. That one is billed as any other that comes now."""
        values = self.read_input()
        document: Any = request.data
        correction = amend_event(
            customer_id=values["customer_id"],
            event_id=id,
            # Ingest reads events itself, by rules of its own.
            replacement=decode_event(_ENCODER.encode(document["event"]), index=0),
            reason=values["reason"],
            received_at=self.at,
            at=self.read_time(values["customer_id"]),
            actor=self.actor,
        )
        return self.respond(correction, status=http.HTTP_201_CREATED)

    def read_time(self, customer_id: UUID) -> datetime:
        """Read what time it is for the customer."""
        return now_for(customer_id=customer_id, real_now=self.at)


class UsageCorrectionViewSet(ListModelMixin, RetrieveModelMixin, ApiViewSet):
    """Corrections of usage."""

    queryset = UsageCorrection.objects.all()
    serializer_class = UsageCorrectionSerializer
    filterset_class = UsageCorrectionFilters
    access = CORRECTIONS_ACCESS

    def get_queryset(self) -> QuerySet[UsageCorrection]:
        """Select corrections; a single one with its events."""
        corrections = UsageCorrection.objects.all()
        return corrections.prefetch_related("voids") if self.action == "retrieve" else corrections

    @extend_schema(responses=UsageCorrectionDetailSerializer)
    def retrieve(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Show a correction with its events."""
        return self.respond(self.get_object(), serializer_class=UsageCorrectionDetailSerializer)
