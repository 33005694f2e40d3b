"""A fill against what goes on meanwhile: batches that know the meter, batches that do not, and other workers."""

from functools import partial
from typing import Any

import pytest

from catalog.models import Meter
from catalog.operations import MeterDefinition, create_meter
from metering import recounting
from metering.ingest import reading
from metering.models import FillStatus, MeterFill, UsageRollup
from metering.operations import filling, ingestion, rebuilding, start_fill
from metering.tasks import fill_meters
from subscriptions.locks import outwait_slots
from subscriptions.models import Subscription
from tests.concurrency.racing import Meeting, errors_of, race
from tests.factories.core import NOON, TESTER
from tests.factories.metering import EVENT_TYPE, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db(transaction=True)

Patches = pytest.MonkeyPatch


def make_meter(code: str = "late") -> Meter:
    definition = MeterDefinition.read(event_type=EVENT_TYPE, property="input_tokens")
    return create_meter(definition=definition, code=code, at=NOON, actor=TESTER)


def make_used() -> Subscription:
    subscription = subscribe(plan=make_metered_plan())
    ingest(write_event(subscription), write_event(subscription))
    return subscription


def stop_after(patches: Patches, module: Any, name: str, meeting: Meeting) -> None:
    """Have the first that comes out of a function stop there, until the second waits for it or is done."""
    original = getattr(module, name)

    def stop(*arguments: Any, **options: Any) -> Any:
        found = original(*arguments, **options)
        if not meeting.is_first_inside.is_set():
            meeting.stop_inside()
        return found

    patches.setattr(module, name, stop)


@pytest.fixture(autouse=True)
def _many(monkeypatch: Patches) -> None:
    """Leave fills to workers, though there are few events."""
    monkeypatch.setattr(filling, "FEW_EVENTS", 0)


class TestIngestDuringAFill:
    def fill_while_ingesting(self, patches: Patches) -> Subscription:
        """Have a fill count a stretch, and before it writes what that is, let a batch come in."""
        subscription = make_used()
        start_fill(meter_id=make_meter().pk, at=NOON, actor=TESTER)
        meeting = Meeting()
        stop_after(patches, recounting, "recount", meeting)

        def send() -> None:
            with meeting.entering_second():
                ingest(*[write_event(subscription) for _ in range(5)])

        assert errors_of(race(fill_meters, send)) == []
        assert MeterFill.objects.get().status == FillStatus.COMPLETED
        return subscription

    def test_is_counted_once(self, monkeypatch: Patches) -> None:
        subscription = self.fill_while_ingesting(monkeypatch)

        assert read_totals(subscription)["late"] == 70
        assert find_breaches() == []

    def test_is_lost_without_the_slot(self, monkeypatch: Patches) -> None:
        monkeypatch.setattr(rebuilding, "lock_slots_exclusive", lambda subscription_ids: None)

        subscription = self.fill_while_ingesting(monkeypatch)

        assert read_totals(subscription)["late"] == 20
        assert UsageRollup.objects.filter(meter_id=Meter.objects.get(code="late").pk).count() == 1

    def test_is_all_counted_when_many_send_at_once(self) -> None:
        subscription = make_used()
        start_fill(meter_id=make_meter().pk, at=NOON, actor=TESTER)

        def send(sender: int) -> None:
            for number in range(10):
                ingest(*[write_event(subscription, id=f"{sender}-{number}-{place}") for place in range(5)])

        outcomes = race(*[partial(send, sender) for sender in range(4)], fill_meters, fill_meters)

        assert errors_of(outcomes) == []
        assert MeterFill.objects.get().status == FillStatus.COMPLETED
        assert read_totals(subscription)["late"] == 2020
        assert find_breaches() == []


class TestABatchThatDoesNotKnowTheMeter:
    """It has read which meters there are, and stores its events when the meter has been made and filled."""

    def fill_while_a_batch_is_under_way(self, patches: Patches) -> Subscription:
        subscription = subscribe(plan=make_metered_plan())
        meeting = Meeting()
        stop_after(patches, ingestion, "read_facts", meeting)

        def fill() -> None:
            with meeting.entering_second():
                start_fill(meter_id=make_meter().pk, at=NOON, actor=TESTER)
                fill_meters()

        assert errors_of(race(partial(ingest, write_event(subscription)), fill)) == []
        assert MeterFill.objects.get().status == FillStatus.COMPLETED
        return subscription

    @pytest.mark.parametrize("few_events", [0, -1])
    def test_is_waited_for(self, monkeypatch: Patches, few_events: int) -> None:
        monkeypatch.setattr(filling, "FEW_EVENTS", few_events)  # On the spot, or by a worker.

        subscription = self.fill_while_a_batch_is_under_way(monkeypatch)

        assert read_totals(subscription)["late"] == 10
        assert find_breaches() == []

    @pytest.mark.parametrize("few_events", [0, -1])
    def test_is_missed_by_who_does_not_wait(self, monkeypatch: Patches, few_events: int) -> None:
        monkeypatch.setattr(filling, "FEW_EVENTS", few_events)
        monkeypatch.setattr(filling, "outwait_slots", lambda: None)
        monkeypatch.setattr("metering.tasks.outwait_slots", lambda: None)

        subscription = self.fill_while_a_batch_is_under_way(monkeypatch)

        assert "late" not in read_totals(subscription)


class TestWorkers:
    def test_that_meet_on_a_fill_do_not_wait_for_each_other(self, monkeypatch: Patches) -> None:
        subscriptions = [make_used() for _ in range(5)]
        start_fill(meter_id=make_meter().pk, at=NOON, actor=TESTER)
        meeting = Meeting()
        stop_after(monkeypatch, filling, "find_stretch", meeting)

        def join() -> int:
            with meeting.entering_second():
                fill_meters()
                return MeterFill.objects.get().done_count

        outcomes = race(fill_meters, join)

        assert outcomes == [None, 0]  # The second has found the fill in another's hands, and left it.
        fill = MeterFill.objects.get()
        assert (fill.status, fill.done_count) == (FillStatus.COMPLETED, 5)
        assert [read_totals(subscription)["late"] for subscription in subscriptions] == [20] * 5

    def test_share_the_work_without_doing_it_twice(self) -> None:
        subscriptions = [make_used() for _ in range(6)]
        for code in ("one", "two", "three"):
            start_fill(meter_id=make_meter(code).pk, at=NOON, actor=TESTER)

        while MeterFill.objects.exclude(status=FillStatus.COMPLETED).exists():
            assert errors_of(race(*[fill_meters] * 3)) == []

        assert set(MeterFill.objects.values_list("done_count", flat=True)) == {6}
        for subscription in subscriptions:
            totals = read_totals(subscription)
            assert [totals[code] for code in ("one", "two", "three")] == [20, 20, 20]
        assert find_breaches() == []


class TestOutwaitSlots:
    def test_waits_for_a_batch_that_is_under_way(self, monkeypatch: Patches) -> None:
        subscription = subscribe()
        meeting = Meeting()
        order: list[str] = []
        stop_after(monkeypatch, reading, "lock_slots_shared", meeting)

        def hold() -> None:
            ingest(write_event(subscription, event_type="other"))
            order.append("stored")

        def wait() -> None:
            with meeting.entering_second():
                outwait_slots()
                order.append("waited")

        assert errors_of(race(hold, wait)) == []
        assert order == ["stored", "waited"]
