"""Which segment an event belongs to."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing_project.core.ids import make_id
from catalog.property_filters import FilterOperator, PropertyFilter
from metering.aggregation.count import ONE, Count
from metering.aggregation.latest import Latest
from metering.aggregation.rules import MeterRule
from metering.aggregation.sum import Sum
from metering.aggregation.types import Aggregation, Contribution
from metering.ingest.incoming import EventRefused, RefusalCode
from metering.ingest.matching import (
    Counted,
    SegmentFacts,
    SubscriptionFacts,
    count_event,
    count_stored_event,
    place,
)

SUBSCRIPTION = make_id()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LARGE = PropertyFilter("size", FilterOperator.GREATER_THAN, ("100",))


def day(number: int) -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=number)


def segment(
    period: int, starts: int, ends: int, *, timezone: str = "UTC", closed: UUID | None = None
) -> SegmentFacts:
    return SegmentFacts(make_id(), SUBSCRIPTION, period, day(starts), day(ends), timezone, closed)


def make_rule(aggregation: Aggregation, **rest: Any) -> MeterRule:
    return MeterRule(make_id(), "upload", aggregation, **rest)


def make_subscription(*, ends_at: datetime | None, is_cancelled: bool = False) -> SubscriptionFacts:
    return SubscriptionFacts(SUBSCRIPTION, make_id(), make_id(), is_cancelled, day(0), ends_at)


class TestPlace:
    def test_takes_the_segment_that_contains_the_timestamp(self) -> None:
        first, second = segment(4, 0, 10), segment(5, 10, 20)

        for number, expected in [(0, first), (9, first), (10, second), (19, second)]:
            placement = place(timestamp=day(number), segments=[first, second])
            assert placement is not None
            assert placement.segment_id == expected.id
            assert (placement.billed_at, placement.is_late) == (day(number), False)
            assert placement.subscription_id == SUBSCRIPTION
            assert placement.late_period_id is None

    def test_takes_the_earliest_open_one_where_its_own_is_closed(self) -> None:
        open_ones = [segment(4, 10, 20), segment(5, 20, 30)]

        placement = place(timestamp=day(3), segments=open_ones)

        assert placement is not None
        assert placement.segment_id == open_ones[0].id
        assert (placement.billed_at, placement.is_late) == (day(10), True)

    def test_takes_the_first_period_for_what_is_older_and_does_not_call_it_late(self) -> None:
        placement = place(timestamp=day(-200), segments=[segment(0, 0, 10)])

        assert placement is not None
        assert (placement.billed_at, placement.is_late) == (day(0), False)

    def test_takes_the_segment_within_the_period(self) -> None:
        before, after = segment(2, 0, 4), segment(2, 4, 10)

        for number, expected in [(-1, before), (3, before), (4, after)]:
            placement = place(timestamp=day(number), segments=[before, after])
            assert placement is not None
            assert placement.segment_id == expected.id

    def test_skips_what_has_no_length(self) -> None:
        empty, full = segment(0, 0, 0), segment(0, 0, 10)

        placement = place(timestamp=day(-1), segments=[empty, full])

        assert placement is not None
        assert placement.segment_id == full.id
        assert place(timestamp=day(-1), segments=[empty]) is None

    def test_is_late_in_a_closed_period_and_names_it(self) -> None:
        closed_id = make_id()

        placement = place(timestamp=day(3), segments=[segment(0, 0, 10, closed=closed_id)])

        assert placement is not None
        assert (placement.billed_at, placement.is_late) == (day(3), True)
        assert placement.late_period_id == closed_id

    @pytest.mark.parametrize(
        ("timezone", "minutes", "hour_at"),
        [
            # Clocks in Kolkata show 5:30 more, so their hours begin at half past.
            ("Asia/Kolkata", 29, -30), ("Asia/Kolkata", 30, 30), ("Asia/Kolkata", 89, 30),
            # 5:45 more, and 9:30 less.
            ("Asia/Kathmandu", 14, -45), ("Asia/Kathmandu", 15, 15), ("Asia/Kathmandu", 60, 15),
            ("Pacific/Marquesas", 29, -30), ("Pacific/Marquesas", 30, 30),
        ],
    )  # fmt: skip
    def test_counts_in_the_hour_that_clocks_of_the_period_show(
        self, timezone: str, minutes: int, hour_at: int
    ) -> None:
        timestamp = day(3) + timedelta(minutes=minutes, seconds=5)

        placement = place(timestamp=timestamp, segments=[segment(0, 0, 10, timezone=timezone)])

        assert placement is not None
        assert placement.billed_at == timestamp
        assert placement.hour_at == day(3) + timedelta(minutes=hour_at)

    @pytest.mark.parametrize("timezone", ["UTC", "America/New_York"])
    def test_leaves_whole_hours_to_the_database(self, timezone: str) -> None:
        placement = place(timestamp=day(3), segments=[segment(0, 0, 10, timezone=timezone)])

        assert placement is not None
        assert placement.hour_at is None

    def test_counts_late_events_in_the_first_hour_of_the_period(self) -> None:
        placement = place(timestamp=day(3), segments=[segment(4, 10, 20, timezone="Asia/Kathmandu")])

        assert placement is not None
        assert placement.hour_at == day(10) - timedelta(minutes=45)

    def test_finds_none_after_the_last(self) -> None:
        assert place(timestamp=day(10), segments=[segment(0, 0, 10)]) is None
        assert place(timestamp=day(0), segments=[]) is None


class TestCountEvent:
    def test_lists_what_each_meter_that_counts_it_gets(self) -> None:
        by_region = make_rule(Sum("size"), group_by=("region",))
        large = make_rule(Count(), filters=(LARGE,))
        missing = make_rule(Sum("other"))

        counted = count_event(
            {"size": 7, "region": "eu"}, timestamp=day(0), rules=[by_region, large, missing]
        )

        assert counted == [Counted(by_region, '["eu"]', Contribution(Decimal(7)))]

    def test_goes_by_the_events_own_timestamp(self) -> None:
        (counted,) = count_event({"size": 7}, timestamp=EPOCH + SECOND, rules=[make_rule(Latest("size"))])

        assert counted.contribution.rank == 1_000_000

    @pytest.mark.parametrize("properties", [{"size": -1}, {"size": 1, "region": "x" * 256}], ids=repr)
    def test_refuses_the_event_if_one_meter_cannot_count_it(self, properties: dict[str, object]) -> None:
        rules = [make_rule(Count()), make_rule(Sum("size"), group_by=("region",))]

        with pytest.raises(EventRefused) as refused:
            count_event(properties, timestamp=day(0), rules=rules)

        assert refused.value.code == RefusalCode.INVALID_VALUE


class TestCountStoredEvent:
    def test_leaves_out_only_the_meter_that_cannot_count_it(self) -> None:
        count, total = make_rule(Count()), make_rule(Sum("size"))

        assert count_stored_event({"size": "many"}, timestamp=day(0), rules=[total, count]) == [
            Counted(count, "", ONE)
        ]

    def test_is_otherwise_as_it_was_when_it_came(self) -> None:
        rules = [make_rule(Sum("size"), group_by=("region",)), make_rule(Latest("size"))]
        properties = {"size": 7, "region": "eu"}

        assert count_stored_event(properties, timestamp=day(0), rules=rules) == (
            count_event(properties, timestamp=day(0), rules=rules)
        )


class TestIsLive:
    @pytest.mark.parametrize(
        ("is_cancelled", "ends", "is_live"),
        [(False, None, True), (False, 10, True), (False, 5, False), (True, 10, False), (True, None, False)],
    )
    def test_is_before_the_end_unless_cancelled(
        self,
        is_cancelled: bool,
        ends: int | None,
        is_live: bool,
    ) -> None:
        ends_at = None if ends is None else day(ends)
        subscription = make_subscription(ends_at=ends_at, is_cancelled=is_cancelled)

        assert subscription.is_live(at=day(5)) is is_live


class TestIsOver:
    @pytest.mark.parametrize(
        ("ends", "at", "is_over"),
        [(None, 99, False), (5, 4, False), (5, 5, True), (0, -1, True), (1, -1, False)],
    )
    def test_is_from_the_end_on_or_where_there_is_nothing_before_it(
        self, ends: int | None, at: int, is_over: bool
    ) -> None:
        ends_at = None if ends is None else day(ends)
        subscription = make_subscription(ends_at=ends_at)

        assert subscription.is_over(at=day(at)) is is_over
