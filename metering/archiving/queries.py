"""Reading what counting and comparing archives takes."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from catalog.models import Meter
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.rules import MeterRule
from metering.archiving.sums import SegmentMeter, read_sums
from metering.meters import build_rule, group_rules
from metering.models import ArchivedSegment, UsageEvent
from metering.queries.archives import select_archivable


class ArchivableUsage(NamedTuple):
    """How much there is to archive."""

    event_count: int
    segment_count: int
    customer_count: int


def list_rules() -> Mapping[str, Sequence[MeterRule]]:
    """List the rules of all meters by type of event."""
    return group_rules(build_rule(meter) for meter in Meter.objects.all())


def read_removed_sums(
    segment_ids: Collection[UUID], *, beside: UUID | None = None
) -> dict[SegmentMeter, Accumulator]:
    """Read what the events come to that were removed from segments; not by the archive `beside` which."""
    removed = ArchivedSegment.objects.filter(segment_id__in=segment_ids, event_count__gt=0)
    sums: defaultdict[SegmentMeter, Accumulator] = defaultdict(Accumulator)
    for segment in removed.exclude(archive_id=beside):
        for meter_id, found in read_sums(segment.sums).items():
            sums[SegmentMeter(segment.segment_id, meter_id)].merge(found)
    return dict(sums)


def measure_archivable(*, ended_by: datetime) -> ArchivableUsage:
    """Measure what can be archived of periods that ended by some time."""
    segments = select_archivable(ended_by=ended_by)
    owners = segments.order_by().values("subscription__customer_id").distinct()
    events = UsageEvent.objects.filter(
        customer_id__in=owners, segment_id__in=segments.order_by().values("pk")
    )
    return ArchivableUsage(events.count(), segments.count(), owners.count())
