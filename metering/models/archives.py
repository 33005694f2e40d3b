"""Archives: files into which the events of settled periods have moved, and what is kept of those events."""

from typing import TYPE_CHECKING

from django.db import models

from billing_project.core.fields import choice_constraint, enum_field, id_field
from billing_project.core.protection import frozen_when, frozen_with_parent
from subscriptions.models import Segment

if TYPE_CHECKING:
    from uuid import UUID


class ArchiveStatus(models.TextChoices):
    """How far an archive is: being written, on disk and read back, or all that there is of its events."""

    WRITING = "Writing", "Writing"
    VERIFIED = "Verified", "Verified"
    REMOVED = "Removed", "Removed"


class ArchiveFormat(models.TextChoices):
    """How the events are written down."""

    JSON_LINES = "JsonLines", "JSON lines, gzip"
    PARQUET = "Parquet", "Parquet"


class EventArchive(models.Model):
    """A file of events, and a manifest beside it. Both names are relative to the folder of archives.

    It holds the matched events, voided ones too, of whole segments of settled periods that ended by
    `ended_by`. `removed_count` is how many of them, in the order of the file, have been removed from the
    table of events; the rest is still in both. The hashes are SHA-256, in hexadecimal.
    """

    id = id_field()
    number = models.PositiveIntegerField(unique=True)
    status = enum_field(ArchiveStatus, default=ArchiveStatus.WRITING)
    format = enum_field(ArchiveFormat)
    ended_by = models.DateTimeField()
    file_name = models.CharField(max_length=100)
    file_hash = models.CharField(max_length=64, blank=True)
    file_bytes = models.BigIntegerField(null=True, blank=True)
    manifest_name = models.CharField(max_length=100)
    manifest_hash = models.CharField(max_length=64, blank=True)
    event_count = models.BigIntegerField(null=True, blank=True)
    removed_count = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            choice_constraint(table="eventarchive", field="status", choices=ArchiveStatus),
            choice_constraint(table="eventarchive", field="format", choices=ArchiveFormat),
            models.CheckConstraint(
                condition=models.Q(
                    status=ArchiveStatus.WRITING,
                    file_hash="",
                    manifest_hash="",
                    file_bytes__isnull=True,
                    event_count__isnull=True,
                    verified_at__isnull=True,
                    removed_count=0,
                )
                | (
                    ~models.Q(status=ArchiveStatus.WRITING)
                    & ~models.Q(file_hash="")
                    & ~models.Q(manifest_hash="")
                    & models.Q(file_bytes__isnull=False, event_count__isnull=False, verified_at__isnull=False)
                ),
                name="eventarchive_is_known_once_verified",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    status=ArchiveStatus.REMOVED,
                    removed_at__isnull=False,
                    removed_count=models.F("event_count"),
                )
                | (~models.Q(status=ArchiveStatus.REMOVED) & models.Q(removed_at__isnull=True)),
                name="eventarchive_is_removed_whole",
            ),
        ]
        triggers = [*frozen_when("OLD.status = 'Removed'", except_fields=[])]

    def __str__(self) -> str:
        return f"archive {self.number}"


class ArchivedSegment(models.Model):
    """A segment whose events an archive holds: from when it is begun, the segment takes no correction.

    `event_count` and `sums` are about the events that have been removed so far. `sums` maps each meter's id
    to what those that were not void add up to over all hours and groups: the part of `Accumulator` that can
    be added. A subscription that has ended may get late events into a segment that is archived already: then
    it may be in a later archive, too.
    """

    id = id_field()
    archive = models.ForeignKey(EventArchive, on_delete=models.PROTECT, related_name="segments")
    segment = models.ForeignKey(Segment, on_delete=models.PROTECT, related_name="archives")
    customer_id = models.UUIDField()
    event_count = models.BigIntegerField(default=0)
    sums = models.JSONField(default=dict)

    if TYPE_CHECKING:
        archive_id: UUID
        segment_id: UUID

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["archive", "segment"], name="archivedsegment_is_once_in_an_archive"
            ),
        ]
        triggers = [
            *frozen_with_parent(
                table="metering_eventarchive", link="archive_id", condition="parent.status = 'Removed'"
            )
        ]

    def __str__(self) -> str:
        return f"segment {self.segment_id} in {self.archive_id}"


class ArchivedEvent(models.Model):
    """What is kept of an event that is in an archive only, so that its id never counts again.

    Hash-partitioned like the events, with the same key, and append-only: the migration makes it by hand.
    """

    pk = models.CompositePrimaryKey("customer_id", "event_id")
    customer_id = models.UUIDField()
    archive_number = models.IntegerField()
    event_id = models.CharField(max_length=255)
    content_hash = models.BinaryField(max_length=16)

    class Meta:
        managed = False
        db_table = "metering_archivedevent"

    def __str__(self) -> str:
        return self.event_id
