"""Removing events against the batches, voids and subscriptions that may come between.

An id is its customer's, whatever it is sent for. A batch that waits for a row which is being removed finds
nothing in its way once that is committed; so it has to wait before it looks, and controls show that.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from billing_project.core.errors import Busy
from metering.archiving import operations
from metering.ingest.incoming import IngestReport
from metering.models import EventArchive, UsageEvent
from metering.operations import void_event
from metering.queries.archives import UsageArchived
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Subscription
from tests.concurrency.racing import Meeting, errors_of, race
from tests.factories.archives import LATER, begin, make_role, make_settled, remove, write
from tests.factories.core import TESTER
from tests.factories.customers import make_customer
from tests.factories.metering import (
    INPUT,
    count_report,
    ingest,
    list_codes,
    make_metered_plan,
    read_totals,
    write_event,
)
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db(transaction=True)

Patches = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def _role() -> None:
    make_role()


def stop_after(patches: Patches, name: str, meeting: Meeting) -> None:
    """Have the first that comes to a function of the operations stop after it."""
    original: Callable[..., Any] = getattr(operations, name)

    def stop(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        if not meeting.is_first_inside.is_set():
            meeting.stop_inside()
        return result

    patches.setattr(operations, name, stop)


def send_second(meeting: Meeting, event: dict[str, Any]) -> IngestReport:
    with meeting.entering_second():
        return ingest(event, at=LATER)


class TestRemovingAgainstABatch:
    @pytest.mark.parametrize("how", ["same", "unnamed", "other"])
    def test_never_counts_an_old_id_again(self, tmp_path: Path, monkeypatch: Patches, how: str) -> None:
        subscription, event = self.make(how)
        archive = write(begin(), tmp_path)
        meeting = Meeting()
        stop_after(monkeypatch, "_move", meeting)

        removed, report = race(partial(remove, archive, tmp_path), partial(send_second, meeting, event))

        assert isinstance(removed, EventArchive)
        assert removed.removed_count == 1
        assert (report.accepted, list_codes(report)) == (0, [] if how == "same" else [(0, "conflict")])
        assert read_totals(subscription)[INPUT] == 10
        assert not UsageEvent.objects.exists()
        assert find_breaches() == []

    def test_without_the_slots_counts_it_twice(self, tmp_path: Path, monkeypatch: Patches) -> None:
        _, event = self.make("same")
        archive = write(begin(), tmp_path)
        meeting = Meeting()
        monkeypatch.setattr(operations, "_lock_usage", lambda _: None)
        stop_after(monkeypatch, "_move", meeting)

        _, report = race(partial(remove, archive, tmp_path), partial(send_second, meeting, event))

        assert count_report(report) == (1, 0, 0)
        assert any("is archived, and still there" in breach for breach in find_breaches())

    @staticmethod
    def make(how: str) -> tuple[Subscription, dict[str, Any]]:
        """Make a subscription with an event to archive, and what is sent under its id meanwhile."""
        customer = make_customer()
        other = subscribe(customer=customer, plan=make_metered_plan(), at=LATER)
        subscription = make_settled(write_event(customer, id="old"), customer=customer)
        sent = {
            "same": write_event(subscription, id="old"),
            "unnamed": write_event(customer, id="old", event_type="something.else"),
            "other": write_event(other, id="old", timestamp=LATER),
        }
        return subscription, sent[how]


class TestRemovingAgainstANewSubscription:
    def test_has_it_wait_or_is_told(self, tmp_path: Path, monkeypatch: Patches) -> None:
        subscription = make_settled(write_event(make_customer(), id="old"))
        archive = write(begin(), tmp_path)
        plan = make_metered_plan()
        meeting = Meeting()
        stop_after(monkeypatch, "_move", meeting)

        def subscribe_and_send() -> IngestReport:
            with meeting.entering_second():
                other = subscribe(customer=subscription.customer, plan=plan, at=LATER)
                return ingest(write_event(other, id="old", timestamp=LATER), at=LATER)

        removed, report = race(partial(remove, archive, tmp_path), subscribe_and_send)

        assert isinstance(removed, EventArchive)
        assert list_codes(report) == [(0, "conflict")]
        assert find_breaches() == []

    def test_tries_again_if_one_came_before_its_locks(self, tmp_path: Path, monkeypatch: Patches) -> None:
        subscription = make_settled()
        made: list[Subscription] = []

        def lock(ids: Any) -> None:
            if not made:
                made.append(subscribe(customer=subscription.customer, plan=make_metered_plan(), at=LATER))
            lock_slots_exclusive(ids)

        monkeypatch.setattr(operations, "lock_slots_exclusive", lock)

        with pytest.raises(Busy), transaction.atomic():
            operations._lock_usage(subscription.customer_id)
        with transaction.atomic():
            operations._lock_usage(subscription.customer_id)


class TestBeginningAgainstAVoid:
    def test_has_one_winner(self, monkeypatch: Patches) -> None:
        subscription = make_settled(write_event(make_customer(), id="old"))
        meeting = Meeting()
        stop_after(monkeypatch, "take_number", meeting)

        def void() -> None:
            with meeting.entering_second():
                void_event(
                    customer_id=subscription.customer_id,
                    event_id="old",
                    reason="Wrong",
                    at=LATER,
                    actor=TESTER,
                )

        begun, refused = race(begin, void)

        assert isinstance(begun, EventArchive)
        assert isinstance(refused, UsageArchived)
        assert read_totals(subscription)[INPUT] == 10
        assert find_breaches() == []


class TestRemovingAgainstRemoving:
    def test_removes_once(self, tmp_path: Path) -> None:
        make_settled(count=20)
        archive = write(begin(), tmp_path)

        outcomes = race(*[partial(remove, archive, tmp_path)] * 4)

        assert len(errors_of(outcomes)) == 3
        assert all(isinstance(error, operations.ArchiveOutOfStep) for error in errors_of(outcomes))
        assert find_breaches() == []
