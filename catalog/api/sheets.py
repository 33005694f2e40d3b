"""Sheets in CSV as bodies of requests."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

CSV = "text/csv"


class CsvParser(BaseParser):
    """A parser that takes a sheet as text; what it means is for the domain to say."""

    media_type = CSV

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Decode a body.

        Raises: ParseError.
        """
        try:
            return str(stream.read().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ParseError(f"The sheet is not in UTF-8: {error.reason}.") from None
