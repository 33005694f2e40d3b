"""Usage by hour and day, and in windows."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog.models import Aggregation, BillingCadence, Plan
from catalog.operations import MeterDefinition
from metering.queries import windows
from metering.queries.windows import (
    TooManyBuckets,
    UsageBucket,
    read_usage_series,
    read_window_usage,
)
from metering.windows import Granularity, Window, WindowKind
from subscriptions.models import Period, Subscription
from subscriptions.operations import When, cancel_subscription, ensure_periods
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.metering import (
    INPUT,
    OUTPUT,
    ingest,
    make_metered_plan,
    write_event,
)
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DENVER = "America/Denver"
LEVEL = "disk.level"


def make_levels_plan(*, carries_over: bool = False, **terms: Any) -> Plan:
    """Make a plan of a level that is weighted by time."""
    plan = make_plan(**terms)
    definition = MeterDefinition.read(
        event_type="disk",
        property="change",
        aggregation=Aggregation.WEIGHTED_SUM,
        carries_over=carries_over,
        group_by=["region"],
    )
    make_sku(plan, meter=definition, meter_code=LEVEL)
    return plan


def change(subscription: Subscription, by: int, at: datetime, region: str = "eu") -> dict[str, Any]:
    return write_event(
        subscription, event_type="disk", timestamp=at, properties={"change": by, "region": region}
    )


def show(buckets: Iterable[UsageBucket], code: str = INPUT) -> list[str]:
    """Write what one meter came to in each bucket."""
    return [
        str(item.usage.quantity.normalize() + 0)
        for bucket in buckets
        for item in bucket.meters
        if item.meter.code == code
    ]


def count_hours(buckets: Sequence[UsageBucket]) -> list[float]:
    return [(bucket.ends_at - bucket.starts_at) / HOUR for bucket in buckets]


def tumbling(hours: int, count: int = 1) -> Window:
    return Window(kind=WindowKind.TUMBLING, hours=hours, count=count)


def sliding(hours: int) -> Window:
    return Window(kind=WindowKind.SLIDING, hours=hours)


class TestReadUsageSeries:
    def test_shows_each_day_of_the_period(self, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(
            write_event(subscription),
            write_event(subscription, timestamp=NOON + 11 * HOUR),
            write_event(subscription, timestamp=NOON + 12 * HOUR, properties={"input_tokens": 7}),
            at=NOON + 12 * HOUR,
        )
        period = subscription.periods.get()

        with django_assert_num_queries(3):  # Segments, prices and rollups.
            days = read_usage_series(
                subscription=subscription, period=period, granularity=Granularity.DAY, at=NOON
            )

        assert [days[0].starts_at, days[1].starts_at] == [NOON, utc(2026, 3, 1)]
        assert days[-1].ends_at == period.ends_at
        assert len(days) == 28
        assert show(days) == ["20", "7", *["0"] * 26]
        assert show(days, OUTPUT) == ["4", *["0"] * 27]
        assert [item.meter.code for item in days[9].meters] == [INPUT, OUTPUT]

    def test_begins_with_the_part_of_an_hour_that_is_in_the_period(self) -> None:
        began = NOON + HOUR / 2
        plan = make_metered_plan(billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(plan=plan, start_at=began, at=began)
        ingest(
            write_event(subscription, timestamp=began),
            write_event(subscription, timestamp=NOON + HOUR, properties={"input_tokens": 3}),
            at=NOON + HOUR,
        )

        hours = read_usage_series(
            subscription=subscription,
            period=subscription.periods.get(),
            granularity=Granularity.HOUR,
            at=NOON + HOUR,
        )

        assert (hours[0].starts_at, hours[0].ends_at) == (began, NOON + HOUR)
        assert show(hours)[:3] == ["10", "3", "0"]

    @pytest.mark.parametrize(
        ("start_at", "hours", "shown"),
        [
            (utc(2026, 3, 7, 19), [12, 23], ["1", "2"]),
            (utc(2026, 10, 31, 18), [12, 25], ["1", "2"]),
        ],
        ids=["forward", "back"],
    )
    def test_has_days_as_long_as_the_clocks_make_them(
        self, start_at: datetime, hours: list[float], shown: list[str]
    ) -> None:
        subscription = subscribe(
            customer=make_customer(timezone=DENVER),
            plan=make_metered_plan(billing_cadence=BillingCadence.DAILY),
            start_at=start_at,
            at=start_at,
        )
        period = subscription.periods.get()
        ingest(
            write_event(subscription, timestamp=start_at, properties={"input_tokens": 1}),
            write_event(subscription, timestamp=period.ends_at - HOUR, properties={"input_tokens": 2}),
            at=period.ends_at,
        )

        days, by_hour = (
            read_usage_series(
                subscription=subscription, period=period, granularity=granularity, at=period.ends_at
            )
            for granularity in (Granularity.DAY, Granularity.HOUR)
        )

        assert count_hours(days) == hours
        assert show(days) == shown
        assert len(by_hour) == sum(hours)
        assert [hour for hour in show(by_hour) if hour != "0"] == shown

    def test_measures_a_level_in_each_day_for_itself(self) -> None:
        plan = make_plan()
        make_sku(
            plan,
            meter=MeterDefinition.read(event_type="seats", property="used", aggregation=Aggregation.MAX),
            meter_code="seats",
        )
        subscription = subscribe(plan=plan)
        ingest(
            *[
                write_event(
                    subscription, event_type="seats", timestamp=NOON + after * HOUR, properties={"used": used}
                )
                for after, used in ((0, 5), (1, 9), (30, 4))
            ],
            at=NOON + 30 * HOUR,
        )

        days = read_usage_series(
            subscription=subscription,
            period=subscription.periods.get(),
            granularity=Granularity.DAY,
            at=NOON + 30 * HOUR,
        )

        assert show(days, "seats")[:4] == ["9", "4", "0", "0"]

    def test_lets_a_weighted_level_go_on_from_day_to_day(self) -> None:
        subscription = subscribe(plan=make_levels_plan())
        now = utc(2026, 3, 3, 12)
        ingest(
            change(subscription, 10, NOON + 6 * HOUR),
            change(subscription, -4, utc(2026, 3, 1, 12)),
            at=now,
        )

        days = read_usage_series(
            subscription=subscription,
            period=subscription.periods.get(),
            granularity=Granularity.DAY,
            at=now,
        )

        # Half of the first half day; half a day of ten and half a day of six; six until now, and nothing after.
        assert show(days, LEVEL)[:5] == ["5", "8", "6", "6", "0"]

    def test_begins_with_the_level_that_is_carried_over(self) -> None:
        plan = make_levels_plan(carries_over=True, billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(plan=plan)
        ensure_periods(subscription_ids=[subscription.pk], until=utc(2026, 3, 3))
        now = utc(2026, 3, 3)
        ingest(change(subscription, 8, NOON), change(subscription, 8, utc(2026, 3, 2, 12)), at=now)

        (day,) = read_usage_series(
            subscription=subscription,
            period=Period.objects.get(subscription=subscription, number=1),
            granularity=Granularity.DAY,
            at=now,
        )

        assert show([day], LEVEL) == ["12"]

    def test_refuses_hours_of_a_long_period(self) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.QUARTERLY))

        with pytest.raises(TooManyBuckets):
            read_usage_series(
                subscription=subscription,
                period=subscription.periods.get(),
                granularity=Granularity.HOUR,
                at=NOON,
            )

    def test_has_no_part_of_a_period_without_length(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=NOON)
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=NOON, actor=TESTER)
        subscription.refresh_from_db()

        assert (
            read_usage_series(
                subscription=subscription,
                period=subscription.periods.get(),
                granularity=Granularity.DAY,
                at=NOON,
            )
            == ()
        )


class TestReadWindowUsage:
    def test_adds_up_the_last_windows_that_tumble(self) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(*[write_event(subscription, timestamp=NOON + n * HOUR) for n in range(8)], at=NOON + 7 * HOUR)

        windows = read_window_usage(
            subscription=subscription, window=tumbling(6, count=3), at=NOON + 7 * HOUR
        )

        assert [bucket.starts_at for bucket in windows] == [NOON - 6 * HOUR, NOON, NOON + 6 * HOUR]
        assert show(windows) == ["0", "60", "20"]

    def test_reaches_over_periods(self) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        stamps = [utc(2026, 3, 1, 23), utc(2026, 3, 2), utc(2026, 3, 3)]
        ingest(*[write_event(subscription, timestamp=stamp) for stamp in stamps], at=stamps[-1])
        assert Period.objects.filter(subscription=subscription).count() == 3

        def read(window: Window) -> list[str]:
            return show(read_window_usage(subscription=subscription, window=window, at=stamps[-1] + HOUR / 2))

        assert read(sliding(25)) == ["20"]
        assert read(sliding(26)) == ["30"]
        assert read(tumbling(24, count=3)) == ["10", "10", "10"]
        assert read(tumbling(7 * 24)) == ["20"]  # The first one was on a Sunday.

    @pytest.mark.parametrize(
        ("minutes", "seconds", "shown"),
        [(29, 0, "20"), (29, 1, "10"), (30, 0, "10"), (30, 1, "0"), (60, 0, "0")],
    )
    def test_slides_to_the_second(self, minutes: int, seconds: int, shown: str) -> None:
        subscription = subscribe(plan=make_metered_plan())
        stamps = [NOON + timedelta(minutes=29), NOON + timedelta(minutes=30)]
        ingest(*[write_event(subscription, timestamp=stamp) for stamp in stamps], at=NOON + HOUR)
        at = NOON + timedelta(minutes=minutes, seconds=seconds) + 2 * HOUR

        (window,) = read_window_usage(subscription=subscription, window=sliding(2), at=at)

        assert (window.starts_at, window.ends_at) == (at - 2 * HOUR, at)
        assert show([window]) == [shown]

    def test_slides_by_the_hours_that_clocks_show(self) -> None:
        subscription = subscribe(
            customer=make_customer(timezone="Asia/Kolkata"), plan=make_metered_plan(), at=NOON
        )
        ingest(
            write_event(subscription, timestamp=NOON + HOUR / 4),
            write_event(subscription, timestamp=NOON + HOUR * 3 / 4),
            at=NOON + HOUR,
        )

        def read(at: datetime) -> list[str]:
            return show(read_window_usage(subscription=subscription, window=sliding(1), at=at))

        assert read(NOON + HOUR) == ["20"]
        assert read(NOON + HOUR + HOUR / 4) == ["20"]
        assert read(NOON + HOUR * 3 / 2) == ["10"]
        assert read(NOON + 2 * HOUR) == ["0"]

    def test_begins_on_the_hour_where_events_are_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        subscription = subscribe(plan=make_metered_plan())
        ingest(*[write_event(subscription, timestamp=NOON + n * HOUR / 4) for n in range(4)], at=NOON + HOUR)

        def read() -> UsageBucket:
            at = NOON + HOUR * 5 / 4
            (window,) = read_window_usage(subscription=subscription, window=sliding(1), at=at)
            return window

        monkeypatch.setattr(windows, "MAX_RECOUNTED_EVENTS", 3)
        assert (read().starts_at, show([read()])) == (NOON + HOUR / 4, ["30"])
        monkeypatch.setattr(windows, "MAX_RECOUNTED_EVENTS", 2)
        assert (read().starts_at, show([read()])) == (NOON, ["40"])

    def test_lists_the_meters_where_there_is_no_period(self) -> None:
        subscription = subscribe(plan=make_metered_plan(), start_at=NOON + 99 * HOUR, at=NOON)

        (window,) = read_window_usage(subscription=subscription, window=sliding(1), at=NOON)

        assert [item.usage.quantity for item in window.meters] == [0, 0]

    def test_weighs_a_level_over_all_of_the_window(self) -> None:
        subscription = subscribe(plan=make_levels_plan())
        ingest(
            change(subscription, 6, NOON + HOUR / 4),
            change(subscription, 6, NOON + HOUR * 3 / 4),
            change(subscription, -12, NOON + 2 * HOUR),
            at=NOON + 2 * HOUR,
        )

        def read(window: Window, at: datetime) -> list[str]:
            return show(read_window_usage(subscription=subscription, window=window, at=at), LEVEL)

        assert read(sliding(1), NOON + HOUR) == ["6"]  # Nothing, 6, 6, 12, a quarter each.
        assert read(sliding(1), NOON + HOUR * 3 / 2) == ["10.5"]  # From 12:30 on: 6, 12, 12, 12.
        assert read(sliding(1), NOON + HOUR * 5 / 2) == ["6"]  # From 13:30 on: 12, 12, 0, 0.
        assert read(sliding(4), NOON + 2 * HOUR) == ["4.5"]  # Two hours before the subscription: nothing.
        assert read(tumbling(1, count=3), NOON + HOUR * 5 / 2) == ["6", "12", "0"]

    @pytest.mark.parametrize(
        ("carries_over", "second", "whole"),
        [(False, "1", "3.666666666667"), (True, "11", "7")],
        ids=["does not", "carries over"],
    )
    def test_lets_a_level_end_with_its_period_unless_it_carries_over(
        self, *, carries_over: bool, second: str, whole: str
    ) -> None:
        plan = make_levels_plan(carries_over=carries_over, billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(plan=plan)
        now = utc(2026, 3, 2, 12)
        ingest(change(subscription, 10, utc(2026, 3, 1, 12)), change(subscription, 2, now - 6 * HOUR), at=now)

        assert read_level(subscription, tumbling(24, count=2), at=now) == ["5", second]
        assert read_level(subscription, sliding(12), at=now) == [second]
        assert read_level(subscription, sliding(36), at=now) == [whole]

    def test_lets_a_level_end_with_the_subscription(self) -> None:
        plan = make_levels_plan(carries_over=True)
        subscription = subscribe(plan=plan)
        ingest(change(subscription, 10, NOON))
        ended = NOON + 6 * HOUR
        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=ended, actor=TESTER)
        subscription.refresh_from_db()

        assert read_level(subscription, sliding(12), at=NOON + 12 * HOUR) == ["5"]
        assert read_level(subscription, tumbling(6, count=2), at=NOON + 11 * HOUR) == ["10", "0"]
        assert read_level(subscription, sliding(1), at=NOON + 12 * HOUR) == ["0"]

    def test_takes_a_constant_number_of_queries(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        subscription = subscribe(plan=make_metered_plan(billing_cadence=BillingCadence.DAILY))
        ingest(
            *[write_event(subscription, timestamp=NOON + day * 24 * HOUR) for day in range(9)],
            at=NOON + 192 * HOUR,
        )

        for window in (tumbling(24), tumbling(24, count=9), tumbling(1, count=100)):
            with django_assert_num_queries(4):  # Periods, segments, prices and rollups.
                read_window_usage(subscription=subscription, window=window, at=NOON + 200 * HOUR)


def read_level(subscription: Subscription, window: Window, *, at: datetime) -> list[str]:
    return show(read_window_usage(subscription=subscription, window=window, at=at), LEVEL)


class TestChangesAhead:
    """A change that is stored before its instant does not pull the level of the running hour down."""

    def make_level(self, now: datetime) -> Subscription:
        subscription = subscribe(plan=make_levels_plan())
        ingest(change(subscription, 10, NOON), at=now)
        ingest(change(subscription, 60, now + HOUR / 2), change(subscription, -4, now + HOUR), at=now)
        return subscription

    def test_do_not_count_before_it(self) -> None:
        now = NOON + 24 * HOUR + HOUR / 6
        subscription = self.make_level(now)

        hours = read_usage_series(
            subscription=subscription, period=subscription.periods.get(), granularity=Granularity.HOUR, at=now
        )

        assert show(hours, LEVEL)[23:26] == ["10", "10", "0"]
        assert read_level(subscription, sliding(1), at=now) == ["10"]
        assert read_level(subscription, sliding(1), at=now + HOUR / 2) == ["10"]
        assert read_level(subscription, sliding(1), at=now + HOUR) == ["40"]  # 10, then 70.

    def test_do_not_count_where_the_subscription_ended_before(self) -> None:
        now = NOON + 24 * HOUR + HOUR / 6
        subscription = self.make_level(now)

        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=now, actor=TESTER)
        subscription.refresh_from_db()

        assert read_level(subscription, sliding(2), at=now + HOUR) == ["5"]  # 10 for one hour of two.
