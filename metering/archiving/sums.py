"""Sums of usage over hours, groups and parts of a segment: they can be added, and compared."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from metering.aggregation.accumulator import Accumulator
from metering.recounting import RollupKey

NOTHING = Accumulator()


class SegmentMeter(NamedTuple):
    """A meter in a segment."""

    segment_id: UUID
    meter_id: UUID


Key = TypeVar("Key", RollupKey, SegmentMeter)
# What it is about, what the rollups say, and what the events come to.
Difference = tuple[Key, Accumulator, Accumulator]


def sum_up(accumulators: Mapping[RollupKey, Accumulator]) -> dict[SegmentMeter, Accumulator]:
    """Add up what can be added over all hours and groups; leaders and values cannot."""
    sums: defaultdict[SegmentMeter, Accumulator] = defaultdict(Accumulator)
    for key, found in accumulators.items():
        sums[SegmentMeter(key.segment_id, key.meter_id)].merge(
            Accumulator(
                total=found.total,
                event_count=found.event_count,
                late_total=found.late_total,
                late_count=found.late_count,
                moment=found.moment,
            )
        )
    return dict(sums)


def add_sums(
    sums: Mapping[SegmentMeter, Accumulator], others: Mapping[SegmentMeter, Accumulator]
) -> dict[SegmentMeter, Accumulator]:
    """Add sums to others, none of which is changed."""
    added: defaultdict[SegmentMeter, Accumulator] = defaultdict(Accumulator)
    for parts in (sums, others):
        for key, found in parts.items():
            added[key].merge(found)
    return dict(added)


def write_sums(sums: Mapping[UUID, Accumulator]) -> dict[str, dict[str, Any]]:
    """Write sums by meter as JSON, numbers as text."""
    return {
        str(meter_id): {
            "event_count": found.event_count,
            "total": format(found.total, "f"),
            "late_count": found.late_count,
            "late_total": format(found.late_total, "f"),
            "moment": None if found.moment is None else format(found.moment, "f"),
        }
        for meter_id, found in sorted(sums.items())
    }


def read_sums(written: Mapping[str, Mapping[str, Any]]) -> dict[UUID, Accumulator]:
    """Read sums by meter."""
    return {
        UUID(meter_id): Accumulator(
            total=Decimal(found["total"]),
            event_count=found["event_count"],
            late_total=Decimal(found["late_total"]),
            late_count=found["late_count"],
            moment=None if found["moment"] is None else Decimal(found["moment"]),
        )
        for meter_id, found in written.items()
    }


def find_differences(
    kept: Mapping[Key, Accumulator], due: Mapping[Key, Accumulator], *, is_charged: Callable[[Key], bool]
) -> Iterator[Difference[Key]]:
    """Find where rollups are not what events add up to.

    A meter that the segment's plan charges for is older than its events, and has counted all of them. Any
    other may have begun to count later, so its rollups can only be less.
    """
    for key in sorted(kept.keys() | due.keys()):
        has, owes = kept.get(key, NOTHING), due.get(key, NOTHING)
        if has != owes if is_charged(key) else has.event_count > owes.event_count:
            yield key, has, owes
