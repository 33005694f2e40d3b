"""What ingest is compared with: the same storage without any check, and Django as it comes."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.models import PlainEvent
from billing_project.core.clock import now
from billing_project.core.ids import make_id
from billing_project.core.statements import fetch_row
from metering.ingest.writing import INSERT_EVENTS

# The platform's own tables, indexes included, and its own statement; only the names differ.
BARE_EVENTS = "benchmark_event"
BARE_ROLLUPS = "benchmark_rollup"
COPIED_EVENTS = "benchmark_copied"
INSERT_BARE = INSERT_EVENTS.replace("metering_usageevent", BARE_EVENTS).replace(
    "metering_usagerollup", BARE_ROLLUPS
)
PARTITION_COUNT = 16
METERED = ("input_tokens", "output_tokens")
NO_HASH = "\\x00000000000000000000000000000000"


class _BareEvent(msgspec.Struct):
    id: str
    event_type: str
    customer_id: UUID
    subscription_id: UUID
    timestamp: datetime
    properties: dict[str, Any]


class _BareBatch(msgspec.Struct):
    events: list[_BareEvent]


_BATCH = msgspec.json.Decoder(_BareBatch)
_METERS = {name: UUID(int=number) for number, name in enumerate(METERED)}


@method_decorator(csrf_exempt, name="dispatch")
class BareEventView(View):
    """Decodes a batch and stores it with its rollups, in the platform's statement: no key, no check, no lock.

    Nothing is looked up: the subscription serves as the segment, and the meters are known.
    """

    def post(self, request: HttpRequest) -> HttpResponse:
        """Store a batch."""
        rows: list[dict[str, object]] = []
        counted: list[dict[str, object]] = []
        for event in _BATCH.decode(request.body).events:
            uid = make_id()
            rows.append(
                {
                    "uid": uid,
                    "customer_id": event.customer_id,
                    "event_id": event.id,
                    "event_type": event.event_type,
                    "subscription_id": event.subscription_id,
                    "segment_id": event.subscription_id,
                    "timestamp": event.timestamp,
                    "billed_at": event.timestamp,
                    "is_late": False,
                    "properties": event.properties,
                    "content_hash": NO_HASH,
                }
            )
            counted += [
                {"uid": uid, "meter_id": meter_id, "value": event.properties[name]}
                for name, meter_id in _METERS.items()
            ]
        parameters = {
            "rows": msgspec.json.encode(rows).decode(),
            "counted": msgspec.json.encode(counted).decode(),
            "at": now(),
        }
        with transaction.atomic():
            (accepted,) = fetch_row(INSERT_BARE, parameters)
        return HttpResponse(msgspec.json.encode({"accepted": accepted}), content_type="application/json")


class PlainEventSerializer(serializers.ModelSerializer[PlainEvent]):
    """An event as Django REST framework reads it by default."""

    class Meta:
        model = PlainEvent
        fields = ["event_id", "event_type", "customer_id", "subscription_id", "timestamp", "properties"]
        validators: list[object] = []  # The table itself tells what is a repeat.


class PlainEventView(APIView):
    """Validates a batch with a serializer and stores it with `bulk_create`: no rollups, no key."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None

    def post(self, request: Request) -> Response:
        """Store a batch."""
        body: Any = request.data
        events = [{**event, "event_id": event["id"]} for event in body["events"]]
        serializer = PlainEventSerializer(data=events, many=True)
        serializer.is_valid(raise_exception=True)
        rows = [PlainEvent(**values) for values in serializer.validated_data]
        PlainEvent._default_manager.bulk_create(rows, ignore_conflicts=True)
        return Response({"accepted": len(rows)})


def make_tables() -> None:
    """Make the tables of the baselines, empty."""
    with connection.cursor() as cursor:
        for table, original, storage in (
            (BARE_EVENTS, "metering_usageevent", ""),
            (BARE_ROLLUPS, "metering_usagerollup", "WITH (fillfactor = 70)"),
            (COPIED_EVENTS, "metering_usageevent", ""),
        ):
            cursor.execute(
                f"CREATE TABLE {table} (LIKE {original} INCLUDING ALL) PARTITION BY HASH (customer_id)"
            )
            for number in range(PARTITION_COUNT):
                cursor.execute(
                    f"CREATE TABLE {table}_{number} PARTITION OF {table} "
                    f"FOR VALUES WITH (MODULUS {PARTITION_COUNT}, REMAINDER {number}) {storage}"
                )
    with connection.schema_editor() as editor:
        editor.create_model(PlainEvent)
