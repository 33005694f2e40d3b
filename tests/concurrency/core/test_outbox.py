"""Events handed over by several at once."""

import threading
from datetime import timedelta

import pytest
from django.db import transaction

from billing_project.core.events import StoredEvent, emit_all
from billing_project.core.ids import make_id
from billing_project.core.models import DeliveryStatus, OutboxDelivery
from billing_project.core.outbox import LEASE, claim_due, deliver_due, hand_over
from tests.concurrency.racing import errors_of, race
from tests.factories.core import LONG_AFTER, subscribed
from tests.operations.core.test_events import InvoiceMade

pytestmark = pytest.mark.django_db(transaction=True)

SUBJECTS = [make_id() for _ in range(5)]
EVENTS = 8


def store_events() -> None:
    with transaction.atomic():
        emit_all(
            [InvoiceMade(subject, number) for number in range(EVENTS) for subject in SUBJECTS], at=LONG_AFTER
        )


class TestDeliverDue:
    def test_hands_each_event_over_once_and_in_order(self) -> None:
        seen: list[tuple[object, int]] = []

        def note(event: StoredEvent) -> None:
            seen.append((event.subject_id, int(str(event.payload["total_nanos"]))))

        def deliver() -> int:
            count = 0
            idle = 0
            while idle < 20:
                claimed = deliver_due(at=LONG_AFTER, limit=3)
                count += claimed
                idle = 0 if claimed else idle + 1
            return count

        with subscribed("invoice.made", note, key="note"):
            store_events()
            outcomes = race(*[deliver] * 4)

        assert errors_of(outcomes) == []
        assert sum(outcomes) == len(seen) == EVENTS * len(SUBJECTS)
        for subject in SUBJECTS:
            assert [number for seen_subject, number in seen if seen_subject == subject] == list(range(EVENTS))
        assert set(OutboxDelivery.objects.values_list("status", flat=True)) == {DeliveryStatus.DELIVERED}


class TestHandOver:
    def test_runs_a_handler_once_at_a_time_even_past_its_lease(self) -> None:
        inside, go_on = threading.Event(), threading.Event()
        running = []

        def wait(_event: StoredEvent) -> None:
            running.append(threading.get_ident())
            inside.set()
            assert go_on.wait(30)

        with subscribed("invoice.made", wait, key="wait"):
            with transaction.atomic():
                emit_all([InvoiceMade(SUBJECTS[0])], at=LONG_AFTER)
            (slow,) = claim_due(at=LONG_AFTER, limit=1)

            def first() -> None:
                hand_over(claim=slow, at=LONG_AFTER)

            def second() -> int:
                assert inside.wait(30)
                try:
                    return deliver_due(at=LONG_AFTER + LEASE + timedelta(seconds=1))
                finally:
                    go_on.set()

            outcomes = race(first, second)

        assert outcomes == [None, 0]
        assert len(running) == 1
        assert OutboxDelivery.objects.get().status == DeliveryStatus.DELIVERED
