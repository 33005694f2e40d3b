"""Reading what has come of imports."""

from uuid import UUID

from metering.importing.progress import Progress, Span
from metering.importing.records import Place
from metering.importing.sources import NO_HASH, FileIdentity
from metering.models import EventImport


def find_import(file: FileIdentity) -> EventImport | None:
    """Find the last import of a file; None if it has never been imported, or cannot be known again."""
    if file.content_hash == NO_HASH:
        return None
    same = EventImport.objects.filter(content_hash=file.content_hash, format=file.format)
    return same.order_by("-id").first()


def read_progress(row: EventImport) -> Progress:
    """Read how far an import is."""
    spans = [
        Span(Place(*places[:2]), Place(*places[2:]), chunk_count, tuple(done))
        for *places, chunk_count, done in row.spans
    ]
    return Progress(Place(row.position, row.line), spans)


def get_import(import_id: UUID) -> EventImport:
    """Return an import as it is now."""
    return EventImport.objects.get(pk=import_id)
