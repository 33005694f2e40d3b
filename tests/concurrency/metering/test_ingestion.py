"""Batches against each other, and against whatever moves the periods under them.

Where it matters who comes first, one side stops in the middle until the other waits for it, or has gone past
it; and where a lock is what keeps them apart, a control shows what happens without it.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from billing_project.core.contention import is_contention
from billing_project.core.errors import Busy
from catalog.models import Aggregation, BillingCadence
from metering.ingest import reading
from metering.ingest.incoming import IngestReport
from metering.models import LateUsage, UsageEvent, UsageRollup
from metering.operations import ingestion, match_unmatched_events, take_late_usage
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Period, Subscription
from subscriptions.operations import When, cancel_subscription
from tests.concurrency.racing import Meeting, errors_of, race
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.metering import (
    INPUT,
    close,
    count_report,
    define_meter,
    get_period_number,
    get_stored,
    ingest,
    list_codes,
    make_metered_plan,
    make_plan_of,
    read_totals,
    write_event,
    write_upload,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
FIRST_END = utc(2026, 3, 2)
Patches = pytest.MonkeyPatch


def make_daily() -> Subscription:
    return subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))


def cancel_and_close(subscription: Subscription) -> None:
    """End a subscription an hour after it began, and close its only period."""
    at = NOON + HOUR
    cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=at, actor=TESTER)
    close(subscription, 0, at=at)


def stop_before(patches: Patches, module: Any, name: str, meeting: Meeting) -> None:
    """Have the first that comes to a function stop before it, until the second waits for it or is done."""
    original: Callable[..., Any] = getattr(module, name)

    def stop(*arguments: Any, **options: Any) -> Any:
        if not meeting.is_first_inside.is_set():
            meeting.stop_inside()
        return original(*arguments, **options)

    patches.setattr(module, name, stop)


class TestBatches:
    def test_that_are_the_same_count_once(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        events = [write_event(subscription) for _ in range(20)]

        reports = race(*[partial(ingest, *events)] * 32)

        assert errors_of(reports) == []
        assert sum(report.accepted for report in reports) == 20
        assert sum(report.duplicates for report in reports) == 31 * 20
        assert UsageEvent.objects.count() == 20
        assert read_totals(subscription)[INPUT] == 200
        assert find_breaches() == []

    def test_in_opposite_orders_do_not_deadlock(self) -> None:
        plan = make_metered_plan()
        subscriptions = [subscribe(plan=plan) for _ in range(4)]
        for turn in range(10):
            events = [
                write_event(each, id=f"{turn}-{number}") for each in subscriptions for number in range(25)
            ]

            reports = race(
                partial(ingest, *events), partial(ingest, *reversed(events)), partial(ingest, *events)
            )

            assert errors_of(reports) == []
            assert sum(report.accepted for report in reports) == 100
        assert find_breaches() == []

    def test_of_one_hot_customer_all_count(self) -> None:
        subscription = subscribe(plan=make_metered_plan())

        def send(sender: int) -> None:
            for number in range(10):
                ingest(*[write_event(subscription, id=f"{sender}-{number}-{place}") for place in range(10)])

        assert errors_of(race(*[partial(send, sender) for sender in range(8)])) == []
        assert read_totals(subscription)[INPUT] == 8000
        assert UsageRollup.objects.values("stripe").distinct().count() > 1
        assert find_breaches() == []

    def test_of_one_hot_customer_come_to_the_same_by_every_aggregation(self) -> None:
        meters = {name: define_meter(Aggregation(name), group_by=["region"]) for name in Aggregation.values}
        subscription = subscribe(plan=make_plan_of(meters))

        def send(sender: int) -> None:
            for number in range(10):
                sizes = range(sender + number, sender + number + 10)
                ingest(
                    *[
                        write_upload(subscription, timestamp=NOON, size=size, region=size % 3)
                        for size in (sizes if sender % 2 else reversed(sizes))
                    ]
                )

        assert errors_of(race(*[partial(send, sender) for sender in range(8)])) == []
        totals = read_totals(subscription)
        # Eight times ten times ten of 0..9, of 1..10, and so on up to 16..25: 800 that are 12.5 on average.
        assert totals["Count"] == 800
        assert totals["Sum"] == 10_000
        assert totals["Average"] == Decimal("12.5")
        assert (totals["Min"], totals["Max"], totals["UniqueCount"]) == (0, 25, 26)
        assert UsageRollup.objects.values("stripe").distinct().count() > 1
        assert find_breaches() == []

    def test_with_other_content_under_one_id_have_one_winner(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        rivals = [write_event(subscription, id="one", properties={"input_tokens": n}) for n in range(8)]

        reports = race(*[partial(ingest, rival) for rival in rivals])

        assert sorted(count_report(report) for report in reports) == [(0, 0, 1)] * 7 + [(1, 0, 0)]
        (winner,) = [rival for rival, report in zip(rivals, reports, strict=True) if report.accepted]
        assert get_stored(winner).properties == winner["properties"]
        assert find_breaches() == []

    def test_make_a_missing_period_together(self) -> None:
        plan = make_metered_plan(billing_cadence=BillingCadence.DAILY)
        subscriptions = [subscribe(plan=plan) for _ in range(5)]
        at = FIRST_END + timedelta(days=20)

        def send(sender: int) -> IngestReport:
            own = subscriptions[sender % 5 :] + subscriptions[: sender % 5]
            return ingest(*[write_event(each, id=f"{sender}", timestamp=at) for each in own], at=at)

        reports = race(*[partial(send, sender) for sender in range(8)])

        assert errors_of(reports) == []
        assert [read_totals(each, period=21)[INPUT] for each in subscriptions] == [80] * 5
        assert Period.objects.count() == 5 * 22
        assert find_breaches() == []

    def test_that_fail_half_way_leave_nothing(self, monkeypatch: Patches) -> None:
        subscription = make_daily()
        cancel_and_close(subscription)

        def fail(_: object) -> None:
            raise IntegrityError("The connection is gone.")

        with monkeypatch.context() as patches:
            patches.setattr(ingestion, "mark_late_usage", fail)
            with pytest.raises(IntegrityError):
                ingest(write_event(subscription))

        assert UsageEvent.objects.count() == UsageRollup.objects.count() == LateUsage.objects.count() == 0


class TestAgainstClosing:
    def race(self, patches: Patches) -> tuple[int, object]:
        """Close a period while an event for it is on its way; tell where it is stored, and what was billed.

        The event has seen which periods are open, and is stored only then.
        """
        subscription = make_daily()
        event = write_event(subscription)
        meeting = Meeting()
        stop_before(patches, ingestion, "insert_events", meeting)

        def close_and_bill() -> object:
            with meeting.entering_second():
                close(subscription, 0, at=FIRST_END + HOUR)
                return read_totals(subscription, period=0).get(INPUT, 0)

        report, billed = race(partial(ingest, event, at=FIRST_END + HOUR), close_and_bill)
        assert count_report(report) == (1, 0, 0)
        return get_period_number(event), billed

    def test_no_event_enters_a_closed_period(self, monkeypatch: Patches) -> None:
        assert self.race(monkeypatch) == (0, 10)

    def test_one_would_without_the_slot(self, monkeypatch: Patches) -> None:
        monkeypatch.setattr(reading, "lock_slots_shared", lambda _: None)

        assert self.race(monkeypatch) == (0, 0)  # It is in the period, and on no bill.

    def test_an_event_that_comes_second_sees_the_period_closed(self) -> None:
        subscription = make_daily()
        event = write_event(subscription)
        meeting = Meeting()

        def close_slowly() -> None:
            with transaction.atomic():
                lock_slots_exclusive([subscription.pk])
                Period.objects.filter(subscription=subscription, number=0).update(closed_at=FIRST_END)
                meeting.stop_inside()

        def send() -> IngestReport:
            with meeting.entering_second():
                return ingest(event, at=FIRST_END + HOUR)

        assert errors_of(race(close_slowly, send)) == []
        assert (get_period_number(event), get_stored(event).is_late) == (1, True)

    def test_many_of_both_leave_every_event_billed_once(self) -> None:
        subscription = make_daily()
        days = 6
        billed: dict[int, object] = {}

        def send(sender: int) -> None:
            for number in range(15):
                at = FIRST_END + timedelta(days=number * days / 15)
                ingest(write_event(subscription, id=f"{sender}-{number}"), at=at)

        def close_all() -> None:
            for number in range(days):
                end = FIRST_END + timedelta(days=number)
                ingest(write_event(subscription, id=f"roll-{number}", timestamp=end), at=end)
                close(subscription, number, at=end)
                billed[number] = read_totals(subscription, period=number).get(INPUT, 0)

        assert errors_of(race(*[partial(send, sender) for sender in range(4)], close_all)) == []
        assert billed == {
            number: read_totals(subscription, period=number).get(INPUT, 0) for number in range(days)
        }
        assert read_totals(subscription)[INPUT] == 10 * (4 * 15 + days)
        assert find_breaches() == []


class TestAgainstCancelling:
    def test_no_event_is_stored_beyond_the_end(self) -> None:
        subscription = make_daily()
        event = write_event(subscription, timestamp=NOON + HOUR)
        meeting = Meeting()

        def cancel_slowly() -> None:
            with transaction.atomic():
                cancel_subscription(
                    subscription_id=subscription.pk, when=When.NOW, at=NOON + HOUR, actor=TESTER
                )
                meeting.stop_inside()

        def send() -> IngestReport:
            with meeting.entering_second():
                return ingest(event, at=NOON + HOUR)

        _, report = race(cancel_slowly, send)

        assert list_codes(report) == [(0, "subscription_ended")]
        assert UsageEvent.objects.count() == 0


class TestAgainstSubscribing:
    """An event that names no subscription is found by a new one, or finds it: never neither."""

    def race(self, patches: Patches) -> UsageEvent:
        customer = make_customer()
        plan = make_metered_plan()
        event = write_event(customer)
        meeting = Meeting()
        stop_before(patches, ingestion, "insert_events", meeting)

        def subscribe_and_match() -> None:
            with meeting.entering_second():
                subscription = subscribe(customer=customer, plan=plan)
                match_unmatched_events(subscription_id=subscription.pk, at=NOON, actor=TESTER)

        assert errors_of(race(partial(ingest, event), subscribe_and_match)) == []
        return get_stored(event)

    def test_an_event_under_way_is_matched(self, monkeypatch: Patches) -> None:
        assert self.race(monkeypatch).is_matched
        assert find_breaches() == []

    def test_it_would_not_be_without_the_customers_slot(self, monkeypatch: Patches) -> None:
        monkeypatch.setattr(reading, "lock_slots_shared", lambda _: None)

        assert not self.race(monkeypatch).is_matched

    def test_an_event_that_looked_before_is_sent_again(self, monkeypatch: Patches) -> None:
        customer = make_customer()
        plan = make_metered_plan()
        event = write_event(customer)
        meeting = Meeting()
        stop_before(monkeypatch, reading, "lock_slots_shared", meeting)

        def subscribe_meanwhile() -> Subscription:
            with meeting.entering_second():
                return subscribe(customer=customer, plan=plan)

        refused, subscription = race(partial(ingest, event), subscribe_meanwhile)

        assert isinstance(refused, Busy)
        assert UsageEvent.objects.count() == 0
        assert count_report(ingest(event)) == (1, 0, 0)
        assert get_stored(event).subscription_id == subscription.pk

    def test_matching_twice_at_once_counts_once(self) -> None:
        customer = make_customer()
        ingest(*[write_event(customer) for _ in range(10)])
        subscription = subscribe(customer=customer, plan=make_metered_plan())
        match = partial(match_unmatched_events, subscription_id=subscription.pk, at=NOON, actor=TESTER)

        assert sorted(race(*[match] * 4)) == [0, 0, 0, 10]
        assert read_totals(subscription)[INPUT] == 100
        assert find_breaches() == []


class TestAgainstTakingLateUsage:
    def test_a_mark_that_is_taken_covers_every_event_that_found_it(self) -> None:
        subscription = make_daily()
        cancel_and_close(subscription)
        ingest(write_event(subscription), at=NOON + 2 * HOUR)
        meeting = Meeting()
        taken: list[object] = []

        def send() -> None:
            with transaction.atomic():
                ingest(write_event(subscription), at=NOON + 2 * HOUR)
                meeting.stop_inside()

        def take() -> None:
            with meeting.entering_second(), transaction.atomic():
                lock_slots_exclusive([subscription.pk])
                taken.append(len(take_late_usage(subscription_id=subscription.pk)))
                taken.append(read_totals(subscription)[INPUT])

        assert errors_of(race(send, take)) == []
        assert taken == [1, 20]
        assert LateUsage.objects.count() == 0


class TestBusy:
    def test_a_slot_that_stays_taken_is_not_waited_for_long(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        meeting = Meeting()

        def hold() -> None:
            with transaction.atomic():
                lock_slots_exclusive([subscription.pk])
                meeting.is_first_inside.set()
                assert meeting.is_second_done.wait(30)

        def send() -> IngestReport:
            with meeting.entering_second():
                with connection.cursor() as cursor:
                    cursor.execute("SET lock_timeout = '100ms'")
                return ingest(write_event(subscription))

        _, refused = race(hold, send)

        assert is_contention(refused)
        assert UsageEvent.objects.count() == 0
