"""Operations on imports: the only code that stores how far one is, always together with the events."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from metering.importing.progress import Progress, Span, add_span
from metering.importing.queries import read_progress
from metering.importing.sources import FileIdentity
from metering.ingest.incoming import IncomingEvent, IngestReport, Refusal
from metering.models import EventImport
from metering.operations import ingest_many_events


@transaction.atomic
def start_import(*, file: FileIdentity, at: datetime, actor: Actor) -> EventImport:
    """Begin to import a file, from its start."""
    started = EventImport(
        name=file.name[: EventImport.NAME_LENGTH],
        format=file.format,
        content_hash=file.content_hash,
        size_bytes=file.size_bytes,
        started_at=at,
    )
    started.save(force_insert=True)
    changes = audit.made(started, "name", "format", "size_bytes")
    audit.record("event_import.started", subject=started, changes=changes, actor=actor, at=at)
    return started


@transaction.atomic
def import_chunk(
    *,
    import_id: UUID,
    span: Span,
    events: Sequence[IncomingEvent | Refusal],
    report: Callable[[Sequence[Refusal]], None],
    at: datetime,
) -> IngestReport:
    """Take the events of a chunk in, and store that it is done.

    `report` is told what is refused before the chunk counts as done, so that no refusal is lost; nothing is
    waited for after that.

    Raises: Busy if one of the customers subscribes at this very moment.
    Locks: slots (shared), the import.
    """
    taken = ingest_many_events(events=events, at=at)
    row = EventImport.objects.select_for_update(no_key=True).get(pk=import_id)
    _set_progress(row, add_span(read_progress(row), span))
    row.accepted_count += taken.accepted
    row.duplicate_count += taken.duplicates
    row.rejected_count += taken.rejected
    report(taken.refusals)
    row.save()
    return taken


@transaction.atomic
def finish_import(*, import_id: UUID, at: datetime, actor: Actor) -> EventImport:
    """Note that every record of the file is done.

    Locks: the import.
    """
    row = EventImport.objects.select_for_update(no_key=True).get(pk=import_id)
    assert not row.spans, "A file is done when nothing is left before its last chunk."
    changes = audit.set_fields(row, {"finished_at": at})
    row.save(update_fields=changes)
    counts = {
        name: (None, getattr(row, name)) for name in ("accepted_count", "duplicate_count", "rejected_count")
    }
    audit.record("event_import.finished", subject=row, changes={**changes, **counts}, actor=actor, at=at)
    return row


def _set_progress(row: EventImport, progress: Progress) -> None:
    row.position, row.line = progress.done_to
    row.spans = [
        [*span.starts_at, *span.ends_at, span.chunk_count, list(span.done)] for span in progress.spans
    ]
