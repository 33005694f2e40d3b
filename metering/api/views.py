"""Events and usage over HTTP: `/v1/events` and `/v1/subscriptions/{id}/usage`."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status as http
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.problems import CONTENT_TYPE, Problem
from billing_project.core.api.serializers import InputSerializer
from billing_project.core.api.views import ApiViewSet
from billing_project.core.errors import BillingError, Conflict, InvalidInput
from customers.queries import now_for
from metering.api.filters import EventFilters
from metering.api.formats import EventParser, ExactJsonRenderer
from metering.api.serializers import (
    EventBatchInput,
    EventBatchReportSerializer,
    EventInput,
    EventQuery,
    EventReceiptSerializer,
    UsageEventSerializer,
    UsageQuery,
    UsageSerializer,
)
from metering.conf import read_batch_limit
from metering.ingest.decoding import decode_batch, decode_single
from metering.ingest.incoming import IngestReport, RefusalCode
from metering.models import UsageEvent
from metering.operations import ingest_events
from metering.queries import get_event, get_usage_period, read_event_details, read_usage_summary
from subscriptions.queries import get_subscription

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
    parser_classes = (EventParser,)  # type: ignore[assignment] # The base is content with its own.
    renderer_classes = (ExactJsonRenderer,)  # type: ignore[assignment]

    def list(self, request: Request) -> Response:
        """List a customer's events, the last received first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        assert page is not None
        details: Any = read_event_details(page)
        return self.get_paginated_response(UsageEventSerializer(details, many=True).data)

    @extend_schema(parameters=[EventQuery])
    def retrieve(self, request: Request, id: str) -> Response:  # noqa: A002 (the name in the path)
        """Show an event, and how it was matched and is billed."""
        event = get_event(event_id=id, **read_query(EventQuery, request))
        return self.respond(read_event_details([event])[0])

    @extend_schema(responses={201: EventReceiptSerializer, 200: EventReceiptSerializer})
    def create(self, request: Request) -> Response:
        """Take an event in. It shows in the usage at once; sent again, it is a duplicate and counts once."""
        event = decode_single(read_body(request))
        report = ingest_events(events=[event], at=self.at)
        if report.refusals:
            (refusal,) = report.refusals
            raise REFUSALS[refusal.code](refusal.detail, field=FIELDS.get(refusal.code))
        receipt = {"accepted": True, "event_id": event.event_id, "duplicate": report.duplicates == 1}
        return Response(receipt, status=http.HTTP_200_OK if report.duplicates else http.HTTP_201_CREATED)

    @extend_schema(responses={200: EventBatchReportSerializer, 207: EventBatchReportSerializer})
    @action(detail=False, methods=["post"])
    def batch(self, request: Request) -> Response:
        """Take many events in, each by itself: 200 if none is rejected, 207 if some are, 422 if all are."""
        events = decode_batch(read_body(request), limit=read_batch_limit())
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


class UsageViewSet(ApiViewSet):
    """What a subscription has used."""

    serializer_class = UsageSerializer
    access = Access(read=Scope.METERING_READ)
    query_params = {"retrieve": {"period"}}

    @extend_schema(parameters=[UsageQuery])
    def retrieve(self, request: Request, id: UUID) -> Response:  # noqa: A002 (the name in the path)
        """Show what a subscription has used in a period, by meter, up to the last event that was answered."""
        which = read_query(UsageQuery, request)["period"]
        subscription = get_subscription(id)
        at = now_for(customer_id=subscription.customer_id, real_now=self.at)
        period = get_usage_period(subscription_id=id, which=which, at=at)
        return self.respond(read_usage_summary(subscription=subscription, period=period))


def read_body(request: Request) -> bytes:
    """Read the body, which is JSON for ingest to decode; a request without one has none."""
    body: Any = request.data
    return body if isinstance(body, bytes) else b""


def read_query(query: type[InputSerializer], request: Request) -> dict[str, Any]:
    """Read the parameters of the query string.

    Raises: rest_framework.exceptions.ValidationError.
    """
    serializer = query(data=request.query_params.dict())
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


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
