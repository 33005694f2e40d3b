"""The hand-over of events to their handlers."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction

from billing_project.core import events
from billing_project.core.errors import NotFound
from billing_project.core.events import StoredEvent, emit
from billing_project.core.ids import make_id
from billing_project.core.models import (
    AuditEntry,
    DeliveryStatus,
    NumberSequence,
    OutboxDelivery,
    OutboxEvent,
)
from billing_project.core.outbox import (
    LEASE,
    MAX_ATTEMPTS,
    DeliveryNotParked,
    claim_due,
    deliver_due,
    hand_over,
    retry_delay,
    retry_delivery,
    skip_delivery,
)
from billing_project.core.sequences import take_number
from tests.factories.core import LONG_AFTER, TESTER, drain_outbox, subscribed
from tests.operations.core.test_events import InvoiceMade

pytestmark = pytest.mark.django_db

AT = LONG_AFTER
A, B = make_id(), make_id()


class Recorder:
    """A handler that notes what it was given, and fails for what it is told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[UUID, int]] = []
        self.failing: set[UUID] = set()
        self.failure: BaseException = ValueError("no, with bsk_test_secret")

    def __call__(self, event: StoredEvent) -> None:
        self.seen.append((event.subject_id, int(str(event.payload["total_nanos"]))))
        take_number("handled")
        if event.subject_id in self.failing:
            raise self.failure

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.seen]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    handler = Recorder()
    with subscribed("invoice.made", handler, key="recorder"):
        yield handler


@pytest.fixture
def make_event() -> Callable[..., OutboxEvent]:
    def make(subject_id: UUID, number: int) -> OutboxEvent:
        return emit(InvoiceMade(subject_id, number), at=AT)

    return make


def handled_count() -> int:
    return sum(row.last_number for row in NumberSequence.objects.filter(series="handled"))


class TestDeliverDue:
    def test_hands_over_what_the_event_says(self, make_event: Callable[..., OutboxEvent]) -> None:
        received: list[StoredEvent] = []
        with subscribed("invoice.made", received.append, key="other"):
            event = make_event(A, 7)
            assert deliver_due(at=AT) == 1

        assert received == [
            StoredEvent(
                id=event.id,
                position=event.position,
                name="invoice.made",
                subject_type="invoice",
                subject_id=A,
                customer_id=UUID(int=1),
                payload={"invoice_id": str(A), "total_nanos": "7"},
                occurred_at=AT,
            )
        ]

    def test_marks_what_is_done(self, recorder: Recorder, make_event: Callable[..., OutboxEvent]) -> None:
        make_event(A, 1)

        assert deliver_due(at=AT) == 1
        assert deliver_due(at=AT + LEASE * 2) == 0

        row = OutboxDelivery.objects.get()
        assert (row.status, row.delivered_at, row.attempt_count) == (DeliveryStatus.DELIVERED, AT, 1)
        assert recorder.numbers == [1]

    def test_keeps_the_order_of_a_subject(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        for number in range(1, 4):
            make_event(A, number)

        assert [deliver_due(at=AT) for _ in range(4)] == [1, 1, 1, 0]
        assert recorder.numbers == [1, 2, 3]

    def test_takes_many_subjects_at_once(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        for number in range(5):
            make_event(make_id(), number)

        assert deliver_due(at=AT, limit=3) == 3
        assert deliver_due(at=AT, limit=3) == 2

    def test_holds_back_only_the_subject_that_fails(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        recorder.failing = {A}
        make_event(A, 1)
        make_event(A, 2)
        make_event(B, 3)
        make_event(B, 4)

        while deliver_due(at=AT):
            pass

        assert recorder.seen == [(A, 1), (B, 3), (B, 4)]
        recorder.failing = set()
        drain_outbox(at=AT + timedelta(seconds=1))
        assert recorder.numbers[3:] == [1, 2]

    def test_holds_back_only_the_handler_that_fails(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        other: list[StoredEvent] = []
        recorder.failing = {A}
        events.subscribe("invoice.made", other.append, key="other")
        make_event(A, 1)
        make_event(A, 2)

        while deliver_due(at=AT):
            pass

        assert recorder.numbers == [1]
        assert [event.payload["total_nanos"] for event in other] == ["1", "2"]

    def test_undoes_what_a_failing_handler_did(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        recorder.failing = {A}
        make_event(A, 1)

        deliver_due(at=AT)

        assert recorder.numbers == [1]
        assert handled_count() == 0

    def test_tries_again_later_and_notes_why_without_secrets(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        recorder.failing = {A}
        make_event(A, 1)

        deliver_due(at=AT)

        row = OutboxDelivery.objects.get()
        assert (row.status, row.due_at) == (DeliveryStatus.PENDING, AT + timedelta(seconds=1))
        assert row.last_error == "ValueError: no, with bsk_test_[redacted]"
        assert deliver_due(at=AT + timedelta(milliseconds=999)) == 0
        assert deliver_due(at=AT + timedelta(seconds=1)) == 1

    def test_parks_after_the_last_attempt_and_holds_back_the_subject(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        recorder.failing = {A}
        make_event(A, 1)
        make_event(A, 2)
        at = AT
        for _ in range(MAX_ATTEMPTS):
            assert deliver_due(at=at) == 1
            at += timedelta(hours=1)

        assert deliver_due(at=at) == 0
        assert recorder.numbers == [1] * MAX_ATTEMPTS
        statuses = OutboxDelivery.objects.order_by("id").values_list("status", flat=True)
        assert list(statuses) == [DeliveryStatus.PARKED, DeliveryStatus.PENDING]

    def test_fails_a_delivery_whose_handler_is_gone(self, make_event: Callable[..., OutboxEvent]) -> None:
        with subscribed("invoice.made", Recorder(), key="gone"):
            make_event(A, 1)

        deliver_due(at=AT)

        assert OutboxDelivery.objects.get().last_error == (
            "HandlerMissing: No handler is subscribed to invoice.made as gone."
        )

    def test_lets_a_crash_cost_a_lease_and_no_event(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        recorder.failing = {A}
        recorder.failure = KeyboardInterrupt()
        make_event(A, 1)
        with pytest.raises(KeyboardInterrupt):
            deliver_due(at=AT)
        recorder.failing = set()

        assert deliver_due(at=AT + LEASE - timedelta(seconds=1)) == 0
        assert deliver_due(at=AT + LEASE) == 1
        assert recorder.numbers == [1, 1]
        assert handled_count() == 1


class TestHandOver:
    def test_leaves_a_delivery_alone_whose_lease_another_has(
        self, recorder: Recorder, make_event: Callable[..., OutboxEvent]
    ) -> None:
        make_event(A, 1)
        (slow,) = claim_due(at=AT, limit=1)
        (quick,) = claim_due(at=AT + LEASE, limit=1)

        hand_over(claim=quick, at=AT + LEASE)
        hand_over(claim=slow, at=AT + LEASE)

        assert recorder.numbers == [1]
        assert (slow.delivery_id, slow.attempt, quick.attempt) == (quick.delivery_id, 1, 2)


class TestRetryDelay:
    @pytest.mark.parametrize(
        ("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (11, 1024), (12, 2048), (13, 3600), (15, 3600)]
    )
    def test_doubles_up_to_an_hour(self, attempt: int, seconds: int) -> None:
        assert retry_delay(attempt) == timedelta(seconds=seconds)


class TestParkedDelivery:
    @pytest.fixture
    def parked(self, recorder: Recorder, make_event: Callable[..., OutboxEvent]) -> OutboxDelivery:
        make_event(A, 1)
        make_event(A, 2)
        row = OutboxDelivery.objects.order_by("id")[0]
        row.status = DeliveryStatus.PARKED
        row.attempt_count = MAX_ATTEMPTS
        row.save()
        return row

    def test_can_be_tried_again(self, parked: OutboxDelivery, recorder: Recorder) -> None:
        retry_delivery(delivery_id=parked.pk, at=AT, actor=TESTER)

        drain_outbox(at=AT)
        assert recorder.numbers == [1, 2]
        assert AuditEntry.objects.get().action == "outbox_delivery.retried"

    def test_can_be_given_up(self, parked: OutboxDelivery, recorder: Recorder) -> None:
        skip_delivery(delivery_id=parked.pk, at=AT, actor=TESTER)

        drain_outbox(at=AT)
        assert recorder.numbers == [2]
        assert AuditEntry.objects.get().changes == {"status": ["Parked", "Skipped"]}

    @pytest.mark.parametrize("operation", [retry_delivery, skip_delivery])
    def test_is_the_only_kind_that_waits_for_somebody(
        self, operation: Callable[..., OutboxDelivery], parked: OutboxDelivery
    ) -> None:
        pending = OutboxDelivery.objects.order_by("id")[1]

        with pytest.raises(DeliveryNotParked):
            operation(delivery_id=pending.pk, at=AT, actor=TESTER)
        with pytest.raises(NotFound):
            operation(delivery_id=0, at=AT, actor=TESTER)

        pending.refresh_from_db()
        assert pending.status == DeliveryStatus.PENDING
        assert not AuditEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestClaimDue:
    def test_is_committed_before_the_handler_runs(self, recorder: Recorder) -> None:
        with transaction.atomic():
            emit(InvoiceMade(A, 1), at=AT)
            with pytest.raises(RuntimeError, match="durable"):
                claim_due(at=AT, limit=1)

        assert len(claim_due(at=AT, limit=1)) == 1
        assert OutboxDelivery.objects.get().due_at == AT + LEASE
