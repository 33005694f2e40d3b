"""Reading archives: which segments are in one, what can be archived, and what an archive holds."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from billing_project.core.errors import Conflict, NotFound
from metering.models import (
    ArchivedEvent,
    ArchivedSegment,
    ArchiveStatus,
    EventArchive,
    LateUsage,
    UsageEvent,
)
from subscriptions.models import Segment

# So many periods are named that an event in an archive may be of.
NAMED_PERIODS = 5


class UsageArchived(Conflict):
    """The events are in an archive: what they came to stands as it is."""

    code = "usage_archived"


def is_archived(segment_ids: Collection[UUID]) -> bool:
    """Tell whether one of these segments is in an archive, be it that its file is still being written.

    Under the slot of the segment's subscription, the answer cannot become another.
    """
    return bool(segment_ids) and ArchivedSegment.objects.filter(segment_id__in=segment_ids).exists()


def check_not_archived(segment_ids: Collection[UUID]) -> None:
    """Check that nothing of these segments is in an archive.

    Raises: UsageArchived.
    """
    if not segment_ids:
        return
    found = ArchivedSegment.objects.filter(segment_id__in=segment_ids).select_related("archive").first()
    if found is not None:
        detail = (
            f"Events of segment {found.segment_id} are in {found.archive}: they cannot be changed any more, "
            f"and are counted by `verify_archive {found.archive.number}`."
        )
        raise UsageArchived(detail)


def check_events_not_archived(*, customer_id: UUID, event_ids: Collection[str]) -> None:
    """Check that none of these events is in an archive only.

    Raises: UsageArchived.
    """
    found = ArchivedEvent.objects.filter(customer_id=customer_id, event_id__in=event_ids).first()
    if found is not None:
        detail = f"Event {found.event_id!r} is in archive {found.archive_number}: it cannot be taken back."
        raise UsageArchived(detail)


def describe_archived_event(*, customer_id: UUID, event_id: str) -> str | None:
    """Say where the data of an event is that is in an archive only; None if there is no such event.

    In which of the customer's segments in the archive it is, is known from the file alone.
    """
    kept = ArchivedEvent.objects.filter(customer_id=customer_id, event_id=event_id).first()
    if kept is None:
        return None
    archive = get_archive(kept.archive_number)
    held = ArchivedSegment.objects.filter(archive=archive, customer_id=customer_id, event_count__gt=0)
    bounds = list(
        held.order_by("segment__period__starts_at")
        .values_list("segment__period__starts_at", "segment__period__ends_at")
        .distinct()[: NAMED_PERIODS + 1]
    )
    named = [f"{starts_at:%F} to {ends_at:%F}" for starts_at, ends_at in bounds[:NAMED_PERIODS]]
    periods = ", ".join(named) + (", and others" if len(bounds) > NAMED_PERIODS else "")
    return (
        f"Event {event_id!r} was archived: its data is in {archive.file_name} ({archive}), with the "
        f"customer's events of the {'period' if len(bounds) == 1 else 'periods'} {periods}. It is still "
        "billed as it was, and sent again, it is a duplicate."
    )


def select_unarchived(segments: QuerySet[Segment]) -> QuerySet[Segment]:
    """Leave out the segments that are in an archive: they are not counted anew."""
    return segments.filter(~Exists(ArchivedSegment.objects.filter(segment_id=OuterRef("pk"))))


def select_archivable(*, ended_by: datetime) -> QuerySet[Segment]:
    """Select segments with events whose periods ended by some time and are settled, customer by customer.

    Not those that wait for a late event to be billed, nor those that an unfinished archive holds already.
    """
    events = UsageEvent.objects.filter(
        customer_id=OuterRef("subscription__customer_id"), segment_id=OuterRef("pk")
    )
    unfinished = ArchivedSegment.objects.exclude(archive__status=ArchiveStatus.REMOVED)
    return (
        Segment.objects.filter(period__ends_at__lte=ended_by, period__settled_at__isnull=False)
        .exclude(Exists(LateUsage.objects.filter(period_id=OuterRef("period_id"))))
        .exclude(Exists(unfinished.filter(segment_id=OuterRef("pk"))))
        .filter(Exists(events))
        .select_related("subscription", "period")
        .order_by("subscription__customer_id", "pk")
    )


def find_unfinished_archive() -> EventArchive | None:
    """Find the archive that was begun and is not finished; there is one at most, unless two began at once."""
    return EventArchive.objects.exclude(status=ArchiveStatus.REMOVED).order_by("number").first()


def get_archive(number: int) -> EventArchive:
    """Return an archive by its number.

    Raises: NotFound.
    """
    archive = EventArchive.objects.filter(number=number).first()
    if archive is None:
        raise NotFound(f"There is no archive {number}.")
    return archive


def list_archived_segments(archive: EventArchive) -> list[ArchivedSegment]:
    """List the segments of an archive in the order of its file."""
    segments = ArchivedSegment.objects.filter(archive=archive)
    return list(
        segments.select_related("segment__subscription", "segment__period").order_by(
            "customer_id", "segment_id"
        )
    )
