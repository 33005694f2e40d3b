"""Reading events from JSON: what is accepted, in which form, and what is refused and why."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from metering.ingest.decoding import (
    MAX_PROPERTIES_BYTES,
    NotABatch,
    NotJson,
    TooManyEvents,
    decode_batch,
    decode_event,
    decode_single,
)
from metering.ingest.incoming import IncomingEvent, Refusal, RefusalCode

CUSTOMER = "01a20ca5-0f4f-72e7-b55a-8d58185c72c4"


def write(**fields: Any) -> bytes:
    event = {
        "id": "event-1",
        "event_type": "llm.completion",
        "customer_id": CUSTOMER,
        "timestamp": "2026-02-28T14:30:00Z",
        "properties": {"tokens": 10},
    }
    return msgspec.json.encode({**event, **fields})


def with_properties(text: str) -> bytes:
    return write(properties=msgspec.Raw(text.encode()))


def read(encoded: bytes) -> IncomingEvent:
    event = decode_event(encoded, index=0)
    assert isinstance(event, IncomingEvent), event
    return event


def refuse(encoded: bytes) -> Refusal:
    refusal = decode_event(encoded, index=0)
    assert isinstance(refusal, Refusal), refusal
    return refusal


class TestDecodeEvent:
    def test_reads_every_field(self) -> None:
        event = read(write(subscription_id="01a20ca5-b4a9-7141-89f6-a719c170d9fa"))

        assert (event.event_id, event.event_type) == ("event-1", "llm.completion")
        assert event.customer_id == UUID(CUSTOMER)
        assert event.subscription_id == UUID("01a20ca5-b4a9-7141-89f6-a719c170d9fa")
        assert event.timestamp == datetime(2026, 2, 28, 14, 30, tzinfo=UTC)
        assert event.properties == {"tokens": 10}
        assert event.encoded_properties == b'{"tokens":10}'

    def test_needs_neither_subscription_nor_properties(self) -> None:
        encoded = msgspec.json.encode(
            {"id": "e", "event_type": "t", "customer_id": CUSTOMER, "timestamp": "2026-02-28T14:30:00Z"}
        )

        event = read(encoded)

        assert (event.subscription_id, event.properties) == (None, {})

    @pytest.mark.parametrize(
        ("text", "instant"),
        [
            ("2026-02-28T14:30:00Z", datetime(2026, 2, 28, 14, 30, tzinfo=UTC)),
            ("2026-02-28 14:30Z", datetime(2026, 2, 28, 14, 30, tzinfo=UTC)),
            ("2026-02-28T14:30:00+05:30", datetime(2026, 2, 28, 9, 0, tzinfo=UTC)),
            ("2026-02-28T14:30:00.000001-01:00", datetime(2026, 2, 28, 15, 30, 0, 1, tzinfo=UTC)),
            ("2026-02-28T23:59:59.9999999Z", datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)),
            ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_reads_instants_in_utc_to_the_microsecond(self, text: str, instant: datetime) -> None:
        timestamp = read(write(timestamp=text)).timestamp

        assert (timestamp, timestamp.utcoffset()) == (instant, instant.utcoffset())

    @pytest.mark.parametrize(
        "text",
        [
            "2026-02-28T14:30:00",
            "2026-02-28",
            "yesterday",
            "",
            "1969-12-31T23:59:59Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2026-02-30T00:00:00Z",
            "2026-02-28T14:30:00\x00Z",
            "2026-02-28T14:30:00xZ",
            "2026-02-28T14:30:00+99:00",
            "2026-02-28T14:30:61Z",
            "٢٠٢٦-02-28T14:30:00Z",
        ],
    )
    def test_refuses_a_time_that_is_none_or_has_no_offset(self, text: str) -> None:
        assert refuse(write(timestamp=text)).code == RefusalCode.MALFORMED

    @pytest.mark.parametrize(
        ("text", "value", "encoded"),
        [
            ("1.50", Decimal("1.5"), "1.5"),
            ("0.1", Decimal("0.1"), "0.1"),
            ("2.0", 2, "2"),
            ("1e3", 1000, "1000"),
            ("12345678901234567890123456789", 12345678901234567890123456789, "12345678901234567890123456789"),
            ("7.123456789012345678", Decimal("7.123456789012345678"), "7.123456789012345678"),
            ("-0.0", 0, "0"),
        ],
    )
    def test_keeps_numbers_exact(self, text: str, value: object, encoded: str) -> None:
        event = read(with_properties(f'{{"v":{text}}}'))

        assert event.properties == {"v": value}
        assert type(event.properties["v"]) is type(value)
        assert event.encoded_properties == f'{{"v":{encoded}}}'.encode()

    @pytest.mark.parametrize(
        "text", ["1e401", "1E-401", "1e99999999999999999999", "1." + "0" * 100, "9" * 5000]
    )
    def test_refuses_numbers_that_are_out_of_all_proportion(self, text: str) -> None:
        assert refuse(with_properties(f'{{"v":{text}}}')).code == RefusalCode.MALFORMED

    @pytest.mark.parametrize(
        "fields",
        [
            {"id": 1},
            {"id": ""},
            {"id": None},
            {"id": "a\x00b"},
            {"event_type": ""},
            {"event_type": "a\x00"},
            {"customer_id": "nobody"},
            {"customer_id": 7},
            {"subscription_id": "none"},
            {"timestamp": 1772289000},
            {"properties": []},
            {"properties": None},
            {"properties": {"a": "\x00"}},
            {"properties": {"a\x00": 1}},
            {"properties": {"a": ["b", {"c": "d\x00"}]}},
            {"surprise": 1},
        ],
    )
    def test_refuses_what_is_malformed(self, fields: dict[str, Any]) -> None:
        assert refuse(write(**fields)).code == RefusalCode.MALFORMED

    def test_lets_a_written_backslash_before_u0000_pass(self) -> None:
        assert read(write(properties={"path": "C:\\u0000"})).properties == {"path": "C:\\u0000"}

    @pytest.mark.parametrize("name", ["id", "event_type", "customer_id", "timestamp"])
    def test_names_a_field_that_is_missing(self, name: str) -> None:
        fields = msgspec.json.decode(write())
        del fields[name]

        refusal = refuse(msgspec.json.encode(fields))

        assert refusal.code == RefusalCode.MALFORMED
        assert f"`{name}`" in refusal.detail

    def test_names_a_field_that_is_unknown(self) -> None:
        assert "`amount`" in refuse(write(amount=1)).detail

    @pytest.mark.parametrize(
        "encoded",
        [
            write(id="x" * 256),
            write(event_type="x" * 201),
            write(properties={"a": "x" * MAX_PROPERTIES_BYTES}),
            write(properties={str(number): number for number in range(3000)}),
        ],
    )
    def test_refuses_what_is_too_long(self, encoded: bytes) -> None:
        assert refuse(encoded).code == RefusalCode.TOO_LONG

    def test_takes_what_is_just_not_too_long(self) -> None:
        event = read(write(id="x" * 255, event_type="y" * 200, properties={"a": "z" * 10_000}))

        assert (len(event.event_id), len(event.event_type)) == (255, 200)

    @pytest.mark.parametrize(("depth", "is_accepted"), [(8, True), (9, False), (900, False)])
    def test_limits_how_deep_properties_are_nested(self, depth: int, *, is_accepted: bool) -> None:
        text = '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)

        event = decode_event(with_properties(text), index=0)

        assert isinstance(event, IncomingEvent) is is_accepted

    @pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
    def test_refuses_what_it_could_read_but_not_write_again(self, opening: str, closing: str) -> None:
        outcomes = [
            decode_event(with_properties(f'{{"a":{opening * depth}1{closing * depth}}}'), index=0)
            for depth in range(700, 1001)
        ]

        details = {outcome.detail for outcome in outcomes if isinstance(outcome, Refusal)}
        assert len(details) == 2  # One of the properties, then one of the event.
        assert not any(isinstance(outcome, IncomingEvent) for outcome in outcomes)

    @pytest.mark.parametrize(
        "encoded",
        [
            b'"text"',
            b"[]",
            b"null",
            b"7",
            b'{"id": "\xff"}',
            b'{"id": "\\ud800"}',
            write().replace(b"llm", b"\xff"),
            with_properties('{"a": "\\udc00"}'),
        ],
    )
    def test_refuses_what_is_no_event_at_all(self, encoded: bytes) -> None:
        assert refuse(encoded).code == RefusalCode.MALFORMED

    def test_tells_the_id_of_an_event_that_is_otherwise_unreadable(self) -> None:
        assert refuse(write(timestamp=1)).event_id == "event-1"
        assert refuse(write(id=5)).event_id is None
        assert refuse(write(id="y" * 400)).event_id == "y" * 255


class TestContentHash:
    def test_is_the_same_however_the_same_is_written(self) -> None:
        plain = read(write(properties={"a": 1, "b": 2.5}))

        assert len(plain.content_hash) == 16
        for twin in (
            with_properties('{ "b" : 2.50, "a" : 1.0 }'),
            write(properties={"b": 2.5, "a": 1}, timestamp="2026-02-28T15:30:00+01:00"),
            write(properties={"b": 2.5, "a": 1}, subscription_id=None),
        ):
            assert read(twin).content_hash == plain.content_hash

    @pytest.mark.parametrize(
        "fields",
        [
            {"event_type": "llm.embedding"},
            {"timestamp": "2026-02-28T14:30:00.000001Z"},
            {"subscription_id": CUSTOMER},
            {"properties": {"tokens": 11}},
            {"properties": {"tokens": "10"}},
            {"properties": {"tokens": 10, "more": None}},
        ],
    )
    def test_differs_with_the_content(self, fields: dict[str, Any]) -> None:
        assert read(write(**fields)).content_hash != read(write()).content_hash


class TestDecodeBatch:
    def test_reads_each_event_by_itself(self) -> None:
        body = b'{"events": [%s, {"id": "broken"}, %s, 5]}' % (write(), write(id="event-2"))

        first, broken, second, number = decode_batch(body, limit=4)

        assert isinstance(first, IncomingEvent)
        assert isinstance(second, IncomingEvent)
        assert (first.index, second.index) == (0, 2)
        assert isinstance(broken, Refusal)
        assert isinstance(number, Refusal)
        assert (broken.index, broken.event_id) == (1, "broken")
        assert (number.index, number.event_id) == (3, None)

    def test_takes_none(self) -> None:
        assert decode_batch(b'{"events": []}', limit=1) == []

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"hello", b'{"events": [nul]}', b'{"events": []} {}', b'{"events": ' + b"[" * 100_000],
    )
    def test_refuses_what_is_not_json(self, body: bytes) -> None:
        with pytest.raises(NotJson):
            decode_batch(body, limit=10)

    @pytest.mark.parametrize(
        "body", [b"[]", b"{}", b'{"events": {}}', b'{"events": null}', b'{"events": [], "more": 1}', b"null"]
    )
    def test_refuses_what_is_not_a_batch(self, body: bytes) -> None:
        with pytest.raises(NotABatch):
            decode_batch(body, limit=10)

    def test_refuses_more_than_the_limit(self) -> None:
        body = b'{"events": [1, 2, 3]}'

        assert len(decode_batch(body, limit=3)) == 3
        with pytest.raises(TooManyEvents):
            decode_batch(body, limit=2)


class TestDecodeSingle:
    def test_reads_an_event(self) -> None:
        assert isinstance(decode_single(write()), IncomingEvent)

    def test_refuses_an_event_that_is_malformed(self) -> None:
        assert isinstance(decode_single(b"{}"), Refusal)

    @pytest.mark.parametrize("body", [b"", b"{", write() + b",", b"NaN"])
    def test_refuses_what_is_not_json(self, body: bytes) -> None:
        with pytest.raises(NotJson):
            decode_single(body)
