"""Adding events up and measuring them, as rollups and their reader do."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from metering.aggregation.accumulator import Accumulator
from metering.aggregation.types import Accumulated, Aggregation, Definition, Measured, Span
from tests.factories.subscriptions import utc

# April has thirty days.
APRIL = Span(utc(2026, 4, 1), utc(2026, 5, 1))
SIZE = Definition(property_name="size")

# What no number can be read from, and what is longer than a quantity can be.
NOT_NUMBERS: list[object] = [
    True, "many", "", " 1", "1_000", "NaN", "Infinity", "٣", [], {}, [1], "0x10", "+1",
    10**30, -(10**30), "1" + "0" * 30, Decimal("1E+30"), Decimal("1E-31"), Decimal("1E-400"), "1e999", "9" * 400,
]  # fmt: skip
NEGATIVES: list[object] = [-1, "-1", Decimal("-0.1"), "-1e-30"]


def april(day: int, hour: int = 0) -> datetime:
    """Write an instant in April."""
    return utc(2026, 4, day, hour)


def accumulate(aggregation: Aggregation, *events: tuple[datetime, object]) -> Accumulator:
    """Add up events of these sizes; one that is stamped before April came late, and counts at its start."""
    accumulator = Accumulator()
    for timestamp, size in events:
        properties: Mapping[str, object] = {"size": size}
        contribution = aggregation.contribute(properties, timestamp=timestamp)
        if contribution is not None:
            accumulator.add(
                contribution,
                state=aggregation.state,
                billed_at=max(timestamp, APRIL.starts_at),
                is_late=timestamp < APRIL.starts_at,
            )
    return accumulator


def measure(aggregation: Aggregation, *events: tuple[datetime, object], span: Span = APRIL) -> Measured:
    """Measure events of these sizes."""
    return aggregation.measure(accumulate(aggregation, *events).read(aggregation), span=span)


def measure_sizes(aggregation: Aggregation, *sizes: object) -> Measured:
    """Measure events of these sizes, all on one day."""
    return measure(aggregation, *[(april(2), size) for size in sizes])


def measure_nothing(aggregation: Aggregation) -> Measured:
    """Measure a month without an event."""
    return aggregation.measure(Accumulated(), span=APRIL)
