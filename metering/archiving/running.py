"""Archiving from the beginning to the end, or from wherever a crash has left it.

Between any two of these steps, whoever comes next can go on: the archive is begun; its file and its manifest
are on disk; they are found to be right, which is recorded; the events are removed, a few at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path

from django.db import connection

from billing_project.core.actors import Actor
from billing_project.core.contention import try_again
from billing_project.core.errors import Conflict
from billing_project.core.snapshots import reading_snapshot
from metering.archiving import parquet
from metering.archiving.files import check_hash, hash_file, iterate_events, write_events, write_manifest
from metering.archiving.operations import WrittenArchive, begin_archive, record_verified, remove_rows
from metering.archiving.queries import list_rules
from metering.archiving.reading import iterate_archivable_rows
from metering.archiving.role import check_archiver
from metering.archiving.rows import ArchivedRow
from metering.archiving.sums import sum_up, write_sums
from metering.archiving.verifying import CountedSegment, find_mismatches, recount_file
from metering.models import ArchiveFormat, ArchiveStatus, EventArchive
from metering.queries.archives import find_unfinished_archive

# Ingest for the customer waits while they are moved: a fraction of a second.
ROWS_PER_REMOVAL = 5_000
# The two numbers of the advisory lock, so that no other use of such locks meets it.
ARCHIVING_SPACE, ARCHIVING = 0xA2C1, 0


class ArchivingUnderWay(Conflict):
    """Somebody else is archiving just now."""

    code = "archiving_under_way"


class UsageDoesNotAddUp(Conflict):
    """What is to be archived does not add up to the rollups. Nothing was removed."""

    code = "usage_does_not_add_up"


@contextmanager
def archiving_alone() -> Iterator[None]:
    """Keep others from archiving at the same time; the lock goes with the connection, whatever happens.

    Raises: ArchivingUnderWay.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [ARCHIVING_SPACE, ARCHIVING])
        (is_free,) = cursor.fetchone()
        if not is_free:
            raise ArchivingUnderWay("Another process is archiving events.")
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [ARCHIVING_SPACE, ARCHIVING])


def archive_next(
    *,
    ended_by: datetime,
    archive_format: ArchiveFormat,
    folder: Path,
    read_now: Callable[[], datetime],
    actor: Actor,
) -> EventArchive:
    """Go on with the archive that is unfinished, or begin the next one, and finish it.

    Raises: NothingToArchive; FillsUnderWay; ArchiverMissing; ExtraMissing; DamagedArchive;
    UsageDoesNotAddUp; ArchiveOutOfStep; Busy.
    """
    check_archiver()
    archive = find_unfinished_archive()
    if archive is None:
        if archive_format is ArchiveFormat.PARQUET:
            parquet.check_installed()
        archive = try_again(
            lambda: begin_archive(
                ended_by=ended_by, archive_format=archive_format, at=read_now(), actor=actor
            )
        )
    if archive.status == ArchiveStatus.WRITING:
        written = write_archive(archive, folder)
        archive = record_verified(archive_id=archive.pk, written=written, at=read_now(), actor=actor)
    return remove_archived(archive, folder=folder, read_now=read_now, actor=actor)


def write_archive(archive: EventArchive, folder: Path) -> WrittenArchive:
    """Write the files of an archive, read them back, and compare them with the rollups of the same moment.

    Raises: UsageDoesNotAddUp; DamagedArchive; ExtraMissing.
    """
    with reading_snapshot():  # Late events may be coming in meanwhile.
        return _write_and_compare(archive, path=folder / archive.file_name, folder=folder)


def _write_and_compare(archive: EventArchive, *, path: Path, folder: Path) -> WrittenArchive:
    manifest_path = folder / archive.manifest_name
    written_count = write_events(path, iterate_archivable_rows(archive), archive_format=archive.format)
    file_hash = hash_file(path)
    described, read_count = [], 0
    for segment in recount_file(archive, path):
        for mismatch in find_mismatches(segment, due=segment.accumulators):
            raise UsageDoesNotAddUp(f"{mismatch} Nothing was removed. Rebuild the rollups first.")
        described.append(_describe(segment))
        read_count += segment.event_count
    assert read_count == written_count, f"Of {written_count} events, {read_count} were read back."
    write_manifest(
        manifest_path,
        {
            "archive": archive.number,
            "format": archive.format,
            "ended_by": archive.ended_by,
            "file": {
                "name": archive.file_name,
                "sha256": file_hash,
                "bytes": path.stat().st_size,
                "event_count": read_count,
            },
            "segments": described,
        },
    )
    return WrittenArchive(
        file_hash=file_hash,
        file_bytes=path.stat().st_size,
        manifest_hash=hash_file(manifest_path),
        event_count=read_count,
    )


def remove_archived(
    archive: EventArchive, *, folder: Path, read_now: Callable[[], datetime], actor: Actor
) -> EventArchive:
    """Remove the events that a verified archive holds, from where it has been done.

    Raises: DamagedArchive; ArchiveOutOfStep; ArchiverMissing; Busy.
    """
    path = folder / archive.file_name
    check_hash(path, archive.file_hash)
    check_hash(folder / archive.manifest_name, archive.manifest_hash)
    rules = list_rules()
    rows = iterate_events(path, archive_format=archive.format)
    for removal in _part(islice(rows, archive.removed_count, None)):

        def remove(known: EventArchive = archive, removal: list[ArchivedRow] = removal) -> EventArchive:
            return remove_rows(
                archive_id=known.pk,
                removed_count=known.removed_count,
                rows=removal,
                rules=rules,
                at=read_now(),
                actor=actor,
            )

        archive = try_again(remove)
    return archive


def _part(rows: Iterator[ArchivedRow]) -> Iterator[list[ArchivedRow]]:
    """Part rows into removals, each of one customer."""
    removal: list[ArchivedRow] = []
    for row in rows:
        if removal and (row.customer_id != removal[0].customer_id or len(removal) == ROWS_PER_REMOVAL):
            yield removal
            removal = []
        removal.append(row)
    if removal:
        yield removal


def _describe(segment: CountedSegment) -> dict[str, object]:
    """Describe a segment in the manifest."""
    stretch, owner = segment.archived.segment, segment.archived.customer_id
    sums = {key.meter_id: found for key, found in sum_up(segment.accumulators).items()}
    return {
        "segment_id": stretch.pk,
        "period_id": stretch.period_id,
        "subscription_id": stretch.subscription_id,
        "customer_id": owner,
        "starts_at": stretch.starts_at,
        "ends_at": stretch.ends_at,
        "event_count": segment.event_count,
        "void_count": segment.void_count,
        "meters": write_sums(sums),
    }
