"""Adding contributions up in memory, just as rollups add them up in the database.

Rollups are rebuilt and checked with this. Accumulators can be merged in any order: they say the same whatever
the order of the events, and however they were parted.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import cast

from billing_project.core.money import EXACT
from metering.aggregation.instants import count_microseconds
from metering.aggregation.types import (
    Accumulated,
    Aggregation,
    Contribution,
    State,
    ValueAggregation,
)


@dataclass(slots=True)
class Accumulator:
    """What some events have added up to so far. What an aggregation does not keep stays empty."""

    total: Decimal = Decimal(0)
    event_count: int = 0
    late_total: Decimal = Decimal(0)
    late_count: int = 0
    moment: Decimal | None = None
    leader: tuple[Decimal, Decimal] | None = None
    members: Counter[str] = field(default_factory=Counter)

    def add(self, contribution: Contribution, *, state: State, billed_at: datetime, is_late: bool) -> None:
        """Add one event."""
        self.total = EXACT.add(self.total, contribution.value)
        self.event_count += 1
        if is_late:
            self.late_total = EXACT.add(self.late_total, contribution.value)
            self.late_count += 1
        if state is State.MOMENTS:
            moment = EXACT.multiply(contribution.value, count_microseconds(billed_at))
            self.moment = moment if self.moment is None else EXACT.add(self.moment, moment)
        if contribution.rank is not None:
            self._lead((contribution.rank, contribution.value))
        if contribution.member is not None:
            self.members[contribution.member] += 1

    def merge(self, other: "Accumulator") -> None:
        """Add what another has added up."""
        self.total = EXACT.add(self.total, other.total)
        self.event_count += other.event_count
        self.late_total = EXACT.add(self.late_total, other.late_total)
        self.late_count += other.late_count
        if other.moment is not None:
            self.moment = other.moment if self.moment is None else EXACT.add(self.moment, other.moment)
        if other.leader is not None:
            self._lead(other.leader)
        self.members.update(other.members)

    def read(self, aggregation: Aggregation) -> Accumulated:
        """Return what there is to be measured."""
        picked = None if self.leader is None else self.leader[1]
        if aggregation.state is State.VALUES and self.members:
            picked = cast("ValueAggregation", aggregation).reduce(self.members)
        return Accumulated(
            total=self.total,
            event_count=self.event_count,
            late_total=self.late_total,
            late_count=self.late_count,
            moment=Decimal(0) if self.moment is None else self.moment,
            picked=picked,
        )

    def _lead(self, candidate: tuple[Decimal, Decimal]) -> None:
        self.leader = candidate if self.leader is None else max(self.leader, candidate)
