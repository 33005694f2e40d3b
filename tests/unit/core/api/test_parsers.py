"""Reading JSON strictly."""

from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from rest_framework.exceptions import ParseError

from billing_project.core.api.parsers import MAX_DEPTH, StrictJsonParser, parse_json
from billing_project.core.api.problems import BodyTooLarge


def nest(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


class TestParseJson:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b'{"a": [1, "x", null, true]}', {"a": [1, "x", None, True]}),
            (b"12345678901234567890123456789", 12345678901234567890123456789),
            ('"\\ud83d\\ude00 \u00e9"'.encode(), "\U0001f600 \u00e9"),
            (b'"a\\u0001b"', "a\x01b"),
            (b'""', ""),
        ],
    )
    def test_reads(self, body: bytes, expected: Any) -> None:
        assert parse_json(body) == expected

    @pytest.mark.parametrize("text", ["0.1", "1e2", "12345678901234567890.123456789012345678901"])
    def test_reads_fractions_exactly(self, text: str) -> None:
        value = parse_json(text.encode())

        assert type(value) is Decimal
        assert value == Decimal(text)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"NaN",
            b"[Infinity]",
            b'{"a": -Infinity}',
            b"{'a': 1}",
            b"\xff\xfe",
            b'"\xc3\x28"',
            b"[1,]",
            b'{"a": 1, "a": 2}',
            b'{"x": {"a": 1, "a": 1}}',
            b"1" * 5_000,
            b"1e999999999999999999999",
            b'"a\\u0000b"',
            b'{"a\\u0000": 1}',
            b'["\\ud800"]',
            b'["\\udc00\\ud800"]',
            b'"\x00"',
        ],
    )
    def test_refuses(self, body: bytes) -> None:
        with pytest.raises(ParseError):
            parse_json(body)

    def test_reads_down_to_its_depth(self) -> None:
        assert parse_json(nest(MAX_DEPTH - 1)) is not None

    @pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
    def test_refuses_what_is_deeper(self, depth: int) -> None:
        with pytest.raises(BodyTooLarge):
            parse_json(nest(depth))


class TestStrictJsonParser:
    def test_reads_a_stream(self) -> None:
        assert StrictJsonParser().parse(BytesIO(b'{"a": 1.50}')) == {"a": Decimal("1.50")}
