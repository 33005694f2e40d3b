"""Events over HTTP: `/v1/events`."""

from collections.abc import Mapping, Sequence
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.problems import CONTENT_TYPE, Problem
from billing_project.core.api.views import ApiViewSet
from billing_project.core.errors import BillingError, Conflict, InvalidInput
from metering.api.cloudevents import (
    CLOUD_FIELDS,
    CloudEventInput,
    address_cloud_events,
    content_type_of,
    read_cloud_events,
)
from metering.api.filters import EventFilters
from metering.api.formats import CloudBatchParser, CloudEventParser, EventParser, ExactJsonRenderer, read_body
from metering.api.parameters import read_query
from metering.api.serializers import (
    EventBatchInput,
    EventBatchReportSerializer,
    EventInput,
    EventQuery,
    EventReceiptSerializer,
    UsageEventSerializer,
)
from metering.api.traces import UsageEventTraceSerializer
from metering.conf import read_batch_limit
from metering.ingest.cloudevents import BATCH_TYPE, STRUCTURED_TYPE
from metering.ingest.decoding import decode_batch, decode_single
from metering.ingest.incoming import IncomingEvent, IngestReport, Refusal, RefusalCode
from metering.models import UsageEvent
from metering.operations import ingest_events
from metering.queries import get_event, read_event_details, trace_events

# Which field a refusal is about, where it is about one.
FIELDS: Mapping[RefusalCode, str] = {
    RefusalCode.UNKNOWN_CUSTOMER: "customer_id",
    RefusalCode.CUSTOMER_CLOSED: "customer_id",
    RefusalCode.TIMESTAMP_IN_FUTURE: "timestamp",
    RefusalCode.UNKNOWN_SUBSCRIPTION: "subscription_id",
    RefusalCode.AMBIGUOUS_SUBSCRIPTION: "subscription_id",
    RefusalCode.SUBSCRIPTION_ENDED: "timestamp",
    RefusalCode.INVALID_VALUE: "properties",
    RefusalCode.CONFLICT: "id",
}

# An error for each refusal, so that the answer to a single event has its code where all others have theirs.
REFUSALS: Mapping[RefusalCode, type[BillingError]] = {
    code: type(code.name, (Conflict if code is RefusalCode.CONFLICT else InvalidInput,), {"code": code.value})
    for code in RefusalCode
}


class EventViewSet(ApiViewSet):
    """Usage events: what customers have used, each counted once."""

    queryset = UsageEvent.objects.all()
    serializer_class = UsageEventSerializer
    filterset_class = EventFilters
    access = Access(read=Scope.EVENTS_READ, write=Scope.EVENTS_WRITE)
    idempotency = None  # An event's own id makes it safe to send again.
    input_classes = {"create": EventInput, "batch": EventBatchInput}
    query_params = {"retrieve": {"customer_id"}}
    page_keys = ("uid",)
    lookup_value_converter = "path"  # Ids are the sender's, and may have slashes.
    parser_classes = (EventParser, CloudEventParser, CloudBatchParser)  # type: ignore[assignment] # The base is content with its own.
    renderer_classes = (ExactJsonRenderer,)  # type: ignore[assignment]

    def list(self, request: Request) -> Response:
        """List a customer's events, the last received first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        assert page is not None
        details: Any = read_event_details(page)
        return self.get_paginated_response(UsageEventSerializer(details, many=True).data)

    @extend_schema(parameters=[EventQuery], responses=UsageEventTraceSerializer)
    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002 (the name in the path)
        """Show an event, how it was matched and counted, and where it was billed or why it was not.

        Of an event that was archived, `event_archived` says where its data is.
        """
        event = get_event(event_id=id, **read_query(EventQuery, request))
        return self.respond(trace_events([event])[0], serializer_class=UsageEventTraceSerializer)

    @extend_schema(
        request={
            "application/json": EventInput,
            STRUCTURED_TYPE: CloudEventInput,
            BATCH_TYPE: CloudEventInput(many=True),
        },
        responses={
            201: EventReceiptSerializer,
            200: PolymorphicProxySerializer(
                component_name="EventReceiptOrReport",
                serializers=[EventReceiptSerializer, EventBatchReportSerializer],
                resource_type_field_name=None,
            ),
            207: EventBatchReportSerializer,
        },
    )
    def create(self, request: Request) -> Response:
        """Take an event in. It shows in the usage at once; sent again, it is a duplicate and counts once.

        CloudEvents 1.0 are taken, too: one in structured or binary mode is answered like an event, and a
        batch of them as `/v1/events/batch` answers.
        """
        cloud_events = read_cloud_events(request)
        if cloud_events is None:
            return self._take_one(decode_single(read_body(request)), fields=FIELDS)
        events = address_cloud_events(cloud_events, at=self.at)
        if content_type_of(request) == BATCH_TYPE:
            return self._take_all(events)
        (event,) = events
        return self._take_one(event, fields=CLOUD_FIELDS)

    @extend_schema(responses={200: EventBatchReportSerializer, 207: EventBatchReportSerializer})
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        """Take many events in, each by itself: 200 if none is rejected, 207 if some are, 422 if all are."""
        return self._take_all(decode_batch(read_body(request), limit=read_batch_limit()))

    def _take_one(self, event: IncomingEvent | Refusal, *, fields: Mapping[RefusalCode, str]) -> Response:
        report = ingest_events(events=[event], at=self.at)
        if report.refusals:
            (refusal,) = report.refusals
            raise REFUSALS[refusal.code](refusal.detail, field=fields.get(refusal.code))
        receipt = {"accepted": True, "event_id": event.event_id, "duplicate": report.duplicates == 1}
        return Response(receipt, status=http.HTTP_200_OK if report.duplicates else http.HTTP_201_CREATED)

    def _take_all(self, events: Sequence[IncomingEvent | Refusal]) -> Response:
        report = ingest_events(events=events, at=self.at)
        if events and report.rejected == len(events):
            return self._refuse_all(report)
        body = write_report(report)
        return Response(body, status=http.HTTP_207_MULTI_STATUS if report.refusals else http.HTTP_200_OK)

    def _refuse_all(self, report: IngestReport) -> Response:
        """Answer with the report as a problem: its members are added to those that every problem has."""
        problem = Problem(422, "all_events_rejected", "None of the events was accepted.")
        body = write_report(report)
        body["errors"] = [{"field": f"events.{error['index']}", **error} for error in body["errors"]]
        return Response(
            {**problem.body(request_id=self.actor.request_id), **body},
            status=problem.status,
            content_type=CONTENT_TYPE,
        )


def write_report(report: IngestReport) -> dict[str, Any]:
    """Write what became of a batch."""
    return {
        "accepted": report.accepted,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "errors": [
            {
                "index": refusal.index,
                "id": refusal.event_id,
                "code": refusal.code.value,
                "detail": refusal.detail,
            }
            for refusal in report.refusals
        ],
    }
