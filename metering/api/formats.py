"""How events travel: ingest reads their bodies itself, and their numbers are written with every digit."""

from collections.abc import Mapping
from typing import IO, Any

import msgspec
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

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
