"""Reading rollups: what the events of some segments have added up to, by bucket, meter and group.

A bucket is a stretch of time that is measured as one quantity: a segment, a period, an hour of it. Each state
that aggregations keep has a statement of its own, which is run only if a meter asks for it. Groups are merged
here, as states: measured values could not be.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from billing_project.core.errors import InvalidInput
from billing_project.core.money import EXACT
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.percentile import Percentile
from metering.aggregation.rules import NO_GROUP, MeterRule, write_group
from metering.aggregation.types import Accumulated, State
from metering.aggregation.unique_count import UniqueCount

# With more groups than that, times buckets, the answer would be of no use to anybody.
MAX_GROUPED = 50_000

_ROLLUPS = "metering_usagerollup"
_VALUES = "metering_usagevalue"
_COLUMNS: Mapping[str, str] = {
    _ROLLUPS: "total numeric, event_count bigint, late_total numeric, late_count bigint, "
    "moment numeric, lead_rank numeric, lead_value numeric",
    _VALUES: "value text, event_count bigint",
}

_SOURCE = """
    FROM {rows} AS kept {wanted} {asked}
    WHERE kept.customer_id = %(customer_id)s AND kept.segment_id = ANY(%(segment_ids)s::uuid[])
    AND kept.meter_id = ANY(%(meter_ids)s::uuid[]) {conditions}
"""

# Joined only where segments have different buckets: most often all of them are read as one.
_WANTED = """
    JOIN unnest(%(segment_ids)s::uuid[], %(buckets)s::int[]) AS wanted (segment_id, bucket)
        ON wanted.segment_id = kept.segment_id
"""

# What was recounted stands beside what was rolled up, as if it were rolled up itself.
_WITH_RECOUNTED = """(
    SELECT customer_id, segment_id, meter_id, hour_at, group_key, {names} FROM {table}
    WHERE customer_id = %(customer_id)s AND segment_id = ANY(%(segment_ids)s::uuid[])
    AND meter_id = ANY(%(meter_ids)s::uuid[])
    UNION ALL
    SELECT %(customer_id)s::uuid, segment_id, meter_id, hour_at, group_key, {names}
    FROM json_to_recordset(%(recounted)s::json) AS recounted (
        segment_id uuid, meter_id uuid, hour_at timestamptz, group_key text, {columns}
    )
)"""

_WITHIN_BOUNDS = "AND kept.hour_at >= %(starts_at)s AND kept.hour_at < %(ends_at)s"
_BUCKET_OF_SEGMENT = "wanted.bucket"
_ONLY_BUCKET = "%(only_bucket)s::int"
_BUCKET_OF_HOUR = " + width_bucket(kept.hour_at, %(bounds)s::timestamptz[]) - 1"

# Paths into a group's key, which is a JSON array: to what is shown of it, and to what must be as wanted.
_ASKED = """
    JOIN unnest(%(meter_ids)s::uuid[], %(shown)s::jsonpath[], %(narrowed)s::jsonpath[], %(wanted)s::jsonb[])
        AS asked (meter_id, shown, narrowed, wanted) ON asked.meter_id = kept.meter_id
"""
_SHOWN_GROUP = """
    CASE WHEN asked.shown IS NULL THEN ''
        ELSE jsonb_path_query_array(kept.group_key::jsonb, asked.shown)::text END
"""
_IS_WANTED = """
    AND CASE WHEN asked.narrowed IS NULL THEN true
        ELSE jsonb_path_query_array(kept.group_key::jsonb, asked.narrowed) = asked.wanted END
"""

_PLACE = "{bucket} AS bucket, kept.meter_id, {group} AS group_key"

_TOTALS = f"""
    SELECT {_PLACE}, sum(kept.total), sum(kept.event_count)::bigint, sum(kept.late_total),
        sum(kept.late_count)::bigint, coalesce(sum(kept.moment), 0)
    {{source}}
    GROUP BY 1, 2, 3
    LIMIT %(limit)s
"""

_LEADERS = f"""
    SELECT DISTINCT ON (bucket, meter_id, group_key) bucket, meter_id, group_key, lead_value
    FROM (
        SELECT {_PLACE}, kept.lead_rank, kept.lead_value {{source}} AND kept.lead_rank IS NOT NULL
    ) AS leader
    ORDER BY bucket, meter_id, group_key, lead_rank DESC, lead_value DESC
"""  # noqa: S608 (the parts are above)

_DIFFERENT_VALUES = f"""
    SELECT {_PLACE}, count(DISTINCT kept.value)
    {{source}} AND kept.event_count > 0
    GROUP BY 1, 2, 3
"""

# The first value at which so many of a hundred events are reached: see `metering.aggregation.percentile`.
_PERCENTILES = f"""
    SELECT bucket, meter_id, group_key, min(value)
    FROM (
        SELECT bucket, meter_id, group_key, value,
            sum(event_count) OVER (PARTITION BY bucket, meter_id, group_key ORDER BY value) AS reached,
            sum(event_count) OVER (PARTITION BY bucket, meter_id, group_key) AS whole
        FROM (
            SELECT {_PLACE}, kept.value::numeric AS value, sum(kept.event_count) AS event_count
            {{source}} AND kept.event_count > 0
            GROUP BY 1, 2, 3, 4
        ) AS counted
    ) AS ordered
    JOIN unnest(%(meter_ids)s::uuid[], %(percentiles)s::numeric[]) AS looked_for (id, percentile)
        ON looked_for.id = meter_id
    WHERE reached * 100 >= whole * percentile
    GROUP BY 1, 2, 3
"""  # noqa: S608 (the parts are above)

_JSON = msgspec.json.Encoder(decimal_format="number")


class TooManyGroups(InvalidInput):
    """Usage is spread over more groups than can be shown at once."""

    code = "too_many_groups"


# Of one rollup: segment, meter, hour and group.
RolledUp = tuple[UUID, UUID, datetime, str]


class Place(NamedTuple):
    """A bucket, a meter and a group; the group is empty where groups are not told apart."""

    bucket: int
    meter_id: UUID
    group_key: str = NO_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which groups of a meter count, and how they are told apart.

    `properties` are those by which they are: with fewer than the meter has, groups are merged; None stands
    for all that the meter has. Only groups that have each property of `only` as it says are counted; a value
    is None for events that lack the property, and a meter must have these properties.
    """

    properties: tuple[str, ...] | None = ()
    only: Mapping[str, str | None] = field(default_factory=dict)


NOT_GROUPED = Grouping()
BY_EVERY_GROUP = Grouping(properties=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rollups are read. `buckets` numbers the bucket of each segment.

    With `bounds`, the rising instants on full local hours that part the time, the buckets of a segment are
    what lies between two of them, numbered on from its own, and what lies outside is not read. What is
    `recounted` counts as if it were rolled up.
    """

    customer_id: UUID
    buckets: Mapping[UUID, int]
    rules: Sequence[MeterRule]
    grouping: Grouping = NOT_GROUPED
    bounds: Sequence[datetime] | None = None
    recounted: Mapping[RolledUp, Accumulator] = field(default_factory=dict)


def read_accumulated(selection: Selection) -> dict[Place, Accumulated]:
    """Read what events have added up to, wherever there are any. Nothing is carried yet.

    Raises: TooManyGroups.
    """
    accumulated = _read_totals(selection)
    for (statement, table), rules in _list_picks(selection.rules).items():
        for *found, picked in _run(statement, table, replace(selection, rules=rules)):
            place = Place(*found)
            if place in accumulated:  # Else its first event has come in since the totals were read.
                accumulated[place] = replace(accumulated[place], picked=Decimal(picked))
    return accumulated


def read_levels(selection: Selection) -> dict[tuple[UUID, str], Decimal]:
    """Read the levels at which the segments of a selection have left meters, by meter and group.

    Raises: TooManyGroups.
    """
    levels: defaultdict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
    for place, found in _read_totals(selection).items():
        key = place.meter_id, place.group_key
        levels[key] = EXACT.add(levels[key], found.total)
    return dict(levels)


def list_shown_properties(rule: MeterRule, grouping: Grouping) -> tuple[str, ...]:
    """List the properties by which groups of a meter are told apart; none if it lacks one that is named."""
    if grouping.properties is None:
        return rule.group_by
    return grouping.properties if set(grouping.properties) <= set(rule.group_by) else ()


def _read_totals(selection: Selection) -> dict[Place, Accumulated]:
    rows = _run(_TOTALS, _ROLLUPS, selection)
    is_grouped = selection.grouping.properties != ()
    if is_grouped and len(rows) > MAX_GROUPED:
        raise TooManyGroups(
            f"There are more than {MAX_GROUPED:,} groups: narrow them down, or group by fewer properties.",
            field="group_by",
        )
    return {
        Place(*place): Accumulated(
            total=total, event_count=event_count, late_total=late_total, late_count=late_count, moment=moment
        )
        for *place, total, event_count, late_total, late_count, moment in rows
        if event_count or moment
    }


def _list_picks(rules: Sequence[MeterRule]) -> Mapping[tuple[str, str], Sequence[MeterRule]]:
    """List the statements that pick a value for meters, with the table that they read, and for which."""
    picks: defaultdict[tuple[str, str], list[MeterRule]] = defaultdict(list)
    for rule in rules:
        match rule.aggregation:
            case UniqueCount():
                picks[_DIFFERENT_VALUES, _VALUES].append(rule)
            case Percentile():
                picks[_PERCENTILES, _VALUES].append(rule)
            case _ if rule.aggregation.state is State.LEADER:
                picks[_LEADERS, _ROLLUPS].append(rule)
    return picks


def _run(statement: str, table: str, selection: Selection) -> list[tuple[Any, ...]]:
    written, parameters = _write(statement, table, selection)
    with connection.cursor() as cursor:
        cursor.execute(written, parameters)
        return list(cursor)


def _write(statement: str, table: str, selection: Selection) -> tuple[str, dict[str, Any]]:
    """Write a statement for a selection, with no more in it than the selection needs."""
    grouping, bounds, rules = selection.grouping, selection.bounds, selection.rules
    parameters: dict[str, Any] = {
        "customer_id": selection.customer_id,
        "segment_ids": list(selection.buckets),
        "buckets": list(selection.buckets.values()),
        "meter_ids": [rule.meter_id for rule in rules],
        "percentiles": [getattr(rule.aggregation, "percentile", None) for rule in rules],
        "limit": None if grouping.properties == () else MAX_GROUPED + 1,
    }
    rows, wanted, asked, conditions, bucket, group = table, "", "", "", _ONLY_BUCKET, "''"
    buckets = set(selection.buckets.values())
    if len(buckets) > 1:
        wanted, bucket = _WANTED, _BUCKET_OF_SEGMENT
    else:
        parameters["only_bucket"] = min(buckets, default=0)
    if selection.recounted:
        columns = _COLUMNS[table]
        names = ", ".join(column.split()[0] for column in columns.split(", "))
        rows = _WITH_RECOUNTED.format(table=table, columns=columns, names=names)
        parameters["recounted"] = _write_recounted(table, selection.recounted)
    if bounds is not None:
        bucket, conditions = bucket + _BUCKET_OF_HOUR, _WITHIN_BOUNDS
        parameters |= {"bounds": list(bounds[:-1]), "starts_at": bounds[0], "ends_at": bounds[-1]}
    if grouping.only or grouping.properties:
        asked, group, conditions = _ASKED, _SHOWN_GROUP, conditions + _IS_WANTED
        parameters |= {
            "shown": [_write_path(rule, list_shown_properties(rule, grouping)) for rule in rules],
            "narrowed": [_write_path(rule, tuple(grouping.only)) for rule in rules],
            "wanted": [write_group(list(grouping.only.values()))] * len(rules),
        }
    elif grouping.properties is None:
        group = "kept.group_key"
    source = _SOURCE.format(rows=rows, wanted=wanted, asked=asked, conditions=conditions)
    return statement.format(source=source, bucket=bucket, group=group), parameters


def _write_path(rule: MeterRule, names: Sequence[str]) -> str | None:
    """Write the path to the values of some properties in the key of a meter's groups."""
    return f"$[{', '.join(str(rule.group_by.index(name)) for name in names)}]" if names else None


def _write_recounted(table: str, recounted: Mapping[RolledUp, Accumulator]) -> str:
    """Write what was recounted as rows of a table of rollups."""
    rows: list[Mapping[str, object]] = []
    for (segment_id, meter_id, hour_at, group_key), found in recounted.items():
        key = {"segment_id": segment_id, "meter_id": meter_id, "hour_at": hour_at, "group_key": group_key}
        if table == _VALUES:
            rows += [
                {**key, "value": value, "event_count": event_count}
                for value, event_count in found.members.items()
            ]
            continue
        rank, value = found.leader or (None, None)
        rows.append(
            {
                **key,
                "total": found.total,
                "event_count": found.event_count,
                "late_total": found.late_total,
                "late_count": found.late_count,
                "moment": found.moment,
                "lead_rank": rank,
                "lead_value": value,
            }
        )
    return _JSON.encode(rows).decode()
