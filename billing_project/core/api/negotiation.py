"""The choice of a response's format: the endpoint's own. An API has one, whatever `Accept` says."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class OwnChoice(BaseContentNegotiation):
    """Takes the first renderer, and the parser that the body's type asks for."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Choose the parser for the body's content type; None if there is none."""
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, Any]:
        """Choose the renderer."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type
