"""Reading the usage of segments by the values that a price tells apart. Rollups are read, never events."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from catalog.models import Meter
from catalog.pricing.types import Dimension, GroupValues, Usage

# However many values there are in the events, no more groups come back than the price tells apart: values
# that it does not name are merged. Hours are added up first, so that each key is read once.
_GROUPS = """
    SELECT added.segment_id, asked.number,
        CASE WHEN asked.named -> 0 ? (added.key ->> asked.first) THEN added.key ->> asked.first END,
        CASE WHEN asked.named -> 1 ? (added.key ->> asked.second) THEN added.key ->> asked.second END,
        sum(added.total)
    FROM (
        SELECT segment_id, meter_id, group_key::jsonb AS key, sum(total) AS total
        FROM metering_usagerollup
        WHERE customer_id = %(customer_id)s AND segment_id = ANY(%(segment_ids)s::uuid[])
        AND meter_id = ANY(%(meter_ids)s::uuid[])
        GROUP BY segment_id, meter_id, group_key
    ) AS added
    JOIN unnest(
        %(numbers)s::int[], %(meter_ids)s::uuid[], %(first)s::int[], %(second)s::int[], %(named)s::jsonb[]
    ) AS asked (number, meter_id, first, second, named) ON asked.meter_id = added.meter_id
    GROUP BY 1, 2, 3, 4
    HAVING sum(added.total) <> 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """How the usage of a meter is told apart: by one or two of the properties that it is grouped by.

    The meter is one that adds up, so that its groups can be merged: a sum or a number of events.
    """

    meter: Meter
    dimensions: tuple[Dimension, ...]

    def place(self, number: int) -> int | None:
        """Tell where in a group's key the value of a dimension stands; None if there is no such dimension."""
        if number >= len(self.dimensions):
            return None
        return self.meter.group_by.index(self.dimensions[number].name)

    @property
    def named(self) -> str:
        """Write the values that are named, for each dimension as the keys of an object."""
        return msgspec.json.encode(
            [dict.fromkeys(sorted(dimension.values), True) for dimension in self.dimensions]
        ).decode()


SegmentGroups = Mapping[tuple[UUID, Breakdown], Usage]


def read_segment_groups(
    *, customer_id: UUID, segment_ids: Collection[UUID], breakdowns: Sequence[Breakdown]
) -> SegmentGroups:
    """Read what each segment has used of each breakdown, by the values that it names, in one query.

    A value is None for all that are not named, and for events without the property. What comes to nothing is
    left out.
    """
    if not breakdowns:
        return {}
    parameters: dict[str, Any] = {
        "customer_id": customer_id,
        "segment_ids": list(segment_ids),
        "numbers": list(range(len(breakdowns))),
        "meter_ids": [breakdown.meter.pk for breakdown in breakdowns],
        "first": [breakdown.place(0) for breakdown in breakdowns],
        "second": [breakdown.place(1) for breakdown in breakdowns],
        "named": [breakdown.named for breakdown in breakdowns],
    }
    groups: defaultdict[tuple[UUID, Breakdown], dict[GroupValues, Decimal]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, parameters)
        for segment_id, number, first, second, quantity in cursor:
            breakdown = breakdowns[number]
            values = (first, second)[: len(breakdown.dimensions)]
            groups[segment_id, breakdown][values] = quantity
    return {key: Usage.of_groups(found) for key, found in groups.items()}
