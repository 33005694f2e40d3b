"""A long upload of events over HTTP: `/v1/events/import`."""

import io
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from billing_project.core import clock
from billing_project.core.access.scopes import Access, Scope
from billing_project.core.api.problems import CONTENT_TYPE, BodyTooLarge, Problem
from billing_project.core.api.views import ApiViewSet
from billing_project.core.contention import try_again
from metering.api.formats import ExactJsonRenderer
from metering.conf import read_import_chunk, read_import_max_bytes
from metering.importing.formats import JsonDecoder, decode_records
from metering.importing.records import START, Chunk, Section, gather, iterate_lines
from metering.ingest.incoming import IngestReport, RefusalCode
from metering.operations import ingest_many_events

NDJSON = "application/x-ndjson"
MAX_ERRORS = 1_000
BUFFER_BYTES = 256 * 1024
DESCRIPTION = f"""Take a long stream of events in: one JSON object on each line, of any number, in a body of
up to a gigabyte unless the install says otherwise, with or without a Content-Length.

The events are stored in chunks while they arrive. Each line is accepted, a duplicate or rejected by itself:
the answer is 200 if none is rejected, 207 if some are, 422 if all are, and lists the first {MAX_ERRORS:,} of
them. If the connection breaks, or the answer is any other error, the chunks before that are stored: send the
whole again, and what was stored is a duplicate and counts once."""


class ImportRefusalSerializer(serializers.Serializer[Any]):
    """Why a line was refused."""

    line = serializers.IntegerField(help_text="Its number, from 1; empty lines count.")
    id = serializers.CharField(allow_null=True, help_text="Null if it could not be read.")
    code = serializers.ChoiceField(choices=[code.value for code in RefusalCode])
    detail = serializers.CharField()


class ImportReportSerializer(serializers.Serializer[Any]):
    """What became of a stream: each event is accepted, a duplicate or rejected."""

    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    errors = ImportRefusalSerializer(many=True)  # type: ignore[assignment] # A field, not the property.
    errors_left_off = serializers.IntegerField(help_text="How many more were rejected than are listed.")


class EventImportViewSet(ApiViewSet):
    """Long uploads of usage events."""

    serializer_class = ImportReportSerializer
    access = Access(read=Scope.EVENTS_READ, write=Scope.EVENTS_WRITE)
    idempotency = None  # An event's own id makes it safe to send again.
    renderer_classes = (ExactJsonRenderer,)  # type: ignore[assignment] # The base is content with its own.

    @extend_schema(
        description=DESCRIPTION,
        request={NDJSON: OpenApiTypes.STR},
        responses={200: ImportReportSerializer, 207: ImportReportSerializer},
    )
    def create(self, request: Request) -> Response:
        """Take a long stream of events in."""
        body = io.BufferedReader(open_body(request), BUFFER_BYTES)
        report = Report()
        for chunk in gather(
            iterate_lines(body, section=Section()), starts_at=START, size=read_import_chunk()
        ):
            report.add(chunk, take_in(chunk))
        if report.rejected and not report.accepted and not report.duplicates:
            return self._refuse_all(report)
        return Response(
            report.write(), status=http.HTTP_207_MULTI_STATUS if report.rejected else http.HTTP_200_OK
        )

    def _refuse_all(self, report: "Report") -> Response:
        """Answer with the report as a problem: its members are added to those that every problem has."""
        problem = Problem(422, "all_events_rejected", "None of the events was accepted.")
        body = report.write()
        body["errors"] = [{"field": f"line {error['line']}", **error} for error in body["errors"]]
        return Response(
            {**problem.body(request_id=self.actor.request_id), **body},
            status=problem.status,
            content_type=CONTENT_TYPE,
        )


class Report:
    """What has become of a stream so far, with the first errors."""

    def __init__(self) -> None:
        self.accepted = self.duplicates = self.rejected = 0
        self._errors: list[dict[str, Any]] = []

    def add(self, chunk: Chunk, taken: IngestReport) -> None:
        """Add what has become of a chunk."""
        self.accepted += taken.accepted
        self.duplicates += taken.duplicates
        self.rejected += taken.rejected
        self._errors += [
            {
                "line": chunk.lines[refusal.index],
                "id": refusal.event_id,
                "code": refusal.code.value,
                "detail": refusal.detail,
            }
            for refusal in taken.refusals[: MAX_ERRORS - len(self._errors)]
        ]

    def write(self) -> dict[str, Any]:
        """Write the answer."""
        return {
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "errors": self._errors,
            "errors_left_off": self.rejected - len(self._errors),
        }


class BodyStream(io.RawIOBase):
    """A request's body as it comes, up to a limit."""

    def __init__(self, body: Any, *, limit: int) -> None:
        self._body = body
        self._left = limit

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next piece.

        Raises: BodyTooLarge.
        """
        piece = self._body.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise BodyTooLarge("The body is longer than an import may be. What came before is stored.")
        buffer[: len(piece)] = piece
        return len(piece)


def open_body(request: Request) -> BodyStream:
    """Open the body of a request, which nothing has read yet.

    Raises: UnsupportedMediaType.
    """
    if (request.content_type or "").partition(";")[0].strip().lower() != NDJSON:
        raise UnsupportedMediaType(request.content_type)
    # Django takes a body without a length for an empty one; the server's own stream ends where the body does.
    is_streamed = not request.META.get("CONTENT_LENGTH") and request.META.get("wsgi.input_terminated")
    body = request.META["wsgi.input"] if is_streamed else request._request  # noqa: SLF001 (what DRF wraps)
    return BodyStream(body, limit=read_import_max_bytes())


def take_in(chunk: Chunk) -> IngestReport:
    """Take a chunk of the stream in, at the time that it is then."""
    events = decode_records(JsonDecoder(), chunk.records)
    return try_again(lambda: ingest_many_events(events=events, at=clock.now()))
