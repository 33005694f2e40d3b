"""How events travel: ingest reads their bodies itself, and their numbers are written with every digit."""

from collections.abc import Mapping
from typing import IO, Any

import msgspec
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from metering.ingest.cloudevents import BATCH_TYPE, STRUCTURED_TYPE

_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


class EventParser(BaseParser):
    """Hands a JSON body over as it is."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Read the body."""
        return stream.read()


class CloudEventParser(EventParser):
    """Hands the body over that is one CloudEvent."""

    media_type = STRUCTURED_TYPE


class CloudBatchParser(EventParser):
    """Hands the body over that is an array of CloudEvents."""

    media_type = BATCH_TYPE


class ExactJsonRenderer(BaseRenderer):
    """Writes JSON in which a decimal is a number with all its digits."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8, always.

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Write a body; an answer without any has an empty one."""
        return b"" if data is None else _ENCODER.encode(data)


def read_body(request: Request) -> bytes:
    """Read the body, which is JSON for ingest to decode; a request without one has none."""
    body: Any = request.data
    return body if isinstance(body, bytes) else b""
