"""A quantity does not depend on the order of events, nor on how they are parted. Each aggregation there is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.property_filters import write_scalar
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.registry import AGGREGATIONS, build_aggregation
from metering.aggregation.types import Aggregation, Contribution, Definition, Span
from tests.factories.subscriptions import utc

MONTH = Span(utc(2026, 4, 1), utc(2026, 5, 1))
SECONDS = int((MONTH.ends_at - MONTH.starts_at).total_seconds())

# Few enough that some are equal, and some that only their thirtieth digit tells apart.
VALUES = st.one_of(
    st.integers(0, 5),
    st.integers(10**30 - 3, 10**30 - 1),
    st.decimals(min_value=0, max_value=10**6, places=30),
    st.sampled_from(["0", "2", "2.0", "1e3", "0.000000000000000000000000000001"]),
)
# What came, when it is stamped, in seconds after the month's start, and how much it is. Before it, it is late.
SENT = st.tuples(st.sampled_from([-5, 0, 0, 7]) | st.integers(-1000, SECONDS - 1), VALUES)
Sent = tuple[int, object]

DEFINITIONS = st.builds(
    Definition,
    property_name=st.just("size"),
    percentile=st.sampled_from([Decimal("0.1"), Decimal(50), Decimal(95), Decimal("99.99"), Decimal(100)]),
    carries_over=st.booleans(),
)
EVERY = pytest.mark.parametrize("name", AGGREGATIONS)


def add(accumulator: Accumulator, aggregation: Aggregation, sent: Sequence[Sent]) -> Accumulator:
    """Add events up, in their order."""
    for seconds, value in sent:
        timestamp = MONTH.starts_at + timedelta(seconds=seconds)
        contribution = contribute(aggregation, (seconds, value))
        accumulator.add(
            contribution,
            state=aggregation.state,
            billed_at=max(timestamp, MONTH.starts_at),
            is_late=seconds < 0,
        )
    return accumulator


def contribute(aggregation: Aggregation, sent: Sent) -> Contribution:
    seconds, value = sent
    contribution = aggregation.contribute(
        {"size": value}, timestamp=MONTH.starts_at + timedelta(seconds=seconds)
    )
    assert contribution is not None
    return contribution


@EVERY
class TestOrder:
    @given(definition=DEFINITIONS, sent=st.lists(SENT, max_size=30), data=st.data())
    def test_does_not_matter_nor_do_the_parts(
        self, name: str, definition: Definition, sent: list[Sent], data: st.DataObject
    ) -> None:
        aggregation = build_aggregation(name, definition)
        whole = add(Accumulator(), aggregation, sent)

        parts = [Accumulator() for _ in range(5)]
        numbers = data.draw(st.lists(st.integers(0, 4), min_size=len(sent), max_size=len(sent)))
        for number, event in zip(numbers, data.draw(st.permutations(sent)), strict=True):
            add(parts[number], aggregation, [event])
        merged, *others = data.draw(st.permutations(parts))
        for other in others:
            merged.merge(other)

        assert merged == whole
        assert merged.read(aggregation) == whole.read(aggregation)
        assert aggregation.measure(merged.read(aggregation), span=MONTH) == (
            aggregation.measure(whole.read(aggregation), span=MONTH)
        )

    @given(definition=DEFINITIONS, sent=SENT)
    def test_begins_with_nothing_remembered(self, name: str, definition: Definition, sent: Sent) -> None:
        aggregation = build_aggregation(name, definition)

        assert contribute(aggregation, sent) == contribute(aggregation, sent)
        assert contribute(build_aggregation(name, definition), sent) == contribute(aggregation, sent)


@EVERY
class TestMeasure:
    @given(definition=DEFINITIONS, sent=st.lists(SENT, max_size=20))
    def test_is_never_below_zero_and_nothing_without_events(
        self, name: str, definition: Definition, sent: list[Sent]
    ) -> None:
        aggregation = build_aggregation(name, definition)

        quantity = aggregation.measure(add(Accumulator(), aggregation, sent).read(aggregation), span=MONTH)

        assert quantity >= 0
        assert sent or quantity == 0

    @given(definition=DEFINITIONS, sent=st.lists(SENT, min_size=1, max_size=20))
    def test_is_what_its_name_says(self, name: str, definition: Definition, sent: list[Sent]) -> None:
        aggregation = build_aggregation(name, definition)
        quantity = aggregation.measure(add(Accumulator(), aggregation, sent).read(aggregation), span=MONTH)

        assert EXPECTED[name](definition, sent, Fraction(quantity))


def is_sum(_: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    return quantity == sum(read_numbers(sent))


def is_count(_: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    return quantity == len(sent)


def is_max(_: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    return quantity == max(read_numbers(sent))


def is_min(_: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    return quantity == min(read_numbers(sent))


def is_average(_: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    return quantity * len(sent) == sum(read_numbers(sent))


def is_unique_count(_: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    return quantity == len({write_scalar(value) for _, value in sent})


def is_latest(_: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    last = max(seconds for seconds, _ in sent)
    return quantity == max(read_numbers([(seconds, value) for seconds, value in sent if seconds == last]))


def is_weighted_sum(_: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    area = sum(
        number * (SECONDS - max(seconds, 0))
        for number, (seconds, _) in zip(read_numbers(sent), sent, strict=True)
    )
    return quantity * SECONDS == area


def is_percentile(definition: Definition, sent: Sequence[Sent], quantity: Fraction) -> bool:
    assert definition.percentile is not None
    numbers = read_numbers(sent)
    below = sum(number < quantity for number in numbers)
    reached = sum(number <= quantity for number in numbers)
    place = Fraction(definition.percentile) * len(sent)
    return quantity in numbers and 100 * below < place <= 100 * reached


# What each comes to, reckoned with the list of events itself.
EXPECTED: Mapping[str, Callable[[Definition, Sequence[Sent], Fraction], bool]] = {
    "Sum": is_sum,
    "Count": is_count,
    "Max": is_max,
    "Min": is_min,
    "Average": is_average,
    "UniqueCount": is_unique_count,
    "Latest": is_latest,
    "WeightedSum": is_weighted_sum,
    "Percentile": is_percentile,
}


def read_numbers(sent: Sequence[Sent]) -> list[Fraction]:
    return [Fraction(str(value)) for _, value in sent]


class TestWeightedSum:
    @given(
        changes=st.lists(st.tuples(st.integers(0, SECONDS), st.integers(-100, 100)), max_size=20),
        cut=st.integers(1, SECONDS - 1),
        carried=st.integers(0, 10**6),
    )
    def test_has_the_areas_of_its_parts(self, changes: list[tuple[int, int]], cut: int, carried: int) -> None:
        """Parted anywhere, the level that one part ends with is the one the next begins with."""
        aggregation = build_aggregation("WeightedSum", Definition(property_name="size"))
        carried += 100 * 20  # So that no level, and no average, is below zero.
        middle = MONTH.starts_at + timedelta(seconds=cut)

        def measure(span: Span, level: int) -> Fraction:
            start, end = (int((at - MONTH.starts_at).total_seconds()) for at in span)
            accumulator = Accumulator()
            for seconds, change in changes:
                if start <= seconds < end:
                    add(accumulator, aggregation, [(seconds, change)])
            accumulated = accumulator.read(aggregation)
            return Fraction(aggregation.measure(replace(accumulated, carried=Decimal(level)), span=span))

        before = measure(Span(MONTH.starts_at, middle), carried)
        level = carried + sum(change for seconds, change in changes if seconds < cut)
        after = measure(Span(middle, MONTH.ends_at), level)

        assert before * cut + after * (SECONDS - cut) == measure(MONTH, carried) * SECONDS
