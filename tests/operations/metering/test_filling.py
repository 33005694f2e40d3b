"""Filling meters that began to count after events had come."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from billing_project.core import dispatch
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry, OutboxDelivery
from catalog.models import Aggregation, CatalogStatus, Meter
from catalog.operations import MeterDefinition, create_meter, update_meter
from metering import recounting, tasks
from metering.models import FillStatus, MeterFill, UsageRollup, UsageValue
from metering.operations import begin_fill, fill_next_stretch, filling, start_fill
from metering.queries import find_next_segment, list_unfilled_meters
from subscriptions.models import Subscription
from tests.factories.archives import begin, make_settled
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER, drain_outbox
from tests.factories.metering import EVENT_TYPE, ingest, make_metered_plan, read_totals, write_event
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def make_meter(code: str = "late", **definition: Any) -> Meter:
    """Make a meter of the events that the factories write."""
    terms = {"event_type": EVENT_TYPE, "property": "input_tokens", **definition}
    return create_meter(definition=MeterDefinition.read(**terms), code=code, at=NOON, actor=TESTER)


def make_used(event_count: int = 3) -> Subscription:
    """Subscribe, and use ten input tokens in each of some hours."""
    subscription = subscribe(plan=make_metered_plan())
    use(subscription, event_count)
    return subscription


def use(subscription: Subscription, event_count: int) -> None:
    """Use ten input tokens in each of some hours from noon on."""
    hours = [NOON + HOUR * number for number in range(event_count)]
    ingest(*[write_event(subscription, timestamp=hour) for hour in hours], at=hours[-1])


def start(meter: Meter) -> MeterFill:
    return start_fill(meter_id=meter.pk, at=NOON, actor=TESTER)


def get_fill(meter: Meter) -> MeterFill:
    return MeterFill.objects.get(meter=meter)


def go_on(fill: MeterFill) -> bool:
    return fill_next_stretch(fill_id=fill.pk, at=NOON, actor=TESTER)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have even one event be too many for a fill on the spot."""
    monkeypatch.setattr(filling, "FEW_EVENTS", 0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which tasks workers are asked for."""
    asked: list[str] = []
    monkeypatch.setattr(dispatch, "send", lambda task, **_: asked.append(task))
    return asked


class TestStartFill:
    def test_is_done_at_once_where_there_is_nothing_to_count(self) -> None:
        subscribe(plan=make_metered_plan())

        fill = start(make_meter())

        assert (fill.status, fill.segment_count, fill.done_count, fill.percent) == ("Completed", 0, 0, 100)
        assert (fill.started_at, fill.completed_at) == (NOON, NOON)

    def test_counts_a_few_events_at_once(self) -> None:
        first, second = make_used(3), make_used(2)

        fill = start(make_meter())

        assert (fill.status, fill.segment_count, fill.done_count) == ("Completed", 2, 2)
        assert (read_totals(first)["late"], read_totals(second)["late"]) == (30, 20)
        assert find_breaches() == []

    def test_leaves_many_events_to_a_worker(self, many: None) -> None:
        subscription = make_used()

        fill = start(make_meter())

        assert (fill.status, fill.started_at, fill.completed_at) == ("Pending", None, None)
        assert "late" not in read_totals(subscription)

    def test_is_recorded(self) -> None:
        make_used()
        fill = start(make_meter())

        entries = AuditEntry.objects.filter(subject_id=str(fill.pk)).order_by("id")

        assert [entry.action for entry in entries] == [
            "meter_fill.requested",
            "meter_fill.started",
            "meter_fill.completed",
        ]
        assert entries[2].changes["status"] == ["Running", "Completed"]


class TestFillNextStretch:
    @pytest.fixture(autouse=True)
    def have_many(self, many: None) -> None:
        """Go step by step."""

    def test_goes_through_the_segments_in_the_order_of_their_ids(self) -> None:
        used = [make_used(number) for number in (1, 2, 3)]
        subscribe(plan=make_metered_plan())  # Which uses nothing, and is passed over.
        fill = start(make_meter())
        begin_fill(fill_id=fill.pk, at=NOON + HOUR, actor=TESTER)
        seen = []

        while go_on(fill):
            fill.refresh_from_db()
            seen.append((fill.cursor, fill.segment_count, fill.done_count, fill.percent))

        ids = sorted(subscription.segments.get().pk for subscription in used)
        assert seen == [(ids[0], 3, 1, 33), (ids[1], 3, 2, 66), (ids[2], 3, 3, 99)]
        assert [read_totals(subscription)["late"] for subscription in used] == [10, 20, 30]
        fill.refresh_from_db()
        assert (fill.status, fill.percent) == ("Completed", 100)
        assert (fill.started_at, fill.completed_at) == (NOON + HOUR, NOON)
        assert not go_on(fill)

    def test_parts_a_long_segment_by_the_hour(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recounting, "EVENTS_PER_STRETCH", 2)
        subscription = make_used(5)
        fill = start(make_meter())
        begin_fill(fill_id=fill.pk, at=NOON, actor=TESTER)
        seen = []

        while go_on(fill):
            fill.refresh_from_db()
            seen.append((fill.reached_at, fill.done_count, read_totals(subscription)["late"]))

        assert seen == [
            (NOON + HOUR * 2, 0, 20),
            (NOON + HOUR * 4, 0, 40),
            (None, 1, 50),
        ]
        assert find_breaches() == []

    def test_begins_a_segment_at_its_beginning_when_another_has_gone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recounting, "EVENTS_PER_STRETCH", 2)
        first, second = make_used(5), make_used(5)
        fill = start(make_meter())
        begin_fill(fill_id=fill.pk, at=NOON, actor=TESTER)
        assert go_on(fill)
        with connection.cursor() as cursor:  # As archiving it does.
            cursor.execute("ALTER TABLE metering_usageevent DISABLE TRIGGER USER")
            cursor.execute("DELETE FROM metering_usageevent WHERE customer_id = %s", [first.customer_id])

        while go_on(fill):
            pass

        assert (read_totals(first)["late"], read_totals(second)["late"]) == (20, 50)

    def test_passes_over_a_segment_that_was_archived_since_it_was_found(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        archived, other = make_settled(), make_used(5)
        begin()
        fill = start(make_meter())
        begin_fill(fill_id=fill.pk, at=NOON, actor=TESTER)
        find = find_next_segment
        found = [archived.segments.get(period__number=0)]
        monkeypatch.setattr(filling, "find_next_segment", lambda fill: found.pop() if found else find(fill))

        while go_on(fill):
            pass

        assert get_fill(fill.meter).status == FillStatus.COMPLETED
        assert "late" not in read_totals(archived)
        assert read_totals(other)["late"] == 50

    def test_counts_once_what_ingest_counts_meanwhile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recounting, "EVENTS_PER_STRETCH", 2)
        subscription = make_used(5)
        fill = start(make_meter())
        begin_fill(fill_id=fill.pk, at=NOON, actor=TESTER)
        assert go_on(fill)

        use(subscription, 5)
        while go_on(fill):
            pass

        assert read_totals(subscription)["late"] == 100
        assert find_breaches() == []

    def test_comes_to_the_same_when_a_step_was_lost(self) -> None:
        subscription = make_used()
        fill = start(make_meter())
        begin_fill(fill_id=fill.pk, at=NOON, actor=TESTER)
        assert go_on(fill)
        MeterFill.objects.update(cursor=None, done_count=0)  # As a crash before its commit leaves it.

        while go_on(fill):
            pass

        assert read_totals(subscription)["late"] == 30
        assert find_breaches() == []

    @pytest.mark.parametrize(
        ("aggregation", "expected"),
        [
            (Aggregation.MAX, Decimal(30)),
            (Aggregation.LATEST, Decimal(10)),
            (Aggregation.AVERAGE, Decimal(20)),
            (Aggregation.UNIQUE_COUNT, Decimal(3)),
        ],
    )
    def test_keeps_what_the_aggregation_needs(self, aggregation: Aggregation, expected: Decimal) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=NOON)
        for tokens in (20, 30, 10):
            stamped = NOON + timedelta(minutes=30 - tokens)
            properties = {"input_tokens": tokens}
            ingest(write_event(subscription, timestamp=stamped, properties=properties))
        fill = start(make_meter(aggregation=aggregation))
        begin_fill(fill_id=fill.pk, at=NOON, actor=TESTER)

        while go_on(fill):
            pass

        assert read_totals(subscription)["late"] == expected

    def test_leaves_other_meters_alone(self) -> None:
        make_used()
        before = list(UsageRollup.objects.order_by("pk").values())
        meter = make_meter(aggregation=Aggregation.UNIQUE_COUNT)
        fill = start(meter)
        begin_fill(fill_id=fill.pk, at=NOON, actor=TESTER)

        while go_on(fill):
            pass

        assert list(UsageRollup.objects.exclude(meter_id=meter.pk).order_by("pk").values()) == before
        assert UsageValue.objects.count() == 3

    def test_does_nothing_before_the_beginning(self) -> None:
        make_used()
        fill = start(make_meter())

        assert not go_on(fill)
        assert MeterFill.objects.get().status == FillStatus.PENDING


class TestHandler:
    def test_fills_a_new_meter(self) -> None:
        subscription = make_used()
        drain_outbox()
        meter = make_meter()

        drain_outbox()

        assert read_totals(subscription)["late"] == 30
        assert MeterFill.objects.get(meter=meter).status == FillStatus.COMPLETED

    def test_fills_a_meter_that_is_brought_back_with_what_it_has_missed(self) -> None:
        subscription = make_used()
        meter = make_meter()
        drain_outbox()
        for status in (CatalogStatus.ARCHIVED, CatalogStatus.ACTIVE):
            update_meter(meter_id=meter.pk, changes={"status": status}, at=NOON, actor=TESTER)
            ingest(write_event(subscription))
        assert read_totals(subscription)["late"] == 40

        drain_outbox()

        assert read_totals(subscription)["late"] == 50
        assert MeterFill.objects.filter(meter=meter).count() == 2
        assert find_breaches() == []

    def test_leaves_an_archived_meter_until_it_is_brought_back(self) -> None:
        make_used()
        drain_outbox()
        meter = make_meter()
        update_meter(meter_id=meter.pk, changes={"status": CatalogStatus.ARCHIVED}, at=NOON, actor=TESTER)

        drain_outbox()

        assert not MeterFill.objects.filter(meter=meter).exists()

    def test_asks_for_a_worker_where_there_is_much_to_do(
        self, many: None, sent: list[str], django_capture_on_commit_callbacks: Any
    ) -> None:
        make_used()
        make_meter()

        with django_capture_on_commit_callbacks(execute=True):
            drain_outbox()

        assert sent.count("metering.tasks.fill_meters") == 3  # The two of the plan, and the new one.


class TestTask:
    def test_does_all_that_is_left(self, many: None) -> None:
        subscription = make_used()
        fills = [start(make_meter(code)) for code in ("one", "two")]
        begin_fill(fill_id=fills[0].pk, at=NOON, actor=TESTER)

        tasks.fill_meters()

        totals = read_totals(subscription)
        assert (totals["one"], totals["two"]) == (30, 30)
        assert set(MeterFill.objects.values_list("status", flat=True)) == {FillStatus.COMPLETED}

    def test_stops_in_time_and_goes_on_later(self, many: None, monkeypatch: pytest.MonkeyPatch) -> None:
        make_used()
        start(make_meter())
        monkeypatch.setattr(tasks, "SECONDS_PER_TASK", 0)

        tasks.fill_meters()
        assert MeterFill.objects.get().status == FillStatus.PENDING
        monkeypatch.undo()
        tasks.fill_meters()

        assert MeterFill.objects.get().status == FillStatus.COMPLETED


class TestListUnfilledMeters:
    def test_lists_those_with_a_fill_that_is_not_done(
        self, many: None, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        make_used()
        waiting, running, done, without = (make_meter(code) for code in "abcd")
        for meter in (waiting, running, done):
            start(meter)
        for meter in (running, done):
            begin_fill(fill_id=get_fill(meter).pk, at=NOON, actor=TESTER)
        while go_on(get_fill(done)):
            pass

        with django_assert_num_queries(1):
            found = list_unfilled_meters([waiting.pk, running.pk, done.pk, without.pk, make_id()])

        assert found == [waiting, running]

    def test_asks_nothing_about_no_meters(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        with django_assert_num_queries(0):
            assert list_unfilled_meters([]) == []

    def test_lists_a_level_that_carries_over_until_its_fill_was_asked_for(self) -> None:
        level = {"aggregation": Aggregation.WEIGHTED_SUM, "carries_over": True}
        carried, other = make_meter("carried", **level), make_meter("other")
        assert list_unfilled_meters([carried.pk, other.pk]) == [carried]

        drain_outbox()

        assert list_unfilled_meters([carried.pk, other.pk]) == []

    def test_lists_a_level_whose_fill_was_given_up(self) -> None:
        meter = make_meter(aggregation=Aggregation.WEIGHTED_SUM, carries_over=True)
        OutboxDelivery.objects.filter(subject_id=meter.pk).update(status="Parked")

        assert list_unfilled_meters([meter.pk]) == [meter]


class TestNewPlan:
    def test_is_billed_for_its_own_segments_whatever_came_before(self) -> None:
        earlier = make_used()
        plan = make_plan()
        make_sku(plan, meter=MeterDefinition.read(event_type=EVENT_TYPE, aggregation=Aggregation.COUNT))
        later = subscribe(plan=plan)
        ingest(write_event(later), write_event(later))
        drain_outbox()

        counted = f"{EVENT_TYPE}:count"
        assert (read_totals(earlier)[counted], read_totals(later)[counted]) == (3, 2)
        assert find_breaches() == []
