"""Taking out of the rollups what events have added to them.

What an event added to a meter that its segment is charged for is known: such a meter is older than any event
there and has never been archived. So that is subtracted, unless what the meter keeps cannot be: a leader's
place is taken by one that the rollup does not know. Any other meter may have begun to count later, or was
archived for a while. For these the hours concerned are counted anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from uuid import UUID

import msgspec
from django.db import transaction

from billing_project.core.statements import fetch_row
from catalog.models import Meter
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.rules import MeterRule
from metering.aggregation.types import State
from metering.meters import build_rule, group_rules
from metering.models import UsageEvent
from metering.operations.rebuilding import rebuild_stretch
from metering.queries.corrections import read_charged
from metering.recounting import CountedEvent, RollupKey, join_hours, recount
from subscriptions.models import Segment

# All stripes of a rollup are put together in one of them, the others are left empty: what is taken out may
# have been added to any. The caller holds the slots, so nobody else is writing here.
SUBTRACT = """
    WITH removed AS (
        SELECT * FROM json_to_recordset(%(rollups)s::json) AS removed (
            segment_id uuid, meter_id uuid, hour_at timestamptz, group_key text,
            total numeric, event_count bigint, late_total numeric, late_count bigint, moment numeric
        )
    ), left_over AS (
        SELECT segment_id, meter_id, hour_at, group_key, min(kept.stripe) AS stripe,
            sum(kept.total) - removed.total AS total,
            sum(kept.event_count) - removed.event_count AS event_count,
            sum(kept.late_total) - removed.late_total AS late_total,
            sum(kept.late_count) - removed.late_count AS late_count,
            sum(kept.moment) - removed.moment AS moment
        FROM removed JOIN metering_usagerollup AS kept USING (segment_id, meter_id, hour_at, group_key)
        WHERE kept.customer_id = %(customer_id)s
        GROUP BY segment_id, meter_id, hour_at, group_key, removed.total, removed.event_count,
            removed.late_total, removed.late_count, removed.moment
        HAVING sum(kept.event_count) >= removed.event_count
    ), changed AS (
        UPDATE metering_usagerollup AS kept SET
            total = CASE WHEN kept.stripe = left_over.stripe THEN left_over.total ELSE 0 END,
            event_count = CASE WHEN kept.stripe = left_over.stripe THEN left_over.event_count ELSE 0 END,
            late_total = CASE WHEN kept.stripe = left_over.stripe THEN left_over.late_total ELSE 0 END,
            late_count = CASE WHEN kept.stripe = left_over.stripe THEN left_over.late_count ELSE 0 END,
            moment = CASE WHEN kept.stripe = left_over.stripe THEN left_over.moment ELSE 0 * kept.moment END
        FROM left_over
        WHERE kept.customer_id = %(customer_id)s AND kept.segment_id = left_over.segment_id
        AND kept.meter_id = left_over.meter_id AND kept.hour_at = left_over.hour_at
        AND kept.group_key = left_over.group_key
    ), removed_values AS (
        SELECT * FROM json_to_recordset(%(values)s::json) AS removed (
            segment_id uuid, meter_id uuid, hour_at timestamptz, group_key text, value text,
            event_count bigint
        )
    ), left_over_values AS (
        SELECT segment_id, meter_id, hour_at, group_key, value, min(kept.stripe) AS stripe,
            sum(kept.event_count) - removed.event_count AS event_count
        FROM removed_values AS removed
        JOIN metering_usagevalue AS kept USING (segment_id, meter_id, hour_at, group_key, value)
        WHERE kept.customer_id = %(customer_id)s
        GROUP BY segment_id, meter_id, hour_at, group_key, value, removed.event_count
        HAVING sum(kept.event_count) >= removed.event_count
    ), changed_values AS (
        UPDATE metering_usagevalue AS kept SET
            event_count = CASE WHEN kept.stripe = left_over.stripe THEN left_over.event_count ELSE 0 END
        FROM left_over_values AS left_over
        WHERE kept.customer_id = %(customer_id)s AND kept.segment_id = left_over.segment_id
        AND kept.meter_id = left_over.meter_id AND kept.hour_at = left_over.hour_at
        AND kept.group_key = left_over.group_key AND kept.value = left_over.value
    )
    SELECT (SELECT count(*) FROM left_over), (SELECT count(*) FROM left_over_values)
"""


class _RollupRow(msgspec.Struct, gc=False):
    segment_id: UUID
    meter_id: UUID
    hour_at: datetime
    group_key: str
    total: Decimal
    event_count: int
    late_total: Decimal
    late_count: int
    moment: Decimal | None


class _ValueRow(msgspec.Struct, gc=False):
    segment_id: UUID
    meter_id: UUID
    hour_at: datetime
    group_key: str
    value: str
    event_count: int


_JSON = msgspec.json.Encoder(decimal_format="number")


@transaction.atomic
def undo_events(*, customer_id: UUID, events: Iterable[UsageEvent]) -> None:
    """Take what matched events of a customer have added out of the rollups.

    They are voided already, in this transaction, so that what is counted anew leaves them out. The caller
    holds the slots of their subscriptions exclusively.
    """
    counted = [CountedEvent._make(getattr(event, name) for name in CountedEvent._fields) for event in events]
    segment_ids = {event.segment_id for event in counted}
    segments = {
        segment.pk: segment for segment in Segment.objects.select_related("period").filter(pk__in=segment_ids)
    }
    rules = _read_rules(event.event_type for event in counted)
    timezones = {segment.pk: segment.period.timezone for segment in segments.values()}
    removed = recount(counted, rules=group_rules(rules.values()), timezones=timezones)
    charged = read_charged(segments.values())
    subtracted = {
        key: found
        for key, found in removed.items()
        if key.meter_id in charged[key.segment_id]
        and rules[key.meter_id].aggregation.state is not State.LEADER
    }
    _subtract(customer_id, subtracted)
    others = removed.keys() - subtracted.keys()
    for segment_id, keys in groupby(sorted(others), key=lambda key: key.segment_id):
        _count_anew(segment_id, list(keys), rules=rules, timezone=timezones[segment_id])


def _read_rules(event_types: Iterable[str]) -> dict[UUID, MeterRule]:
    """Read the rules of all meters, archived ones too, that may have counted events of some types."""
    return {meter.pk: build_rule(meter) for meter in Meter.objects.filter(event_type__in=set(event_types))}


def _subtract(customer_id: UUID, removed: Mapping[RollupKey, Accumulator]) -> None:
    if not removed:
        return
    rollups = [
        _RollupRow(*key, found.total, found.event_count, found.late_total, found.late_count, found.moment)
        for key, found in removed.items()
    ]
    values = [
        _ValueRow(*key, value, event_count)
        for key, found in removed.items()
        for value, event_count in found.members.items()
    ]
    parameters = {
        "customer_id": customer_id,
        "rollups": _JSON.encode(rollups).decode(),
        "values": _JSON.encode(values).decode(),
    }
    found_counts = fetch_row(SUBTRACT, parameters)
    assert found_counts == (len(rollups), len(values)), (
        f"The rollups of customer {customer_id} do not hold what voided events have added: rebuild them."
    )


def _count_anew(
    segment_id: UUID, keys: Sequence[RollupKey], *, rules: Mapping[UUID, MeterRule], timezone: str
) -> None:
    meter_ids = sorted({key.meter_id for key in keys})
    for stretch in join_hours((key.hour_at for key in keys), timezone=timezone):
        rebuild_stretch(
            segment_id=segment_id, stretch=stretch, rules=[rules[meter_id] for meter_id in meter_ids]
        )
