"""Operations on archives: the only code that begins one, says what is in it, and removes what it holds.

An event's id is unique for its customer, whatever subscription it is for. So whoever moves events of a
customer keeps away every batch that might hold one of them, under whatever name: by the slots of the
customer and of all its subscriptions, and by the customer's lock, which keeps further ones from being made.
Else a batch that waits for the row to be deleted would go on to insert it once more.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Busy, Conflict
from billing_project.core.sequences import take_number
from customers.locks import lock_customer
from metering.aggregation.rules import MeterRule
from metering.archiving.files import FORMATS, MANIFEST_SUFFIX
from metering.archiving.role import acting_as_archiver
from metering.archiving.rows import ArchivedRow, iterate_counted
from metering.archiving.sums import SegmentMeter, add_sums, read_sums, sum_up, write_sums
from metering.models import (
    ArchivedSegment,
    ArchiveFormat,
    ArchiveStatus,
    EventArchive,
    FillStatus,
    MeterFill,
    UsageEvent,
)
from metering.queries.archives import select_archivable
from metering.recounting import read_timezones, recount
from metering.states import ARCHIVE_TRANSITIONS
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Segment, Subscription

# About so many events make a file; a segment with more is a file of its own.
EVENTS_PER_ARCHIVE = 500_000
SEGMENTS_PER_ARCHIVE = 5_000
SEQUENCE = "event_archive"

KEEP_IDS = """
    INSERT INTO metering_archivedevent (customer_id, archive_number, event_id, content_hash)
    SELECT event.customer_id, %(number)s, event.event_id, event.content_hash
    FROM unnest(%(event_ids)s::text[], %(uids)s::uuid[], %(hashes)s::text[])
        AS written (event_id, uid, content_hash)
    JOIN metering_usageevent AS event
        ON event.customer_id = %(customer_id)s AND event.event_id = written.event_id
    WHERE event.uid = written.uid AND event.content_hash = decode(written.content_hash, 'hex')
    AND event.segment_id = ANY(%(segment_ids)s::uuid[])
"""

REMOVE_EVENTS = """
    DELETE FROM metering_usageevent AS event
    USING unnest(%(event_ids)s::text[]) AS written (event_id)
    WHERE event.customer_id = %(customer_id)s AND event.event_id = written.event_id
"""


class NothingToArchive(Conflict):
    """No settled period that ended by then has events."""

    code = "nothing_to_archive"


class FillsUnderWay(Conflict):
    """A meter is still being filled from stored events, which have to stay until then."""

    code = "fills_under_way"


class ArchiveOutOfStep(Conflict):
    """The archive is further, or not as far, as the caller believed."""

    code = "archive_out_of_step"


class WrittenArchive(NamedTuple):
    """What was found in the files, read back from the disk."""

    file_hash: str
    file_bytes: int
    manifest_hash: str
    event_count: int


@transaction.atomic
def begin_archive(
    *, ended_by: datetime, archive_format: ArchiveFormat, at: datetime, actor: Actor
) -> EventArchive:
    """Choose the segments of the next archive. From now on, they take no correction, and are not recounted.

    Raises: NothingToArchive; FillsUnderWay.
    Locks: slots (exclusive), number sequence.
    """
    chosen = _choose(ended_by=ended_by)
    lock_slots_exclusive({segment.subscription_id for segment in chosen})
    # From here on, no fill counts anything in these segments, so one that is half through is seen.
    if MeterFill.objects.exclude(status=FillStatus.COMPLETED).exists():
        raise FillsUnderWay("A meter is being filled from stored events. Archive when that is done.")
    archivable = select_archivable(ended_by=ended_by).filter(pk__in=[segment.pk for segment in chosen])
    segments = list(archivable)
    if not segments:
        raise NothingToArchive(f"No settled period that ended by {ended_by:%F %H:%M %Z} has events.")
    number = take_number(SEQUENCE)
    archive = EventArchive.objects.create(
        number=number,
        format=archive_format,
        ended_by=ended_by,
        file_name=f"events-{number:06}{FORMATS[archive_format].suffix}",
        manifest_name=f"events-{number:06}{MANIFEST_SUFFIX}",
        created_at=at,
    )
    ArchivedSegment.objects.bulk_create(
        [
            ArchivedSegment(archive=archive, segment=segment, customer_id=segment.subscription.customer_id)
            for segment in segments
        ],
        batch_size=1_000,
    )
    changes = audit.made(archive, "number", "status", "format", "ended_by")
    audit.record("event_archive.begun", subject=archive, changes=changes, actor=actor, at=at)
    return archive


@transaction.atomic
def record_verified(*, archive_id: UUID, written: WrittenArchive, at: datetime, actor: Actor) -> EventArchive:
    """Note that an archive's file is on disk, and says what it should.

    Raises: ArchiveOutOfStep.
    Locks: archive.
    """
    archive = _lock(archive_id)
    if archive.status != ArchiveStatus.WRITING:
        raise ArchiveOutOfStep(f"Somebody else has just written {archive}.")
    values = {"status": ArchiveStatus.VERIFIED, "verified_at": at, **written._asdict()}
    _change(archive, values, action="event_archive.verified", at=at, actor=actor)
    return archive


@transaction.atomic
def remove_rows(
    *,
    archive_id: UUID,
    removed_count: int,
    rows: Sequence[ArchivedRow],
    rules: Mapping[str, Sequence[MeterRule]],
    at: datetime,
    actor: Actor,
) -> EventArchive:
    """Remove events of one customer that a verified archive holds, and keep their ids.

    `rows` are those that follow the first `removed_count` in the file.

    Raises: ArchiveOutOfStep; ArchiverMissing; Busy if the customer subscribes at this moment.
    Locks: slots (exclusive), customer, archive.
    """
    (customer_id,) = {row.customer_id for row in rows}
    timezones = read_timezones({row.segment_id for row in rows})
    removed = sum_up(recount(iterate_counted(rows), rules=rules, timezones=timezones))
    _lock_usage(customer_id)
    archive = _lock(archive_id)
    if archive.status != ArchiveStatus.VERIFIED or archive.removed_count != removed_count:
        raise ArchiveOutOfStep(f"Somebody else is removing what {archive} holds.")
    _move(archive, customer_id=customer_id, rows=rows)

    counts: defaultdict[UUID, int] = defaultdict(int)
    for row in rows:
        counts[row.segment_id] += 1
    for segment in ArchivedSegment.objects.filter(archive=archive, segment_id__in=counts):
        before = {
            SegmentMeter(segment.segment_id, meter_id): found
            for meter_id, found in read_sums(segment.sums).items()
        }
        own = {key: found for key, found in removed.items() if key.segment_id == segment.segment_id}
        segment.sums = write_sums({key.meter_id: found for key, found in add_sums(before, own).items()})
        segment.event_count += counts[segment.segment_id]
        segment.save(update_fields=["sums", "event_count"])
    archive.removed_count += len(rows)
    if archive.removed_count < (archive.event_count or 0):
        archive.save(update_fields=["removed_count"])
    else:
        values = {"status": ArchiveStatus.REMOVED, "removed_at": at}
        _change(archive, values, "removed_count", action="event_archive.removed", at=at, actor=actor)
    return archive


def _choose(*, ended_by: datetime) -> list[Segment]:
    """Choose as many segments as make a file."""
    candidates = list(select_archivable(ended_by=ended_by)[:SEGMENTS_PER_ARCHIVE])
    counts = dict(
        UsageEvent.objects.filter(
            customer_id__in={segment.subscription.customer_id for segment in candidates},
            segment_id__in=[segment.pk for segment in candidates],
        )
        .values_list("segment_id")
        .annotate(event_count=Count("*"))
    )
    chosen: list[Segment] = []
    event_count = 0
    for segment in candidates:
        event_count += counts.get(segment.pk, 0)
        if chosen and event_count > EVENTS_PER_ARCHIVE:
            break
        chosen.append(segment)
    return chosen


def _lock_usage(customer_id: UUID) -> None:
    """Keep away every batch that may hold an event of a customer.

    Raises: Busy if the customer has just subscribed.
    Locks: slots (exclusive), customer.
    """
    subscriptions = Subscription.objects.filter(customer_id=customer_id).values_list("pk", flat=True)
    known = {customer_id, *subscriptions}
    lock_slots_exclusive(known)
    lock_customer(customer_id)
    if not known.issuperset(subscriptions.all()):
        raise Busy("The customer has just subscribed. Try again.")


def _move(archive: EventArchive, *, customer_id: UUID, rows: Sequence[ArchivedRow]) -> None:
    """Put the ids of events in the place of the events.

    Raises: ArchiveOutOfStep if they are not what the file says; ArchiverMissing.
    """
    parameters: dict[str, Any] = {
        "number": archive.number,
        "customer_id": customer_id,
        "event_ids": [row.event_id for row in rows],
        "uids": [row.uid for row in rows],
        "hashes": [row.content_hash for row in rows],
        "segment_ids": list({row.segment_id for row in rows}),
    }
    with connection.cursor() as cursor:
        cursor.execute(KEEP_IDS, parameters)
        kept_count = cursor.rowcount
        with acting_as_archiver():
            cursor.execute(REMOVE_EVENTS, parameters)
            removed_count = cursor.rowcount
    if not kept_count == removed_count == len(rows):
        detail = f"Of {len(rows)} events in {archive}, {kept_count} are stored as they are there."
        raise ArchiveOutOfStep(detail)


def _lock(archive_id: UUID) -> EventArchive:
    return EventArchive.objects.select_for_update(of=("self",), no_key=True).get(pk=archive_id)


def _change(
    archive: EventArchive,
    values: dict[str, object],
    *also: str,
    action: str,
    at: datetime,
    actor: Actor,
) -> None:
    """Change an archive, and save some fields that have been changed before, too."""
    moves = ARCHIVE_TRANSITIONS[ArchiveStatus(archive.status)]
    assert values["status"] in moves, f"{archive} is {archive.status}."
    changes = audit.set_fields(archive, values)
    archive.save(update_fields=[*changes, *also])
    audit.record(action, subject=archive, changes=changes, actor=actor, at=at)
