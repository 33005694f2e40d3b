"""Usage over segments and periods: what adds up, what is shared out by days, and what goes on.

April has 30 days, May 31, June 30. Quantities are worked out by hand, to twelve decimal places.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_project.core.money import Rounding, round_quantity
from catalog.models import Aggregation, Anchor, Meter
from metering.operations import void_event
from metering.queries import ahead, read_segment_usage, read_usage_summary
from metering.queries.choices import UsageChoice
from metering.queries.rollups import BY_EVERY_GROUP, Grouping
from metering.verification import verify_usage
from subscriptions.models import Subscription
from subscriptions.operations import When, cancel_subscription, ensure_periods
from tests.factories.core import TESTER
from tests.factories.metering import (
    close,
    count_report,
    define_meter,
    get_period_number,
    ingest,
    make_plan_of,
    read_usage,
    split_period,
    write_upload,
)
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
APRIL, MAY, JUNE, JULY = (utc(2026, month, 1) for month in (4, 5, 6, 7))
METERS = {name: define_meter(Aggregation(name)) for name in Aggregation.values}
WEIGHTED = "WeightedSum"


def april(day: int) -> datetime:
    return utc(2026, 4, day)


def subscribe_from_april(**meters: bool) -> Subscription:
    """Subscribe from 1 April to a plan with a meter of each aggregation, or with these weighted sums.

    Whether one carries over is what is said of it.
    """
    weighted = {
        name: define_meter(Aggregation.WEIGHTED_SUM, carries_over=carries_over)
        for name, carries_over in meters.items()
    }
    return subscribe(plan=make_plan_of(weighted or METERS), start_at=APRIL, at=APRIL)


def send(subscription: Subscription, *uploads: tuple[datetime, object], at: datetime | None = None) -> None:
    """Send uploads of these sizes, each at its time unless another is given."""
    for timestamp, size in uploads:
        report = ingest(write_upload(subscription, timestamp=timestamp, size=size), at=at or timestamp)
        assert count_report(report) == (1, 0, 0)


def read_quantities(
    subscription: Subscription, *, period: int = 0, at: datetime = JULY
) -> dict[str, Decimal]:
    """Read what is billed for a period, over all its segments."""
    return {code: found.quantity for code, found in read_usage(subscription, period=period, at=at).items()}


def read_segments(subscription: Subscription) -> list[dict[str, Decimal]]:
    """Read what is billed for each segment of the first period."""
    period = subscription.periods.get(number=0)
    segments = list(period.segments.order_by("position"))
    codes = {meter.pk: meter.code for meter in Meter.objects.all()}
    usage = read_segment_usage(
        customer_id=subscription.customer_id,
        period=period,
        segments=segments,
        meters=Meter.objects.all(),
        at=JULY,
    )
    return [
        {codes[meter_id]: found.quantity for (owner, meter_id), found in usage.items() if owner == segment.pk}
        for segment in segments
    ]


def summarize(subscription: Subscription, *, period: int = 0, at: datetime = JULY) -> dict[str, Decimal]:
    """Read what is shown of a period, by meter."""
    found = read_usage_summary(
        subscription=subscription, period=subscription.periods.get(number=period), at=at
    )
    return {item.meter.code: item.usage.quantity for item in found.meters}


def round_to_places(quantity: Fraction) -> Decimal:
    """Round a quantity that is worked out as a fraction."""
    return round_quantity(quantity, Rounding.HALF_EVEN)


def count_reads_of_events(subscription: Subscription) -> int:
    """Count the queries for events that it takes to show the usage of the first period."""
    with CaptureQueriesContext(connection) as queries:
        summarize(subscription, at=april(11))
    return sum("metering_usageevent" in query["sql"] for query in queries)


def write_quantities(quantities: Mapping[str, str]) -> dict[str, Decimal]:
    return {name: Decimal(quantity) for name, quantity in quantities.items()}


class TestSegments:
    def test_have_their_own_flows_and_levels_for_their_share_of_the_days(self) -> None:
        subscription = subscribe_from_april()
        split_period(subscription, at=april(11))  # 10 and 20 of 30 days: a third, and two.

        send(subscription, (april(5), 10), (april(8), 20), (april(20), 40), (april(25), 10))

        first, second = read_segments(subscription)
        assert first == write_quantities(
            {
                "Sum": "30",
                "Count": "2",
                "Max": "6.666666666667",  # 20 / 3
                "Min": "3.333333333333",  # 10 / 3
                "Average": "5",  # 15 / 3
                "UniqueCount": "0.666666666667",  # 2 / 3
                "Latest": "6.666666666667",  # 20 / 3
                "Percentile": "6.666666666667",  # 20 / 3
                # 10 for the last 6 of 10 days and 20 for the last 3: 120 / 10 = 12, of which a third.
                "WeightedSum": "4",
            }
        )
        assert second == write_quantities(
            {
                "Sum": "50",
                "Count": "2",
                "Max": "26.666666666667",  # 40 x 2 / 3
                "Min": "6.666666666667",  # 10 x 2 / 3
                "Average": "16.666666666667",  # 25 x 2 / 3
                "UniqueCount": "1.333333333333",  # 2 x 2 / 3
                "Latest": "6.666666666667",  # 10 x 2 / 3
                "Percentile": "26.666666666667",  # 40 x 2 / 3
                # 30 went on for 20 days, and 40 came for 11, 10 for 6: 1100 / 20 = 55, of which two thirds.
                "WeightedSum": "36.666666666667",
            }
        )
        assert first.keys() == second.keys() == METERS.keys()
        assert find_breaches() == []

    def test_are_shown_as_one_period(self) -> None:
        subscription = subscribe_from_april()
        split_period(subscription, at=april(11))

        send(subscription, (april(5), 10), (april(8), 20), (april(20), 40), (april(25), 10))

        assert summarize(subscription) == write_quantities(
            {
                "Sum": "80",
                "Count": "4",
                "Max": "40",
                "Min": "10",
                "Average": "20",
                "UniqueCount": "3",
                "Latest": "10",
                "Percentile": "40",
                "WeightedSum": "40.666666666667",  # (120 + 1100) / 30
            }
        )

    @pytest.mark.parametrize("name", sorted(METERS.keys() - {"Sum", "Count", WEIGHTED}))
    def test_add_up_where_the_level_stays(self, name: str) -> None:
        subscription = subscribe_from_april()
        split_period(subscription, at=april(11))
        split_period(subscription, at=april(16))

        send(subscription, (april(1), 12), (april(11), 12), (april(16), 12))

        # For 10, 5 and 15 of 30 days: a third, a sixth and a half.
        level = 1 if name == "UniqueCount" else 12
        shares = [quantities[name] for quantities in read_segments(subscription)]
        assert [round(3 * shares[0], 9), round(6 * shares[1], 9), 2 * shares[2]] == [level] * 3
        assert sum(shares) == level

    def test_without_an_event_have_no_level_but_one_that_is_weighted_by_time(self) -> None:
        subscription = subscribe_from_april()
        split_period(subscription, at=april(11))
        split_period(subscription, at=april(16))

        send(subscription, (april(1), 12))

        _, second, third = read_segments(subscription)
        assert (second, third) == ({WEIGHTED: Decimal(2)}, {WEIGHTED: Decimal(6)})

    def test_are_rounded_once_after_they_have_their_share(self) -> None:
        subscription = subscribe_from_april()
        split_period(subscription, at=april(16))

        send(subscription, (april(1), 0), (april(11), 20), (april(11), 0))

        first, _ = read_segments(subscription)
        # 20 / 3 x 1 / 2 = 3.333...; half of 6.666666666667 would be 3.333333333334.
        assert first["Average"] == Decimal("3.333333333333")
        # 20 for 5 of 15 days, for half of the month: the same.
        assert first[WEIGHTED] == Decimal("3.333333333333")

    @pytest.mark.parametrize("name", ["Max", "Min", "Latest", "Percentile", "Sum"])
    def test_leave_what_was_counted_as_exact_as_it_is(self, name: str) -> None:
        subscription = subscribe_from_april()

        send(subscription, (april(1), "0.000000000000000000000000000007"))

        assert read_quantities(subscription)[name] == Decimal("7e-30")
        assert summarize(subscription)[name] == Decimal("7e-30")


class TestWeightedSum:
    def test_goes_on_over_segments_and_not_over_periods(self) -> None:
        subscription = subscribe_from_april(stored=False)
        split_period(subscription, at=april(16))
        ensure_periods(subscription_ids=[subscription.pk], until=MAY)

        send(subscription, (april(1), 10))

        assert read_segments(subscription) == [{"stored": Decimal(5)}, {"stored": Decimal(5)}]
        assert read_quantities(subscription, period=1) == {}
        assert summarize(subscription, period=1) == {"stored": Decimal(0)}

    def test_goes_on_over_periods_where_it_carries_over(self) -> None:
        subscription = subscribe_from_april(stored=True)
        split_period(subscription, at=april(16))
        ensure_periods(subscription_ids=[subscription.pk], until=JULY)

        send(subscription, (april(16), 10), (utc(2026, 6, 16), -4))

        assert read_segments(subscription) == [{"stored": Decimal(0)}, {"stored": Decimal(5)}]
        assert read_quantities(subscription, period=1) == {"stored": Decimal(10)}  # Without an event.
        assert read_quantities(subscription, period=2) == {"stored": Decimal(8)}  # 10, then 6.
        assert read_quantities(subscription, period=3, at=utc(2026, 8, 1)) == {"stored": Decimal(6)}
        assert summarize(subscription, period=1) == {"stored": Decimal(10)}
        assert summarize(subscription, period=2) == {"stored": Decimal(8)}

    def test_may_end_a_period_at_nothing(self) -> None:
        subscription = subscribe_from_april(stored=True)
        ensure_periods(subscription_ids=[subscription.pk], until=MAY)

        send(subscription, (april(1), 10), (april(16), -10))

        assert read_quantities(subscription) == {"stored": Decimal(5)}
        assert read_quantities(subscription, period=1) == {"stored": Decimal(0)}

    def test_remembers_a_level_below_zero(self) -> None:
        subscription = subscribe_from_april(stored=True)

        send(subscription, (april(1), -5), (MAY, 8))

        assert read_quantities(subscription) == {"stored": Decimal(0)}
        assert read_quantities(subscription, period=1) == {"stored": Decimal(3)}

    def test_counts_a_late_change_from_the_start_of_its_period(self) -> None:
        subscription = subscribe_from_april(stored=True, other=False)
        send(subscription, (april(1), 10))
        close(subscription, 0, at=MAY + HOUR)

        late = write_upload(subscription, timestamp=april(16), size=-4)
        ingest(late, at=MAY + HOUR)

        assert get_period_number(late) == 1
        assert read_quantities(subscription) == {"stored": Decimal(10), "other": Decimal(10)}
        # 10 - 4 through May; without the ten that do not carry over, it is below zero.
        assert read_quantities(subscription, period=1) == {"stored": Decimal(6), "other": Decimal(0)}
        assert find_breaches() == []

    def test_counts_a_change_in_grace_for_the_next_period_too(self) -> None:
        subscription = subscribe_from_april(stored=True)
        send(subscription, (april(1), 10), (MAY, 2))

        send(subscription, (april(16), -4), at=MAY + HOUR / 2)

        assert read_quantities(subscription) == {"stored": Decimal(8)}  # 10, then 6 for half of the month.
        assert read_quantities(subscription, period=1) == {"stored": Decimal(8)}  # 6 + 2

    def test_is_its_area_so_far_over_the_whole_time(self) -> None:
        subscription = subscribe_from_april(stored=False)
        split_period(subscription, at=april(16))

        send(subscription, (april(6), 12))

        # 12 for 5 of 15 days so far, for half of the month; the second half has not begun.
        assert read_quantities(subscription, at=april(11)) == {"stored": Decimal(2)}
        # 12 for 10 of 15 days, and for 5 of the other 15: half of 8, and half of 4.
        assert read_quantities(subscription, at=april(21)) == {"stored": Decimal(6)}
        # 12 for 10 of 15 days, and for all of the other 15.
        assert read_quantities(subscription, at=MAY) == {"stored": Decimal(10)}
        assert read_quantities(subscription, at=april(6)) == {"stored": Decimal(0)}
        assert read_quantities(subscription, at=APRIL - HOUR) == {"stored": Decimal(0)}

    @pytest.mark.parametrize("now", [april(11), april(16), april(21), MAY, JULY])
    def test_is_shown_as_it_is_billed(self, now: datetime) -> None:
        subscription = subscribe_from_april(stored=True, other=False)
        split_period(subscription, at=april(16) + 12 * HOUR)

        send(subscription, (april(6), 12), (april(16) + 15 * HOUR, 7))

        assert summarize(subscription, at=now) == read_quantities(subscription, at=now)

    def test_has_the_days_of_its_segments_also_where_it_is_shown(self) -> None:
        subscription = subscribe_from_april(stored=False)
        split_period(subscription, at=april(16) + 12 * HOUR)

        send(subscription, (april(16) + 12 * HOUR, 10))

        # The day of the change is the second segment's: 15 of 30 days, as for a fee.
        assert read_segments(subscription) == [{"stored": Decimal(0)}, {"stored": Decimal(5)}]
        assert summarize(subscription) == {"stored": Decimal(5)}

    def test_is_counted_for_the_share_of_the_full_period(self) -> None:
        plan = make_plan_of(
            {"stored": define_meter(Aggregation.WEIGHTED_SUM), "most": define_meter(Aggregation.MAX)},
            anchor=Anchor.CALENDAR,
        )
        subscription = subscribe(plan=plan, start_at=april(16), at=april(16))

        send(subscription, (april(16), 10))

        # Half of April, as a fee would be; a level that knows nothing of time is what it is.
        assert read_quantities(subscription) == {"stored": Decimal(5), "most": Decimal(10)}
        assert summarize(subscription) == {"stored": Decimal(5), "most": Decimal(10)}

    def test_ends_with_the_subscription(self) -> None:
        subscription = subscribe_from_april(stored=True)
        send(subscription, (april(1), 10))

        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=april(16), actor=TESTER)

        assert read_quantities(subscription) == {"stored": Decimal(5)}

    def test_has_a_level_for_each_group(self) -> None:
        definition = define_meter(Aggregation.WEIGHTED_SUM, carries_over=True, group_by=["region"])
        subscription = subscribe(plan=make_plan_of({"stored": definition}), start_at=APRIL, at=APRIL)
        ensure_periods(subscription_ids=[subscription.pk], until=MAY)
        ingest(
            write_upload(subscription, timestamp=APRIL, size=10, region="eu"),
            write_upload(subscription, timestamp=april(16), size=6),
            at=april(16),
        )
        ingest(write_upload(subscription, timestamp=MAY, size=-4, region="eu"), at=MAY)

        def read_groups(period: int) -> list[tuple[str | None, Decimal]]:
            summary = read_usage_summary(
                subscription=subscription,
                period=subscription.periods.get(number=period),
                at=JULY,
                choice=UsageChoice(grouping=BY_EVERY_GROUP),
            )
            groups = summary.meters[0].groups
            assert groups is not None
            return [(group.values["region"], group.usage.quantity) for group in groups]

        assert read_groups(0) == [("eu", Decimal(10)), (None, Decimal(3))]
        assert read_groups(1) == [("eu", Decimal(6)), (None, Decimal(6))]


class TestChangesAhead:
    """Changes of a level that are stored before their instant, as they can be by up to an hour."""

    def make_level(self, *, carries_over: bool = False) -> Subscription:
        """Have a level of 12 all April long: it comes to 4 until 11 April."""
        subscription = subscribe_from_april(stored=carries_over)
        send(subscription, (april(1), 12))
        return subscription

    @pytest.mark.parametrize("size", [60, -12])
    def test_do_not_count_before_it(self, size: int) -> None:
        subscription = self.make_level()
        now = april(11)

        send(subscription, (now + HOUR, size), at=now)

        half_an_hour = timedelta(minutes=30)
        # 12 for 240 of 720 hours, 240.5, and 241; then 12 and the change for 36.
        assert read_quantities(subscription, at=now) == {"stored": Decimal(4)}
        assert read_quantities(subscription, at=now + half_an_hour) == {"stored": Decimal("4.008333333333")}
        assert read_quantities(subscription, at=now + HOUR) == {"stored": Decimal("4.016666666667")}
        assert read_quantities(subscription, at=now + 37 * HOUR) == {
            "stored": round_to_places(Fraction(12 * 277 + size * 36, 720))
        }
        assert summarize(subscription, at=now) == {"stored": Decimal(4)}
        assert summarize(subscription, at=now + half_an_hour) == {"stored": Decimal("4.008333333333")}

    def test_do_not_count_before_it_in_their_group_either(self) -> None:
        definition = define_meter(Aggregation.WEIGHTED_SUM, group_by=["region", "tier"])
        subscription = subscribe(plan=make_plan_of({"stored": definition}), start_at=APRIL, at=APRIL)
        ingest(write_upload(subscription, timestamp=april(1), size=12, region="eu", tier="a"), at=april(1))
        now = april(11)
        ingest(
            write_upload(subscription, timestamp=now + HOUR, size=60, region="eu", tier="b"),
            write_upload(subscription, timestamp=now + HOUR, size=30, region="us", tier="a"),
            at=now,
        )

        summary = read_usage_summary(
            subscription=subscription,
            period=subscription.periods.get(),
            at=now + HOUR / 2,
            choice=UsageChoice(grouping=Grouping(properties=("region",))),
        )

        groups = summary.meters[0].groups
        assert groups is not None
        assert [(group.values, group.usage.quantity) for group in groups] == [
            ({"region": "eu"}, Decimal("4.008333333333")),  # 12 for 240.5 of 720 hours.
            ({"region": "us"}, Decimal(0)),
        ]

    def test_that_were_taken_back_or_do_not_count_change_nothing(self) -> None:
        subscription = self.make_level()
        now = april(11)
        gone = write_upload(subscription, timestamp=now + HOUR, size=60)
        ingest(gone, {**gone, "id": "without a size", "properties": {"other": 1}}, at=now)

        void_event(
            customer_id=subscription.customer_id, event_id=gone["id"], reason="Wrong", at=now, actor=TESTER
        )

        assert read_quantities(subscription, at=now) == {"stored": Decimal(4)}
        assert read_quantities(subscription, at=MAY) == {"stored": Decimal(12)}

    def test_count_in_the_segment_of_their_instant(self) -> None:
        subscription = self.make_level()
        now = april(16)
        send(subscription, (now + HOUR, 24), at=now)

        split_period(subscription, at=now)

        # 12 for all of the first half; 12, and 24 but for the first of 360 hours, in the second.
        expected = [{"stored": Decimal(6)}, {"stored": Decimal("17.966666666667")}]
        assert read_segments(subscription) == expected
        assert summarize(subscription) == {"stored": Decimal("23.966666666667")}
        # Half an hour later: 12 for half an hour of 360, for half of the month.
        assert read_quantities(subscription, at=now + HOUR / 2) == {"stored": Decimal("6.008333333333")}

    def test_count_from_their_instant_where_there_was_no_level_before(self) -> None:
        subscription = subscribe_from_april(stored=False)
        send(subscription, (april(16) + HOUR, 24), at=april(16))

        split_period(subscription, at=april(16))

        # 24 for 359 of 360 hours, for half of the month.
        assert read_segments(subscription)[1] == {"stored": Decimal("11.966666666667")}

    def test_do_not_count_where_the_subscription_ended_before(self) -> None:
        subscription = self.make_level()
        now = april(16)
        send(subscription, (now + HOUR / 2, 24), at=now)

        cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=now, actor=TESTER)

        assert read_quantities(subscription) == {"stored": Decimal(6)}
        assert find_breaches() == []

    def test_are_carried_over_all_the_same(self) -> None:
        subscription = self.make_level(carries_over=True)
        send(subscription, (MAY - HOUR / 2, 24), at=MAY - HOUR)
        ensure_periods(subscription_ids=[subscription.pk], until=MAY)

        assert read_quantities(subscription, at=MAY - HOUR) == {"stored": Decimal("11.983333333333")}
        assert read_quantities(subscription, period=1) == {"stored": Decimal(36)}

    def test_are_read_up_to_a_limit_while_their_instants_are_to_come(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ahead, "MAX_EVENTS_AHEAD", 1)
        subscription = self.make_level()
        now = april(16)
        send(subscription, (now + HOUR, 24), (now + HOUR / 2, 12), at=now)

        # 12 for half of the time, less an hour of the later change: (12 x 360 - 24) / 720.
        assert read_quantities(subscription, at=now) == {"stored": Decimal("5.966666666667")}
        # Once the segment is over, all of them are read.
        split_period(subscription, at=now)
        assert read_quantities(subscription, at=now) == {"stored": Decimal(6)}

    def test_are_held_back_where_usage_is_verified_too(self) -> None:
        subscription = self.make_level()
        now = april(16)
        send(subscription, (now + HOUR, 24), at=now)
        split_period(subscription, at=now)
        period = subscription.periods.get()

        for at, quantities in (
            (now + HOUR / 2, ["6", "0.008333333333"]),
            (MAY, ["6", "17.966666666667"]),
        ):
            found = verify_usage(subscription=subscription, period=period, at=at)
            assert [usage.recounted.quantity for usage in found] == [Decimal(each) for each in quantities]
            assert all(usage.is_right for usage in found)

    def test_are_looked_for_where_a_level_is_weighted_by_time(self) -> None:
        weighted, others = (
            subscribe_from_april(stored=False),
            subscribe(plan=make_plan_of({"most": define_meter(Aggregation.MAX)})),
        )

        assert count_reads_of_events(weighted) == 1
        assert count_reads_of_events(others) == 0


class TestLateEvents:
    def test_leave_the_closed_period_as_it_was_and_count_in_the_next(self) -> None:
        subscription = subscribe_from_april()
        send(subscription, (april(16), 20))
        close(subscription, 0, at=MAY + HOUR)
        before = read_usage(subscription, period=0, at=JULY)

        send(subscription, (april(10), 100), at=MAY + HOUR)
        send(subscription, (utc(2026, 5, 11), 10))

        assert read_usage(subscription, period=0, at=JULY) == before
        usage = read_usage(subscription, period=1, at=JULY)
        assert {name: found.quantity for name, found in usage.items()} == write_quantities(
            {
                "Sum": "110",
                "Count": "2",
                "Max": "100",
                "Min": "10",
                "Average": "55",
                "UniqueCount": "2",
                "Latest": "10",  # By the timestamps, not by the order of arrival.
                "Percentile": "100",
                "WeightedSum": "106.774193548387",  # 100 from the first on, and 10 for 21 of 31 days.
            }
        )
        late = {name: found.late_quantity for name, found in usage.items() if found.late_quantity}
        assert late == {"Sum": Decimal(100), "Count": Decimal(1)}
        assert {found.event_count for found in usage.values()} == {2}
        assert find_breaches() == []

    def test_are_the_latest_where_there_is_no_other(self) -> None:
        subscription = subscribe_from_april()
        close(subscription, 0, at=MAY + HOUR)

        send(subscription, (april(12), 7), (april(10), 100), at=MAY + HOUR)

        assert read_quantities(subscription, period=1)["Latest"] == 7
