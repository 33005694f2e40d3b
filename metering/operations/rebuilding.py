"""Making rollups anew from the events, for a stretch of a segment at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from customers.models import Customer
from metering.aggregation.accumulator import Accumulator
from metering.aggregation.rules import MeterRule
from metering.models import UsageRollup, UsageValue
from metering.queries.archives import check_not_archived
from metering.queries.rebuilding import EVERYTHING, RebuildScope, count_strays, select_strays
from metering.recounting import RollupKey, Stretch, compare, match_rollups
from subscriptions.locks import lock_slots_exclusive
from subscriptions.models import Segment

ROWS_PER_INSERT = 1_000
REBUILT_STRIPE = 0


@transaction.atomic
def rebuild_stretch(*, segment_id: UUID, stretch: Stretch, rules: Sequence[MeterRule]) -> int:
    """Replace the rollups of meters in a stretch of a segment by what its events add up to.

    Returns how many were wrong; if none was, all are left as they are. Doing it again, or in other stretches,
    comes to the same.

    Raises: UsageArchived.
    Locks: slot (exclusive).
    """
    segment = Segment.objects.select_related("period", "subscription").get(pk=segment_id)
    lock_slots_exclusive([segment.subscription_id])
    check_not_archived([segment_id])
    compared = compare(segment, stretch=stretch, rules=rules)
    if compared.wrong:
        customer_id = segment.subscription.customer_id
        replaced = match_rollups(
            customer_id=customer_id,
            segment_id=segment_id,
            stretch=stretch,
            meter_ids=[rule.meter_id for rule in rules],
        )
        for model in (UsageRollup, UsageValue):
            model.objects.filter(replaced).delete()
        _insert(customer_id=customer_id, accumulators=compared.due)
    return len(compared.wrong)


@transaction.atomic
def repair_stretch(
    *, segment_id: UUID, stretch: Stretch, rules: Sequence[MeterRule], at: datetime, actor: Actor
) -> int:
    """Rebuild a stretch of a segment whose rollups may be wrong, and record it if they were.

    Returns how many were wrong.

    Locks: slot (exclusive).
    """
    wrong_count = rebuild_stretch(segment_id=segment_id, stretch=stretch, rules=rules)
    if wrong_count:
        subscription = Segment.objects.select_related("subscription").get(pk=segment_id).subscription
        changes = {"segment_id": (segment_id, segment_id), "wrong_rollup_count": (wrong_count, 0)}
        audit.record("usage.rebuilt", subject=subscription, changes=changes, actor=actor, at=at)
    return wrong_count


@transaction.atomic
def remove_strays(*, scope: RebuildScope = EVERYTHING, at: datetime, actor: Actor) -> int:
    """Remove rollups of a segment or a meter that there is not, or that is not their customer's.

    Returns how many they were.
    """
    counts = count_strays(scope)
    for model in (UsageRollup, UsageValue):
        select_strays(model, scope).delete()
    entries = [
        audit.Change(Customer(pk=customer_id), {"stray_rollup_count": (count, 0)})
        for customer_id, count in sorted(counts.items())
    ]
    audit.record_all("usage.rebuilt", entries=entries, actor=actor, at=at)
    return sum(counts.values())


def _insert(*, customer_id: UUID, accumulators: Mapping[RollupKey, Accumulator]) -> None:
    rollups = [
        UsageRollup(
            customer_id=customer_id,
            **key._asdict(),
            stripe=REBUILT_STRIPE,
            total=found.total,
            event_count=found.event_count,
            late_total=found.late_total,
            late_count=found.late_count,
            moment=found.moment,
            lead_rank=None if found.leader is None else found.leader[0],
            lead_value=None if found.leader is None else found.leader[1],
        )
        for key, found in accumulators.items()
    ]
    values = [
        UsageValue(
            customer_id=customer_id,
            **key._asdict(),
            value=value,
            stripe=REBUILT_STRIPE,
            event_count=event_count,
        )
        for key, found in accumulators.items()
        for value, event_count in found.members.items()
    ]
    UsageRollup.objects.bulk_create(rollups, batch_size=ROWS_PER_INSERT)
    UsageValue.objects.bulk_create(values, batch_size=ROWS_PER_INSERT)
