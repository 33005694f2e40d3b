"""Which segment an event belongs to."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from billing_project.core.ids import make_id
from metering.ingest.matching import SegmentFacts, SubscriptionFacts, place

SUBSCRIPTION = make_id()


def day(number: int) -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=number)


def segment(period: int, starts: int, ends: int, *, closed: UUID | None = None) -> SegmentFacts:
    return SegmentFacts(make_id(), SUBSCRIPTION, period, day(starts), day(ends), closed)


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

    def test_finds_none_after_the_last(self) -> None:
        assert place(timestamp=day(10), segments=[segment(0, 0, 10)]) is None
        assert place(timestamp=day(0), segments=[]) is None


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
