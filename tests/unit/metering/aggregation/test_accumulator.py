"""Adding contributions up in memory."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

from metering.aggregation.accumulator import Accumulator
from metering.aggregation.max import Max
from metering.aggregation.sum import Sum
from metering.aggregation.types import Accumulated, Contribution, State
from metering.aggregation.unique_count import UniqueCount
from tests.factories.subscriptions import utc

EPOCH = utc(1970, 1, 1)
SECOND = timedelta(seconds=1)


def add(contribution: Contribution, *, state: State = State.TOTALS, is_late: bool = False) -> Accumulator:
    """Add one event, a second after 1970 began."""
    accumulator = Accumulator()
    accumulator.add(contribution, state=state, billed_at=EPOCH + SECOND, is_late=is_late)
    return accumulator


class TestAdd:
    def test_keeps_totals_of_every_event_and_nothing_else(self) -> None:
        assert add(Contribution(Decimal(5))) == Accumulator(total=Decimal(5), event_count=1)

    def test_keeps_the_late_part(self) -> None:
        assert add(Contribution(Decimal(5)), is_late=True) == Accumulator(
            total=Decimal(5), event_count=1, late_total=Decimal(5), late_count=1
        )

    def test_keeps_moments_where_they_are_the_state(self) -> None:
        assert add(Contribution(Decimal("-2.5")), state=State.MOMENTS).moment == -2_500_000
        assert add(Contribution(Decimal(0)), state=State.MOMENTS).moment == 0

    def test_keeps_the_greatest_rank_and_of_equal_ones_the_greatest_value(self) -> None:
        accumulator = Accumulator()
        for rank, value in [(3, 1), (7, 2), (7, 5), (7, 4), (6, 9)]:
            contribution = Contribution(Decimal(value), rank=Decimal(rank))
            accumulator.add(contribution, state=State.LEADER, billed_at=EPOCH, is_late=False)

        assert accumulator.leader == (7, 5)

    def test_keeps_how_often_each_value_came(self) -> None:
        accumulator = Accumulator()
        for member in "aba":
            contribution = Contribution(Decimal(0), member=member)
            accumulator.add(contribution, state=State.VALUES, billed_at=EPOCH, is_late=False)

        assert accumulator.members == Counter(a=2, b=1)


class TestMerge:
    def test_adds_up_all_that_is_kept(self) -> None:
        one = Accumulator(Decimal(1), 2, Decimal(3), 4, Decimal(5), (Decimal(6), Decimal(7)), Counter(a=8))
        two = Accumulator(
            Decimal(10), 20, Decimal(30), 40, Decimal(50), (Decimal(6), Decimal(70)), Counter(a=1)
        )

        one.merge(two)

        both = (Decimal(6), Decimal(70))
        assert one == Accumulator(Decimal(11), 22, Decimal(33), 44, Decimal(55), both, Counter(a=9))

    def test_of_nothing_changes_nothing(self) -> None:
        full = Accumulator(Decimal(1), 2, Decimal(3), 4, Decimal(5), (Decimal(6), Decimal(7)), Counter(a=8))
        empty = Accumulator()

        empty.merge(full)
        assert empty == full
        full.merge(Accumulator())
        assert empty == full

    def test_leaves_the_other_as_it_was(self) -> None:
        one, other = Accumulator(), Accumulator(members=Counter(a=1))

        one.merge(other)
        one.members["a"] += 1

        assert other.members == Counter(a=1)


class TestRead:
    def test_returns_the_totals(self) -> None:
        accumulator = Accumulator(Decimal(1), 2, Decimal(3), 4, Decimal(5))

        assert accumulator.read(Sum("size")) == Accumulated(Decimal(1), 2, Decimal(3), 4, Decimal(5))

    def test_picks_the_leaders_value(self) -> None:
        assert add(Contribution(Decimal(5), rank=Decimal(9))).read(Max("size")).picked == 5
        assert Accumulator().read(Max("size")).picked is None

    def test_picks_what_the_values_are_reduced_to(self) -> None:
        accumulator = Accumulator(event_count=3, members=Counter(a=2, b=1))

        assert accumulator.read(UniqueCount("size")).picked == 2
        assert Accumulator().read(UniqueCount("size")).picked is None
