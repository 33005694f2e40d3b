"""Reading the events that an archive is to hold, segment by segment, from the table."""

from collections.abc import Iterator

import msgspec
from django.db import connection

from metering.archiving.rows import COLUMNS, ArchivedRow
from metering.models import ArchivedSegment, EventArchive
from metering.queries.archives import list_archived_segments

ROWS_PER_READ = 2_000

# The texts of properties are as the database has them: no number goes through a float.
SEGMENT_EVENTS = """
    SELECT
        event.uid, event.customer_id, event.event_id, event.event_type, event.subscription_id,
        event.segment_id, event."timestamp", event.billed_at, event.received_at, event.is_late,
        EXISTS (
            SELECT 1 FROM metering_eventvoid AS void
            WHERE void.customer_id = event.customer_id AND void.event_id = event.event_id
        ) AS is_void,
        encode(event.content_hash, 'hex') AS content_hash, event.properties::text AS properties
    FROM metering_usageevent AS event
    WHERE event.customer_id = %(customer_id)s AND event.segment_id = %(segment_id)s
    ORDER BY event.billed_at, event.event_id
"""


def iterate_archivable_rows(archive: EventArchive) -> Iterator[ArchivedRow]:
    """Read what belongs into an archive, within a transaction, a few events at a time."""
    for segment in list_archived_segments(archive):
        yield from _iterate_rows(segment)


def _iterate_rows(segment: ArchivedSegment) -> Iterator[ArchivedRow]:
    parameters = {"customer_id": segment.customer_id, "segment_id": segment.segment_id}
    with connection.chunked_cursor() as cursor:
        cursor.execute(SEGMENT_EVENTS, parameters)
        while rows := cursor.fetchmany(ROWS_PER_READ):
            for row in rows:
                values = dict(zip(COLUMNS, row, strict=True))
                values["properties"] = msgspec.Raw(values["properties"].encode())
                yield ArchivedRow(**values)
