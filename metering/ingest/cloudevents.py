"""CloudEvents 1.0 as usage events, in the structured, batched and binary modes of its HTTP binding.

`subject` is the customer, by id or `external_id`; `type` the event type, `time` the timestamp and `data` the
properties. The extension attribute `subscriptionid` may name a subscription; other extensions are not kept.
What identifies a CloudEvent is its source and its id together, so together they are the event's id: two
sources may number alike. An event without a time is stamped with the moment at which it comes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec

from metering.ingest.decoding import (
    MAX_ID_LENGTH,
    NotABatch,
    SentEvent,
    check_count,
    check_event,
    check_json,
    decode_as,
    read_fraction,
    read_timestamp,
)
from metering.ingest.incoming import EventRefused, IncomingEvent, Refusal, RefusalCode

STRUCTURED_TYPE = "application/cloudevents+json"
BATCH_TYPE = "application/cloudevents-batch+json"
VERSION_HEADER = "ce-specversion"
SPEC_VERSION = "1.0"
ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "subscriptionid")
_JSON_TYPES = ("application/json", "text/json")


class CloudEvent(msgspec.Struct, gc=False):
    """A CloudEvent whose attributes have the right types; unknown ones are extensions, and passed over."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    data: dict[str, Any] | None = None
    data_base64: str | None = None
    subscriptionid: UUID | None = None


@dataclass(frozen=True, slots=True)
class Addressee:
    """The customer whom a subject names, and what time it is for them."""

    customer_id: UUID
    now: datetime


class _Attributes(msgspec.Struct):
    """What the headers of the binary mode carry, beside the data in the body."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    subscriptionid: UUID | None = None


_EVENT = msgspec.json.Decoder(CloudEvent, float_hook=read_fraction)
_DATA = msgspec.json.Decoder(dict[str, Any], float_hook=read_fraction)
_BATCH = msgspec.json.Decoder(list[msgspec.Raw])


def decode_structured(body: bytes) -> CloudEvent | Refusal:
    """Read a body that is one CloudEvent.

    Raises: NotJson.
    """
    check_json(body)
    return _decode(body, index=0)


def decode_cloud_batch(body: bytes, *, limit: int) -> list[CloudEvent | Refusal]:
    """Read a body that is an array of CloudEvents, each as far as it can be read.

    Raises: NotJson; NotABatch; TooManyEvents.
    """
    check_json(body)
    try:
        events = _BATCH.decode(body)
    except msgspec.ValidationError as error:
        raise NotABatch(f"The body is not an array of CloudEvents: {error}.") from None
    check_count(len(events), limit=limit)
    return [_decode(event, index=index) for index, event in enumerate(events)]


def decode_binary(headers: Mapping[str, str], body: bytes) -> CloudEvent | Refusal:
    """Read a CloudEvent whose attributes are headers, `ce-` before each, and whose data is the body.

    Raises: NotJson.
    """
    sent = {
        name: unquote(headers[f"ce-{name}"]) for name in ATTRIBUTES if headers.get(f"ce-{name}") is not None
    }
    try:
        attributes = msgspec.convert(sent, _Attributes, strict=False)
    except msgspec.ValidationError as error:
        return Refusal(0, sent.get("id"), RefusalCode.MALFORMED, f"{error}.")
    if not body:
        return CloudEvent(**msgspec.structs.asdict(attributes))
    check_json(body)
    data = decode_as(_DATA, body, index=0)
    if isinstance(data, Refusal):
        return Refusal(0, attributes.id[:MAX_ID_LENGTH], data.code, data.detail)
    return CloudEvent(**msgspec.structs.asdict(attributes), data=data)


def list_subjects(events: Sequence[CloudEvent | Refusal]) -> set[str]:
    """List the customers that events name."""
    return {event.subject for event in events if isinstance(event, CloudEvent) and event.subject}


def make_usage_events(
    events: Sequence[CloudEvent | Refusal], *, addressees: Mapping[str, Addressee]
) -> list[IncomingEvent | Refusal]:
    """Make usage events of CloudEvents; `addressees` are the customers whom their subjects name."""
    return [_read(event, index=index, addressees=addressees) for index, event in enumerate(events)]


def _decode(encoded: bytes | msgspec.Raw, *, index: int) -> CloudEvent | Refusal:
    decoded = decode_as(_EVENT, encoded, index=index)
    return decoded  # noqa: RET504 (with its name, the type checker sees what it is)


def _read(
    event: CloudEvent | Refusal, *, index: int, addressees: Mapping[str, Addressee]
) -> IncomingEvent | Refusal:
    if isinstance(event, Refusal):
        return event
    try:
        _check_attributes(event)
        addressee = addressees.get(event.subject or "")
        if addressee is None:
            detail = f"The subject {event.subject!r} is no customer's id and no customer's external_id."
            raise EventRefused(RefusalCode.UNKNOWN_CUSTOMER, detail)
        sent = SentEvent(
            id=f"{event.source}#{event.id}",
            event_type=event.type,
            customer_id=addressee.customer_id,
            timestamp=event.time or "",
            subscription_id=event.subscriptionid,
            properties=event.data or {},
        )
        timestamp = addressee.now if event.time is None else read_timestamp(event.time)
        return check_event(sent, timestamp=timestamp, index=index, is_stamped=event.time is not None)
    except EventRefused as refused:
        return Refusal(index, f"{event.source}#{event.id}"[:MAX_ID_LENGTH], refused.code, refused.detail)


def _check_attributes(event: CloudEvent) -> None:
    """Check what makes a CloudEvent one that can be metered.

    Raises: EventRefused.
    """
    if event.specversion != SPEC_VERSION:
        detail = f"The specversion must be {SPEC_VERSION}, not {event.specversion!r}."
        raise EventRefused(RefusalCode.MALFORMED, detail)
    if not event.id or not event.source:
        raise EventRefused(RefusalCode.MALFORMED, "The id and the source of a CloudEvent cannot be empty.")
    if not event.subject:
        raise EventRefused(RefusalCode.MALFORMED, "The subject must name the customer.")
    if event.data_base64 is not None or not is_json(event.datacontenttype):
        raise EventRefused(RefusalCode.MALFORMED, "The data must be JSON: an object with the properties.")


def is_json(content_type: str | None) -> bool:
    """Tell whether data of a type is JSON; without a type it is."""
    if content_type is None:
        return True
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in _JSON_TYPES or media_type.endswith("+json")
