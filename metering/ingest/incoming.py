"""What ingest is about: an event as it was sent, and why one is refused."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class RefusalCode(StrEnum):
    """Why an event is not accepted."""

    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    UNKNOWN_CUSTOMER = "unknown_customer"
    CUSTOMER_CLOSED = "customer_closed"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    UNKNOWN_SUBSCRIPTION = "unknown_subscription"
    AMBIGUOUS_SUBSCRIPTION = "ambiguous_subscription"
    SUBSCRIPTION_ENDED = "subscription_ended"
    INVALID_VALUE = "invalid_value"
    CONFLICT = "conflict"


class EventRefused(Exception):
    """One event cannot be accepted. It never leaves ingest: the batch goes on, and the report says so."""

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Refusal(msgspec.Struct, frozen=True):
    """What the report says of a refused event; `event_id` is None where not even that could be read."""

    index: int
    event_id: str | None
    code: RefusalCode
    detail: str


class IncomingEvent(msgspec.Struct, frozen=True, gc=False):
    """A well-formed event, at its place in the batch.

    `encoded_properties` is the canonical JSON of `properties`: equal properties are equal bytes.
    `content_hash` covers all that was sent but the id and the customer, which are the key under which it is
    looked up.
    """

    index: int
    event_id: str
    event_type: str
    customer_id: UUID
    subscription_id: UUID | None
    timestamp: datetime
    properties: Mapping[str, object]
    encoded_properties: bytes
    content_hash: bytes

    @property
    def key(self) -> tuple[UUID, str]:
        """Return what identifies the event for good."""
        return self.customer_id, self.event_id


class IngestReport(msgspec.Struct, frozen=True):
    """What became of a batch: each of its events is accepted, repeated or refused."""

    accepted: int
    repeated: tuple[IncomingEvent, ...]
    refusals: tuple[Refusal, ...]

    @property
    def duplicates(self) -> int:
        """Return how many events were stored already."""
        return len(self.repeated)

    @property
    def rejected(self) -> int:
        """Return how many events were refused."""
        return len(self.refusals)
