"""Notes on events that were sent and not stored."""

from datetime import timedelta

import msgspec
import pytest

from metering.ingest.decoding import decode_batch
from metering.models import IngestNote
from metering.operations import delete_old_notes, ingest_events, ingest_many_events
from metering.operations import notes as subject
from tests.factories.core import NOON
from tests.factories.metering import decode, ingest, make_metered_plan, write_event
from tests.factories.subscriptions import subscribe

pytestmark = pytest.mark.django_db


def read_notes() -> list[tuple[str, str]]:
    return list(IngestNote.objects.order_by("pk").values_list("code", "event_id"))


class TestNoteIngest:
    def test_keeps_what_was_sent_and_why_it_was_not_stored(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription, id="bad", properties={"input_tokens": -1})

        ingest(event)

        (note,) = IngestNote.objects.all()
        assert (note.code, note.event_id, note.event_type) == ("invalid_value", "bad", "llm.completion")
        assert (note.customer_id, note.noted_at, note.timestamp) == (subscription.customer_id, NOON, NOON)
        assert note.properties == '{"input_tokens":-1}'
        assert note.detail == "The property 'input_tokens' is negative."

    def test_keeps_repeats_and_conflicts_but_not_what_was_stored(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        event = write_event(subscription, id="one")
        ingest(event)
        assert read_notes() == []

        ingest(event, {**event, "properties": {}}, write_event(subscription, id="two"))

        assert read_notes() == [("conflict", "one"), ("duplicate", "one")]

    def test_keeps_what_could_not_be_read(self) -> None:
        events = decode_batch(msgspec.json.encode({"events": [{"id": "odd"}, 1]}), limit=10)

        ingest_events(events=events, at=NOON)

        assert read_notes() == [("malformed", "odd"), ("malformed", "")]
        assert set(IngestNote.objects.values_list("customer_id", flat=True)) == {None}

    def test_keeps_the_first_of_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subject, "MAX_NOTES_PER_REQUEST", 3)
        subscription = subscribe(plan=make_metered_plan())
        repeated = write_event(subscription, id="again")
        ingest(repeated)

        ingest(
            repeated,
            *[write_event(subscription, id=f"{n}", timestamp="2030-01-01T00:00:00Z") for n in range(9)],
        )

        assert read_notes() == [("timestamp_in_future", number) for number in "012"]

    def test_leaves_imports_to_their_own_report(self) -> None:
        ingest_many_events(
            events=decode(write_event(subscribe(plan=make_metered_plan()), properties={"input_tokens": "x"})),
            at=NOON,
        )

        assert read_notes() == []


class TestDeleteOldNotes:
    def test_deletes_those_of_more_than_a_week(self) -> None:
        for days in (8, 6):
            IngestNote.objects.create(noted_at=NOON - timedelta(days=days), code=f"{days}")

        assert [delete_old_notes(at=NOON), delete_old_notes(at=NOON)] == [1, 0]
        assert read_notes() == [("6", "")]

    def test_deletes_the_oldest_of_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subject, "MAX_NOTES", 2)
        for number in range(5):
            IngestNote.objects.create(noted_at=NOON, code=f"{number}")

        assert [delete_old_notes(at=NOON), delete_old_notes(at=NOON)] == [3, 0]
        assert read_notes() == [("3", ""), ("4", "")]

    def test_deletes_a_bounded_number_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subject, "DELETED_AT_ONCE", 2)
        for _ in range(3):
            IngestNote.objects.create(noted_at=NOON - timedelta(days=8), code="old")

        assert [delete_old_notes(at=NOON) for _ in range(3)] == [2, 1, 0]
