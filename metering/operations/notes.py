"""Notes on events that were sent and not stored. They are bounded: in age, in number, and by request."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from metering.ingest.incoming import IncomingEvent, IngestReport, Refusal
from metering.models import IngestNote

KEPT_FOR = timedelta(days=7)
MAX_NOTES = 200_000
MAX_NOTES_PER_REQUEST = 100
MAX_PROPERTIES_LENGTH = 2_000
DUPLICATE = "duplicate"
DELETED_AT_ONCE = 10_000


@transaction.atomic
def note_ingest(*, events: Sequence[IncomingEvent | Refusal], report: IngestReport, at: datetime) -> None:
    """Keep what became of the events of a request that were not stored, the first hundred of them."""
    by_index = {event.index: event for event in events if isinstance(event, IncomingEvent)}
    notes = [
        _describe(by_index.get(refusal.index), refusal, at=at)
        for refusal in report.refusals[:MAX_NOTES_PER_REQUEST]
    ]
    left = MAX_NOTES_PER_REQUEST - len(notes)
    notes += [_describe(event, None, at=at) for event in report.repeated[:left]]
    if notes:
        IngestNote.objects.bulk_create(notes)


@transaction.atomic
def delete_old_notes(*, at: datetime) -> int:
    """Delete some notes that are too old or too many, and return how many; call it until it returns 0."""
    newest_to_go = (
        IngestNote.objects.order_by("-pk").values_list("pk", flat=True)[MAX_NOTES : MAX_NOTES + 1].first()
    )
    old = IngestNote.objects.filter(noted_at__lt=at - KEPT_FOR)
    if newest_to_go is not None:
        old = IngestNote.objects.filter(pk__lte=newest_to_go) | old
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:DELETED_AT_ONCE])
    count, _ = IngestNote.objects.filter(pk__in=ids).delete()
    return count


def _describe(event: IncomingEvent | None, refusal: Refusal | None, *, at: datetime) -> IngestNote:
    note = IngestNote(noted_at=at, code=DUPLICATE, detail="It was stored before.")
    if event is not None:
        note.customer_id = event.customer_id
        note.event_id = event.event_id
        note.event_type = event.event_type
        note.timestamp = event.timestamp
        note.properties = event.encoded_properties.decode()[:MAX_PROPERTIES_LENGTH]
    if refusal is not None:
        note.code = refusal.code.value
        note.detail = refusal.detail
        note.event_id = (refusal.event_id or "").replace("\x00", "")
    return note
