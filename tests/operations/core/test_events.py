"""Domain events, as they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from billing_project.core import events
from billing_project.core.events import (
    DomainEvent,
    StoredEvent,
    emit,
    emit_all,
    find_handler,
    request_delivery,
)
from billing_project.core.ids import make_id
from billing_project.core.models import DeliveryStatus, OutboxDelivery, OutboxEvent
from tests.factories.core import NOON, subscribed

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class InvoiceMade(DomainEvent):
    """An invoice was made."""

    name: ClassVar[str] = "invoice.made"
    subject_type: ClassVar[str] = "invoice"

    invoice_id: UUID
    total_nanos: int = 5

    @property
    def subject_id(self) -> UUID:
        return self.invoice_id

    @property
    def customer_id(self) -> UUID | None:
        return UUID(int=1)

    def payload(self) -> Mapping[str, object]:
        return {"invoice_id": self.invoice_id, "total_nanos": self.total_nanos}


def ignore(_event: StoredEvent) -> None:
    """Take the event, and do nothing."""


class TestEmit:
    def test_stores_the_event(self) -> None:
        invoice_id = make_id()

        stored = emit(InvoiceMade(invoice_id), at=NOON)

        row = OutboxEvent.objects.get(position=stored.position)
        assert (row.name, row.subject_type, row.subject_id) == ("invoice.made", "invoice", invoice_id)
        assert (row.customer_id, row.occurred_at) == (UUID(int=1), NOON)
        assert row.payload == {"invoice_id": str(invoice_id), "total_nanos": "5"}
        assert row.id.version == 7

    def test_adds_a_delivery_for_each_handler(self) -> None:
        with subscribed("invoice.made", ignore, key="one"):
            events.subscribe("invoice.made", ignore, key="two")
            events.subscribe("invoice.paid", ignore, key="three")
            stored = emit(InvoiceMade(make_id()), at=NOON)

        rows = OutboxDelivery.objects.filter(event=stored).order_by("handler")
        assert [row.handler for row in rows] == ["one", "two"]
        assert {(row.status, row.attempt_count) for row in rows} == {(DeliveryStatus.PENDING, 0)}
        assert {row.subject_id for row in rows} == {stored.subject_id}

    def test_asks_a_worker_once_for_each_transaction(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with subscribed("invoice.made", ignore, key="one"), django_capture_on_commit_callbacks() as callbacks:
            for _ in range(3):
                emit(InvoiceMade(make_id()), at=NOON)

        assert callbacks == [request_delivery]

    def test_asks_again_after_the_first_part_was_rolled_back(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with subscribed("invoice.made", ignore, key="one"), django_capture_on_commit_callbacks() as callbacks:
            with pytest.raises(RuntimeError), transaction.atomic():
                emit(InvoiceMade(make_id()), at=NOON)
                raise RuntimeError
            emit(InvoiceMade(make_id()), at=NOON)

        assert callbacks == [request_delivery]
        assert OutboxEvent.objects.count() == 1

    def test_asks_nobody_when_nobody_listens(
        self, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
    ) -> None:
        with django_capture_on_commit_callbacks() as callbacks:
            emit(InvoiceMade(make_id()), at=NOON)

        assert callbacks == []


class TestEmitAll:
    def test_keeps_the_order(self) -> None:
        ids = [make_id() for _ in range(5)]

        stored = emit_all([InvoiceMade(an_id) for an_id in ids], at=NOON)

        assert [event.subject_id for event in OutboxEvent.objects.order_by("position")] == ids
        assert [event.subject_id for event in stored] == ids

    def test_takes_two_statements_for_a_thousand(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        made = [InvoiceMade(make_id()) for _ in range(1_000)]
        with subscribed("invoice.made", ignore, key="one"), django_assert_num_queries(2):
            emit_all(made, at=NOON)

        assert OutboxDelivery.objects.count() == 1_000


class TestSubscribe:
    def test_finds_the_handler_again(self) -> None:
        with subscribed("invoice.made", ignore, key="one"):
            assert find_handler(name="invoice.made", key="one") is ignore
            assert find_handler(name="invoice.made", key="two") is None

        assert find_handler(name="invoice.made", key="one") is None

    def test_refuses_a_second_handler_of_the_same_key(self) -> None:
        with subscribed("invoice.made", ignore, key="one"):
            events.subscribe("invoice.made", ignore, key="one")
            with pytest.raises(AssertionError, match="already subscribed"):
                events.subscribe("invoice.made", lambda event: None, key="one")


class TestOutboxEvent:
    @pytest.mark.parametrize(
        ("statement", "operation"),
        [
            ("UPDATE core_outboxevent SET payload = '{}'", "UPDATE"),
            ("DELETE FROM core_outboxevent", "DELETE"),
            ("TRUNCATE core_outboxevent CASCADE", "TRUNCATE"),
        ],
    )
    def test_cannot_be_changed_even_by_sql(self, statement: str, operation: str) -> None:
        emit(InvoiceMade(make_id()), at=NOON)
        message = f"core_outboxevent is append-only: {operation} is refused"

        with pytest.raises(IntegrityError, match=message), transaction.atomic():
            connection.cursor().execute(statement)


@pytest.mark.django_db(transaction=True)
class TestCommit:
    def test_is_where_an_event_belongs(self) -> None:
        with pytest.raises(AssertionError, match="shares the transaction"):
            emit(InvoiceMade(make_id()), at=NOON)

    def test_does_not_fail_without_a_broker(self, caplog: pytest.LogCaptureFixture) -> None:
        with subscribed("invoice.made", ignore, key="one"), transaction.atomic():
            emit(InvoiceMade(make_id()), at=NOON)

        assert OutboxDelivery.objects.count() == 1
        assert "broker_unavailable" in caplog.text
