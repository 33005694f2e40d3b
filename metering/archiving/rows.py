"""An event as it is written into an archive: the columns of the table, under their names."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

import msgspec

from metering.models.events import ExactDecoder
from metering.recounting import CountedEvent


class DamagedArchive(ValueError):
    """The file is not what was written."""


class ArchivedRow(msgspec.Struct, frozen=True, gc=False):
    """An event, and whether it was taken back; `content_hash` is in hexadecimal."""

    uid: UUID
    customer_id: UUID
    event_id: str
    event_type: str
    subscription_id: UUID
    segment_id: UUID
    timestamp: datetime
    billed_at: datetime
    received_at: datetime
    is_late: bool
    is_void: bool
    content_hash: str
    properties: msgspec.Raw


COLUMNS = ArchivedRow.__struct_fields__


def iterate_counted(rows: Iterable[ArchivedRow]) -> Iterator[CountedEvent]:
    """Go through the events that count, as counting needs them."""
    for row in rows:
        if not row.is_void:
            yield CountedEvent(
                segment_id=row.segment_id,
                event_type=row.event_type,
                timestamp=row.timestamp,
                billed_at=row.billed_at,
                is_late=row.is_late,
                properties=json.loads(bytes(row.properties), cls=ExactDecoder),
            )
