"""Events that are stored ahead of their instant, as ingest allows for clocks that are not quite right.

Where a level is weighted by time, such a change must not count before its instant. A rollup says only what
all changes of an hour add up to, so these few events are read themselves.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from billing_project.core.periods import floor_to_hour
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.rules import MeterRule
from metering.aggregation.types import Span, State
from metering.aggregation.weighted_sum import hold_back
from metering.ingest.matching import Counted, count_stored_event
from metering.meters import group_rules
from metering.models import UsageEvent
from metering.models.corrections import leave_out_voided
from metering.queries.rollups import RolledUp, Selection

# So many events ahead of now are read, the earliest first. There are more only where the clock of a busy
# sender is wrong. The others take away from what has come to pass, until their instants have come, too.
MAX_EVENTS_AHEAD = 5_000


class _Change(NamedTuple):
    """A change of a level by an event, and the instant that it counts at."""

    billed_at: datetime
    counted: Counted


def hold_back_changes(
    selection: Selection, *, spans: Sequence[Span], timezone: str, at: datetime
) -> dict[RolledUp, Accumulator]:
    """Say what to add to rollups so that no change of a level counts before its instant.

    The segments of the selection are the buckets, in order, and `spans` are their times. Of a segment that
    was ended before their instants, all such changes are read: what it comes to is for good.
    """
    rules = group_rules(rule for rule in selection.rules if rule.aggregation.state is State.MOMENTS)
    added: defaultdict[RolledUp, Accumulator] = defaultdict(Accumulator)
    if not rules:
        return added
    segment_ids = list(selection.buckets)
    for number, (segment_id, span) in enumerate(zip(segment_ids, spans, strict=True)):
        if at <= span.starts_at:
            continue  # Nothing of it is measured yet.
        changes = _read_changes(
            customer_id=selection.customer_id,
            segment_id=segment_id,
            rules=rules,
            after=span.until(at).ends_at,
            limit=None if span.ends_at <= at else MAX_EVENTS_AHEAD,
        )
        for billed_at, counted in changes:
            hour_at = floor_to_hour(billed_at, timezone=timezone)
            change = counted.contribution.value
            for later, moment in hold_back(change, billed_at=billed_at, number=number, spans=spans, at=at):
                key = (segment_ids[later], counted.rule.meter_id, hour_at, counted.group_key)
                added[key].merge(Accumulator(moment=moment))
    return added


def _read_changes(
    *,
    customer_id: UUID,
    segment_id: UUID,
    rules: Mapping[str, Sequence[MeterRule]],
    after: datetime,
    limit: int | None,
) -> Iterator[_Change]:
    """Read the changes of a segment after an instant, in order of time."""
    events = UsageEvent.objects.filter(
        customer_id=customer_id,
        segment_id=segment_id,
        billed_at__gt=after,
        event_type__in=list(rules),
    )
    for event in leave_out_voided(events).order_by("billed_at")[:limit]:
        assert event.billed_at is not None, "An event in a segment counts at an instant."
        own = rules[event.event_type]
        for counted in count_stored_event(event.properties, timestamp=event.timestamp, rules=own):
            yield _Change(event.billed_at, counted)
