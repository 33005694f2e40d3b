"""Rows of CSV become the same events as JSON, and are refused by the same rules."""

from typing import Any

import msgspec
import pytest

from metering.importing import formats
from metering.importing.formats import CsvDecoder, JsonDecoder, UnusableFile, decode_records, read_columns
from metering.importing.records import Place, Record
from metering.ingest.decoding import decode_event
from metering.ingest.incoming import IncomingEvent, Refusal

CUSTOMER = "0192e4a0-0000-7000-8000-000000000001"
SUBSCRIPTION = "0192e4a0-0000-7000-8000-000000000002"
HEADER = "id,event_type,customer_id,subscription_id,timestamp,"


def read_header(header: str) -> CsvDecoder:
    return CsvDecoder.from_header(Record(header.encode() + b"\r\n", 1, Place(0, 2)))


def decode_row(header: str, row: str | bytes) -> IncomingEvent | Refusal:
    content = row if isinstance(row, bytes) else row.encode()
    return read_header(HEADER + header).decode(content + b"\r\n", index=3)


def write_row(*cells: str) -> str:
    return ",".join(["one", "llm.completion", CUSTOMER, SUBSCRIPTION, "2026-03-01T12:00:00Z", *cells])


def decode_json(properties: str) -> IncomingEvent | Refusal:
    return decode_event(
        f'{{"id": "one", "event_type": "llm.completion", "customer_id": "{CUSTOMER}", "subscription_id": '
        f'"{SUBSCRIPTION}", "timestamp": "2026-03-01T12:00:00Z", "properties": {properties}}}'.encode(),
        index=3,
    )


class TestCsvDecoder:
    def test_reads_properties_in_json(self) -> None:
        cell = '"{""input_tokens"": 10, ""model"": ""a, b"", ""deep"": {""list"": [1.50]}}"'

        assert decode_row("properties", write_row(cell)) == decode_json(
            '{"input_tokens": 10, "model": "a, b", "deep": {"list": [1.50]}}'
        )

    @pytest.mark.parametrize(
        ("cell", "value"),
        [
            ("10", "10"),
            ("-0.50", "-0.50"),
            ("12345678901234567890.123456789012", "12345678901234567890.123456789012"),
            ("1e30", "1e30"),
            ("true", "true"),
            ("false", "false"),
            ("True", '"True"'),
            ("null", '"null"'),
            ("007", '"007"'),
            ("1.", '"1."'),
            ("+1", '"+1"'),
            (" 1", '" 1"'),
            ("NaN", '"NaN"'),
            ("٣", '"٣"'),
            ('"a, ""b"""', '"a, \\"b\\""'),
            ('"two\nlines"', '"two\\nlines"'),
            ("é\t\\", '"é\\t\\\\"'),
        ],
    )
    def test_reads_a_property_in_a_column_of_its_own(self, cell: str, value: str) -> None:
        found = decode_row("properties.value", write_row(cell))

        assert isinstance(found, IncomingEvent)
        assert found == decode_json(f'{{"value": {value}}}')

    def test_leaves_out_what_is_empty(self) -> None:
        assert decode_row("properties.a,properties.b", write_row("", "1")) == decode_json('{"b": 1}')
        assert decode_row("properties", write_row("")) == decode_json("{}")

    def test_reads_the_columns_in_any_order_and_without_the_optional_ones(self) -> None:
        decoder = read_header("timestamp,customer_id,id,event_type")

        found = decoder.decode(f"2026-03-01T12:00:00Z,{CUSTOMER},one,llm.completion".encode(), index=0)

        assert isinstance(found, IncomingEvent)
        assert (found.event_id, found.subscription_id, found.properties) == ("one", None, {})

    @pytest.mark.parametrize(
        "row",
        [
            write_row(),
            write_row("1", "2"),
            write_row('"open'),
            write_row('"a"b'),
            write_row("a\rb"),
            b"\xff" + write_row("1").encode(),
            write_row("1").replace("one", ""),
            write_row("1").replace(CUSTOMER, "nobody"),
            write_row("1").replace("Z", ""),
            write_row("1" * 101 + ".5"),
            write_row("1e999"),
        ],
    )
    def test_refuses_a_row_as_malformed(self, row: str | bytes) -> None:
        found = decode_row("properties.value", row)

        assert isinstance(found, Refusal)
        assert (found.index, found.code) == (3, "malformed")

    @pytest.mark.parametrize(
        "cell", ["{", "[]", "1", "{} {}", '{},"customer_id":"' + SUBSCRIPTION + '"', "\x00", "[" * 100_000]
    )
    def test_takes_nothing_but_an_object_for_properties(self, cell: str) -> None:
        quoted = '"' + cell.replace('"', '""') + '"'

        found = decode_row("properties", write_row(quoted))

        assert isinstance(found, Refusal)
        assert found.code == "malformed"

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ("id,event_type,timestamp", "There is no column customer_id."),
            (
                "properties",
                "There is no column id and none event_type and none customer_id and none timestamp.",
            ),
            (HEADER + "tokens", "The column 'tokens' is unknown"),
            (HEADER + "properties.", "The column 'properties.' is unknown"),
            (HEADER, "The column '' is unknown"),
            (HEADER + "id", "Two columns have the same name."),
            (HEADER + "properties.a,properties.a", "Two columns have the same name."),
            (HEADER + "properties,properties.a", "not in both"),
            ('"id', "does not name columns"),
        ],
    )
    def test_refuses_a_header(self, header: str, message: str) -> None:
        with pytest.raises(UnusableFile, match=message):
            read_header(header)


class TestReadColumns:
    def test_lets_properties_have_any_name(self) -> None:
        columns = read_columns([*HEADER.rstrip(",").split(","), "properties.id", "properties.a.b"])

        assert [tuple(column) for column in columns[-2:]] == [("id", True), ("a.b", True)]


class TestDecodeRecords:
    def test_does_not_look_at_what_is_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        event: dict[str, Any] = {
            "id": "one",
            "event_type": "llm.completion",
            "customer_id": CUSTOMER,
            "timestamp": "2026-03-01T12:00:00Z",
        }
        encoded = msgspec.json.encode(event)
        monkeypatch.setattr(formats, "MAX_RECORD_BYTES", len(encoded))

        good, long, bad = decode_records(JsonDecoder(), [encoded, encoded + b"\n", b"{"])

        assert isinstance(good, IncomingEvent)
        assert isinstance(long, Refusal)
        assert isinstance(bad, Refusal)
        assert (long.index, long.code, bad.index, bad.code) == (1, "too_long", 2, "malformed")


class TestFindCustomer:
    """It may guess wrong, but must say something about everything, and the same of one customer's records."""

    @pytest.mark.parametrize(
        ("record", "found"),
        [
            (b'{"id": "1", "customer_id": "a", "x": "customer_id"}', b"a"),
            (b'{"customer_id":"a","id":"1"}\n', b"a"),
            (b'{"customer_id":\t"' + b"x" * 65 + b'"}', b""),
            (b'{"customer_id": 7}', b""),
            (b'{"customer_id": "a', b""),
            (b"\xff\x00", b""),
            (b"", b""),
        ],
    )
    def test_finds_it_in_json(self, record: bytes, found: bytes) -> None:
        assert JsonDecoder().find_customer(record) == found

    @pytest.mark.parametrize(
        ("record", "found"),
        [
            (b"one,llm.completion,a,s,t,{}\r\n", b"a"),
            (b'"one",llm.completion,"a",s\r\n', b"a"),
            (b"one,llm.completion,a\r\n", b"a"),
            (b'"o,ne",llm.completion,a\r\n', b"llm.completion"),
            (b"one,llm.completion\r\n", b""),
            (b"\xff", b""),
        ],
    )
    def test_finds_it_in_a_row(self, record: bytes, found: bytes) -> None:
        assert read_header(f"{HEADER}properties").find_customer(record) == found
