"""Comparing the file of an archive with the rollups: before its events are removed, and ever after."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from metering.aggregation.accumulator import Accumulator
from metering.archiving.files import check_hash, iterate_events
from metering.archiving.queries import list_rules, read_removed_sums
from metering.archiving.rows import ArchivedRow, DamagedArchive, iterate_counted
from metering.archiving.sums import (
    NOTHING,
    Difference,
    SegmentMeter,
    add_sums,
    find_differences,
    read_sums,
    sum_up,
)
from metering.models import ArchivedSegment, ArchiveStatus, EventArchive
from metering.queries.archives import list_archived_segments
from metering.queries.corrections import read_charged
from metering.recounting import RollupKey, iterate_counted_events, read_rolled_up, recount


class CountedSegment(NamedTuple):
    """A segment of an archive, and what its events in the file come to."""

    archived: ArchivedSegment
    charged: Collection[UUID]
    event_count: int
    void_count: int
    accumulators: Mapping[RollupKey, Accumulator]


class _Tally:
    """Counts rows that pass by."""

    def __init__(self) -> None:
        self.event_count = 0
        self.void_count = 0

    def watch(self, rows: Iterable[ArchivedRow]) -> Iterator[ArchivedRow]:
        """Hand the rows on."""
        for row in rows:
            self.event_count += 1
            self.void_count += row.is_void
            yield row


def recount_file(archive: EventArchive, path: Path) -> Iterator[CountedSegment]:
    """Count what a file holds, segment by segment.

    Raises: DamagedArchive.
    """
    segments = {one.segment_id: one for one in list_archived_segments(archive)}
    charged = read_charged(one.segment for one in segments.values())
    rules = list_rules()
    rows = iterate_events(path, archive_format=archive.format)
    for segment_id, own in groupby(rows, key=attrgetter("segment_id")):
        segment = segments.pop(segment_id, None)
        if segment is None:
            raise DamagedArchive(f"{path.name} has events of {segment_id} where they do not belong.")
        tally = _Tally()
        timezones = {segment_id: segment.segment.period.timezone}
        found = recount(iterate_counted(tally.watch(own)), rules=rules, timezones=timezones)
        yield CountedSegment(segment, charged[segment_id], tally.event_count, tally.void_count, found)


def find_mismatches(segment: CountedSegment, *, due: Mapping[RollupKey, Accumulator]) -> Iterator[str]:
    """Find where the rollups of a segment are not what events come to, and what other archives have of it.

    Of those only the sums are known; where there are such, sums are compared, and otherwise each hour.
    """
    archived, charged = segment.archived, segment.charged
    kept = read_rolled_up(customer_id=archived.customer_id, segment_id=archived.segment_id)
    others = read_removed_sums([archived.segment_id], beside=archived.archive_id)
    if not others:
        yield from map(_tell, find_differences(kept, due, is_charged=lambda key: key.meter_id in charged))
        return
    sums = add_sums(sum_up(due), others)
    differences = find_differences(sum_up(kept), sums, is_charged=lambda key: key.meter_id in charged)
    yield from map(_tell, differences)


def _tell(difference: Difference[Any]) -> str:
    key, has, owes = difference
    return (
        f"Segment {key.segment_id}, meter {key.meter_id}: {owes.event_count} events come to {owes.total}, "
        f"but are rolled up as {has.event_count} of {has.total}."
    )


def verify_archive(archive: EventArchive, folder: Path) -> Iterator[str]:
    """Find what is wrong with an archive: its files are others, or do not add up to the usage.

    As long as its events are not all removed, only the files are looked at.

    Raises: DamagedArchive.
    """
    path = folder / archive.file_name
    check_hash(path, archive.file_hash)
    check_hash(folder / archive.manifest_name, archive.manifest_hash)
    event_count = 0
    for segment in recount_file(archive, path):
        event_count += segment.event_count
        if archive.status == ArchiveStatus.REMOVED:
            yield from _verify_segment(segment)
    if event_count != archive.event_count:
        yield f"{path.name} has {event_count} events, not {archive.event_count}."


def _verify_segment(segment: CountedSegment) -> Iterator[str]:
    """Compare a segment with what was noted when its events were removed, and with the rollups."""
    archived = segment.archived
    if segment.event_count != archived.event_count:
        yield f"Segment {archived.segment_id} has {segment.event_count} events, not {archived.event_count}."
    in_file, noted = sum_up(segment.accumulators), read_sums(archived.sums)
    for meter_id in sorted(segment.charged):
        found = in_file.get(SegmentMeter(archived.segment_id, meter_id), NOTHING)
        if found != noted.get(meter_id, NOTHING):
            yield f"Segment {archived.segment_id}, meter {meter_id}: the sums that were noted are others."
    yield from find_mismatches(segment, due=_add_late_events(segment))


def _add_late_events(segment: CountedSegment) -> Mapping[RollupKey, Accumulator]:
    """Add what has come since, as it can after a subscription's end."""
    archived = segment.archived
    due = recount(
        iterate_counted_events(customer_id=archived.customer_id, segment_id=archived.segment_id),
        rules=list_rules(),
        timezones={archived.segment_id: archived.segment.period.timezone},
    )
    for key, found in segment.accumulators.items():
        due.setdefault(key, Accumulator()).merge(found)
    return due
