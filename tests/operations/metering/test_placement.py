"""Which period an event is billed in, decided once, when it comes."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from catalog.models import BillingCadence
from metering.models import LateUsage, UsageEvent
from metering.operations import take_late_usage
from metering.queries import MeterUsage
from subscriptions.models import Period, Segment, Subscription
from subscriptions.operations import When, cancel_subscription
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer, make_test_clock
from tests.factories.metering import (
    INPUT,
    close,
    count_report,
    get_period_number,
    get_stored,
    ingest,
    list_codes,
    make_metered_plan,
    read_totals,
    read_usage,
    write_event,
)
from tests.factories.subscriptions import find_breaches, list_bounds, subscribe, utc

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# A daily subscription that begins at NOON has its first period until the second midnight.
FIRST_END = utc(2026, 3, 2)


def make_daily(**options: Any) -> Subscription:
    plan = make_metered_plan(billing_cadence=BillingCadence.DAILY)
    return subscribe(plan=plan, **options)


def cancel(subscription: Subscription, *, at: datetime) -> None:
    cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=at, actor=TESTER)


class TestOpenPeriods:
    def test_take_what_is_stamped_in_them(self) -> None:
        subscription = make_daily()
        first, second = write_event(subscription), write_event(subscription, timestamp=FIRST_END)

        ingest(first, second, at=FIRST_END)

        assert [get_period_number(first), get_period_number(second)] == [0, 1]
        assert [get_stored(first).billed_at, get_stored(second).billed_at] == [NOON, FIRST_END]
        assert read_totals(subscription, period=0)[INPUT] == read_totals(subscription, period=1)[INPUT] == 10

    def test_take_late_events_until_they_are_closed(self) -> None:
        subscription = make_daily()
        event = write_event(subscription, timestamp=FIRST_END - HOUR)

        ingest(event, at=FIRST_END + 5 * DAY)

        assert get_period_number(event) == 0
        assert not get_stored(event).is_late

    def test_take_what_is_older_than_the_subscription_into_the_first(self) -> None:
        subscription = make_daily()
        event = write_event(subscription, timestamp=utc(2020, 1, 1))

        ingest(event)

        assert get_period_number(event) == 0
        assert get_stored(event).billed_at == NOON
        assert not get_stored(event).is_late
        assert read_usage(subscription)[INPUT].late_quantity == 0

    def test_begin_before_their_first_event_where_the_subscription_does(self) -> None:
        subscription = make_daily(start_at=NOON + 10 * DAY)
        event = write_event(subscription)

        ingest(event)

        assert get_period_number(event) == 0
        assert get_stored(event).billed_at == NOON + 10 * DAY


class TestClosedPeriods:
    def test_pass_late_events_on_to_the_next_open_one(self) -> None:
        subscription = make_daily()
        ingest(write_event(subscription))
        close(subscription, 0, at=FIRST_END + HOUR)
        late, timely = write_event(subscription), write_event(subscription, timestamp=FIRST_END + HOUR)

        ingest(late, timely, at=FIRST_END + HOUR)

        assert [get_period_number(late), get_period_number(timely)] == [1, 1]
        assert (get_stored(late).billed_at, get_stored(late).is_late) == (FIRST_END, True)
        assert (get_stored(timely).billed_at, get_stored(timely).is_late) == (FIRST_END + HOUR, False)
        assert read_totals(subscription, period=0)[INPUT] == 10
        usage = read_usage(subscription, period=1)[INPUT]
        assert usage == MeterUsage(Decimal(20), Decimal(10), 2)
        assert find_breaches() == []

    def test_are_late_for_what_is_older_than_the_subscription_too(self) -> None:
        subscription = make_daily()
        close(subscription, 0, at=FIRST_END)
        event = write_event(subscription, timestamp=utc(2020, 1, 1))

        ingest(event, at=FIRST_END)

        assert (get_period_number(event), get_stored(event).is_late) == (1, True)

    def test_are_followed_by_a_period_that_is_made_if_it_is_missing(self) -> None:
        subscription = make_daily()
        close(subscription, 0, at=FIRST_END)
        Period.objects.filter(subscription=subscription, number__gt=0).delete()
        event = write_event(subscription)

        ingest(event, at=FIRST_END + 3 * DAY)

        assert (get_period_number(event), get_stored(event).is_late) == (1, True)
        assert find_breaches() == []


class TestMissingPeriods:
    def test_are_made_by_the_first_event_in_them(self) -> None:
        subscription = make_daily()
        assert list_bounds(subscription) == [(NOON, FIRST_END)]
        event = write_event(subscription, timestamp=FIRST_END + 2 * DAY)

        ingest(event, at=FIRST_END + 2 * DAY)

        assert get_period_number(event) == 3
        assert list_bounds(subscription)[-1] == (FIRST_END + 2 * DAY, FIRST_END + 3 * DAY)
        assert find_breaches() == []

    def test_are_made_an_hour_ahead_at_most(self) -> None:
        subscription = make_daily()
        event = write_event(subscription, timestamp=FIRST_END + timedelta(minutes=30))

        ingest(event, at=FIRST_END - timedelta(minutes=30))

        assert get_period_number(event) == 1
        assert len(list_bounds(subscription)) == 2

    def test_are_made_by_each_customers_own_clock(self) -> None:
        plan = make_metered_plan(billing_cadence=BillingCadence.DAILY)
        clock = make_test_clock(now_at=FIRST_END + 9 * DAY)
        ahead = subscribe(plan=plan, customer=make_customer(test_clock_id=clock.pk), at=NOON)
        here = subscribe(plan=plan)
        Segment.objects.filter(period__number__gt=0).delete()
        Period.objects.filter(number__gt=0).delete()

        report = ingest(
            write_event(ahead, timestamp=FIRST_END + 9 * DAY),
            write_event(here, timestamp=FIRST_END),
            at=FIRST_END,
        )

        assert count_report(report) == (2, 0, 0)
        assert len(list_bounds(ahead)) == 11
        assert len(list_bounds(here)) == 2


class TestEndedSubscriptions:
    def test_take_events_from_before_the_end_into_the_open_period(self) -> None:
        subscription = make_daily()
        cancel(subscription, at=NOON + 6 * HOUR)
        event = write_event(subscription, timestamp=NOON + 5 * HOUR)

        ingest(event, at=NOON + 7 * HOUR)

        assert (get_period_number(event), get_stored(event).is_late) == (0, False)
        assert LateUsage.objects.count() == 0

    def test_refuse_events_from_the_end_on(self) -> None:
        subscription = make_daily()
        cancel(subscription, at=NOON + 6 * HOUR)

        report = ingest(
            write_event(subscription, timestamp=NOON + 6 * HOUR),
            write_event(subscription, timestamp=NOON + 6 * HOUR - timedelta(microseconds=1)),
            at=NOON + 7 * HOUR,
        )

        assert list_codes(report) == [(0, "subscription_ended")]
        assert count_report(report) == (1, 0, 1)

    def test_take_events_into_their_own_closed_period_and_mark_it(self) -> None:
        subscription = make_daily()
        end = FIRST_END + DAY + 6 * HOUR
        ingest(write_event(subscription, timestamp=FIRST_END + DAY), at=end)
        cancel(subscription, at=end)
        for number in range(3):
            close(subscription, number, at=end + HOUR)
        events = [
            write_event(subscription, timestamp=utc(2020, 1, 1)),
            write_event(subscription, timestamp=FIRST_END + HOUR),
            write_event(subscription, timestamp=FIRST_END + 2 * HOUR),
            write_event(subscription, timestamp=end - HOUR),
        ]

        report = ingest(*events, at=end + 2 * HOUR)

        assert count_report(report) == (4, 0, 0)
        assert [get_period_number(event) for event in events] == [0, 1, 1, 2]
        assert all(get_stored(event).is_late for event in events)
        assert get_stored(events[0]).billed_at == NOON
        assert get_stored(events[1]).billed_at == FIRST_END + HOUR
        assert read_usage(subscription, period=1)[INPUT].late_quantity == 20
        marks = LateUsage.objects.order_by("period_id").values_list("period_id", "noted_at")
        periods = Period.objects.filter(subscription=subscription).order_by("pk")
        assert list(marks) == [(period.pk, end + 2 * HOUR) for period in periods]
        assert find_breaches() == []

    def test_are_not_marked_again_by_a_repeat(self) -> None:
        subscription = make_daily()
        cancel(subscription, at=NOON + HOUR)
        close(subscription, 0, at=NOON + HOUR)
        event = write_event(subscription)
        ingest(event, at=NOON + 2 * HOUR)
        take_late_usage(subscription_id=subscription.pk)

        report = ingest(event, {**event, "properties": {}}, at=NOON + 3 * HOUR)

        assert count_report(report) == (0, 1, 1)
        assert LateUsage.objects.count() == 0

    def test_refuse_everything_where_they_ended_as_they_began(self) -> None:
        subscription = make_daily()
        cancel(subscription, at=NOON)
        event = write_event(subscription, timestamp=NOON - HOUR)

        report = ingest(event, event, write_event(make_daily()))

        assert list_codes(report)[0] == (0, "subscription_ended")
        assert count_report(report)[0] == 1
        assert UsageEvent.objects.count() == 1


class TestTakeLateUsage:
    def test_returns_each_marked_period_once(self) -> None:
        subscription, other = make_daily(), make_daily()
        for each in (subscription, other):
            cancel(each, at=NOON + HOUR)
            close(each, 0, at=NOON + HOUR)
            ingest(write_event(each), write_event(each), at=NOON + 2 * HOUR)
        period = Period.objects.get(subscription=subscription, number=0)

        assert take_late_usage(subscription_id=subscription.pk) == [period.pk]
        assert take_late_usage(subscription_id=subscription.pk) == []
        assert LateUsage.objects.get().subscription_id == other.pk
