"""Reading events from JSON: exact, strict, and each by itself, so that a bad one does not spoil its batch."""

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from billing_project.core.errors import BillingError, InvalidInput
from billing_project.core.money import EXACT
from metering.ingest.incoming import EventRefused, IncomingEvent, Refusal, RefusalCode

MAX_ID_LENGTH = 255
MAX_TYPE_LENGTH = 200
MAX_PROPERTIES_BYTES = 16 * 1024
MAX_PROPERTIES_DEPTH = 8
TOO_DEEP = f"The properties are nested more than {MAX_PROPERTIES_DEPTH} deep."
MAX_NUMBER_LENGTH = 100
MAX_NUMBER_EXPONENT = 400  # Beyond any double; a short text must not be able to name a huge number.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
NUL = "\x00"
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})"
)


T = TypeVar("T")


class NotJson(BillingError):
    """The body is not JSON."""

    code = "parse_error"
    http_status = 400


class NotABatch(InvalidInput):
    """The body is JSON, but not `{"events": [...]}`."""

    code = "invalid_batch"


class TooManyEvents(InvalidInput):
    """A batch has more events than one request may carry. None of them is stored."""

    code = "too_many_events"


class SentEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event as it was sent, with the right types, but not looked at any further."""

    id: str
    event_type: str
    customer_id: UUID
    timestamp: str
    subscription_id: UUID | None = None
    properties: dict[str, Any] = {}


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[SentEvent]


class _RawBatch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class _OnlyId(msgspec.Struct):
    id: str


class _InvalidNumber(ValueError):
    """A number is longer than any that is meant."""


def read_fraction(text: str) -> Decimal | int:
    """Read a JSON number with a point or an exponent; equal ones come out the same, however written."""
    if len(text) > MAX_NUMBER_LENGTH:
        raise _InvalidNumber(f"A number has more than {MAX_NUMBER_LENGTH} characters.")
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise _InvalidNumber("The exponent of a number is too large.") from None
    if abs(number.adjusted()) > MAX_NUMBER_EXPONENT:
        raise _InvalidNumber("The exponent of a number is too large.")
    whole = int(number)
    return whole if whole == number else number.normalize(EXACT)


_BATCH = msgspec.json.Decoder(_Batch, float_hook=read_fraction)
_RAW_BATCH = msgspec.json.Decoder(_RawBatch)
_ANY_JSON = msgspec.json.Decoder(msgspec.Raw)
_EVENT = msgspec.json.Decoder(SentEvent, float_hook=read_fraction)
_ID = msgspec.json.Decoder(_OnlyId)
_CANONICAL = msgspec.json.Encoder(order="deterministic", decimal_format="number")


def decode_batch(body: bytes, *, limit: int) -> list[IncomingEvent | Refusal]:
    """Read `{"events": [...]}`, and each event in it as far as it can be read.

    Raises: NotJson; NotABatch; TooManyEvents.
    """
    try:
        sent = _BATCH.decode(body).events
    except (ValueError, RecursionError):
        return _decode_each(body, limit=limit)
    check_count(len(sent), limit=limit, field="events")
    return [_read(event, index) for index, event in enumerate(sent)]


def check_count(count: int, *, limit: int, field: str | None = None) -> None:
    """Refuse a batch that is too long.

    Raises: TooManyEvents.
    """
    if count > limit:
        raise TooManyEvents(f"A batch has at most {limit} events, not {count}.", field=field)


def decode_single(body: bytes) -> IncomingEvent | Refusal:
    """Read a body that is one event.

    Raises: NotJson.
    """
    event = decode_event(body, index=0)
    if isinstance(event, Refusal):
        check_json(body)
    return event


def decode_event(encoded: bytes | msgspec.Raw, *, index: int) -> IncomingEvent | Refusal:
    """Read one event; what cannot be accepted whatever is stored is refused here."""
    sent = decode_as(_EVENT, encoded, index=index)
    if isinstance(sent, Refusal):
        return sent
    return _read(sent, index)


def decode_as(decoder: msgspec.json.Decoder[T], encoded: bytes | msgspec.Raw, *, index: int) -> T | Refusal:
    """Read one event as a decoder has it, or say why it cannot be read."""
    try:
        return decoder.decode(encoded)
    except UnicodeDecodeError:
        return Refusal(index, None, RefusalCode.MALFORMED, "The event is not valid UTF-8.")
    except RecursionError:
        return Refusal(index, _find_id(encoded), RefusalCode.MALFORMED, "The event is nested too deep.")
    except ValueError as error:
        return Refusal(index, _find_id(encoded), RefusalCode.MALFORMED, f"{error}.")


def _decode_each(body: bytes, *, limit: int) -> list[IncomingEvent | Refusal]:
    """Read a batch in which not every event can be read, to say of each what is wrong with it.

    Raises: NotJson; NotABatch; TooManyEvents.
    """
    check_json(body)
    try:
        events = _RAW_BATCH.decode(body).events
    except msgspec.ValidationError as error:
        raise NotABatch(f"The body is not a batch of events: {error}.") from None
    check_count(len(events), limit=limit, field="events")
    return [decode_event(event, index=index) for index, event in enumerate(events)]


def _read(sent: SentEvent, index: int) -> IncomingEvent | Refusal:
    try:
        return check_event(sent, timestamp=read_timestamp(sent.timestamp), index=index)
    except EventRefused as refused:
        return Refusal(index, sent.id[:MAX_ID_LENGTH], refused.code, refused.detail)


def check_json(body: bytes) -> None:
    """Refuse what is not JSON at all, before anything is said about what is in it.

    Raises: NotJson.
    """
    try:
        _ANY_JSON.decode(body)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"The body is not valid JSON: {error}.") from None


def check_event(
    sent: SentEvent, *, timestamp: datetime, index: int, is_stamped: bool = True
) -> IncomingEvent:
    """Check what the types alone do not say, and bring the event into its canonical form.

    An event that was sent without a time is stamped with the time at which it came. That is not part of its
    content: sent again, it is the same event.

    Raises: EventRefused.
    """
    _check_name("id", sent.id, MAX_ID_LENGTH)
    _check_name("event_type", sent.event_type, MAX_TYPE_LENGTH)
    encoded = _encode_properties(sent.properties)
    content = _CANONICAL.encode(
        (
            sent.event_type,
            sent.subscription_id,
            timestamp if is_stamped else None,
            msgspec.Raw(encoded),
        )
    )
    return IncomingEvent(
        index=index,
        event_id=sent.id,
        event_type=sent.event_type,
        customer_id=sent.customer_id,
        subscription_id=sent.subscription_id,
        timestamp=timestamp,
        properties=sent.properties,
        encoded_properties=encoded,
        content_hash=hashlib.blake2b(content, digest_size=16).digest(),
    )


def _check_name(field: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise EventRefused(RefusalCode.TOO_LONG, f"The {field} has more than {limit} characters.")
    if not text or NUL in text:
        raise EventRefused(RefusalCode.MALFORMED, f"The {field} is empty or has a NUL character in it.")


def read_timestamp(text: str) -> datetime:
    """Read an instant, in UTC. Digits beyond microseconds are dropped: rounding could leave its period.

    Raises: EventRefused.
    """
    if _TIMESTAMP.fullmatch(text) is None:  # Python's own reader lets one stray character pass.
        detail = "The timestamp is not an ISO 8601 time with an offset, such as 2026-02-28T14:30:00Z."
        raise EventRefused(RefusalCode.MALFORMED, detail)
    try:
        timestamp = datetime.fromisoformat(text)
        if timestamp < EARLIEST:
            raise EventRefused(RefusalCode.MALFORMED, f"The timestamp is before {EARLIEST.year}.")
        return timestamp if timestamp.tzinfo is UTC else timestamp.astimezone(UTC)
    except (ValueError, OverflowError):
        raise EventRefused(RefusalCode.MALFORMED, "The timestamp is not a day or hour that exists.") from None


def _encode_properties(properties: dict[str, Any]) -> bytes:
    """Write the properties in their canonical form, if they can be stored.

    Raises: EventRefused.
    """
    try:
        encoded = _CANONICAL.encode(properties)
    except RecursionError:
        raise EventRefused(RefusalCode.MALFORMED, TOO_DEEP) from None
    if encoded.count(b"{") + encoded.count(b"[") > MAX_PROPERTIES_DEPTH:  # Few are nested at all.
        _check_depth(properties.values(), MAX_PROPERTIES_DEPTH)
    if len(encoded) > MAX_PROPERTIES_BYTES:
        detail = f"The properties are longer than {MAX_PROPERTIES_BYTES} bytes."
        raise EventRefused(RefusalCode.TOO_LONG, detail)
    if b"\\u0000" in encoded and _has_nul(properties):
        raise EventRefused(RefusalCode.MALFORMED, "The properties have a NUL character in them.")
    return encoded


def _check_depth(values: Iterable[object], limit: int) -> None:
    if limit == 0:
        raise EventRefused(RefusalCode.MALFORMED, TOO_DEEP)
    for value in values:
        if isinstance(value, dict):
            _check_depth(value.values(), limit - 1)
        elif isinstance(value, list):
            _check_depth(value, limit - 1)


def _has_nul(value: object) -> bool:
    """Look for a NUL itself; the canonical form has the same letters where a backslash is before `u0000`."""
    match value:
        case str():
            return NUL in value
        case dict():
            return any(_has_nul(name) or _has_nul(inner) for name, inner in value.items())
        case list():
            return any(map(_has_nul, value))
    return False


def _find_id(encoded: bytes | msgspec.Raw) -> str | None:
    """Find the id of an event that is otherwise unreadable, so that the sender can tell which it was."""
    try:
        return _ID.decode(encoded).id[:MAX_ID_LENGTH]
    except (ValueError, RecursionError):
        return None
