"""The rules of meters, built from their definitions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from catalog.models import Meter
from catalog.property_filters import read_filters
from metering.aggregation.registry import build_aggregation
from metering.aggregation.rules import MeterRule
from metering.aggregation.types import Definition

REMEMBERED_METERS = 10_000

# What a meter counts never changes.
_rules: dict[UUID, MeterRule] = {}


def build_rule(meter: Meter) -> MeterRule:
    """Build the rule of a meter."""
    definition = Definition(
        property_name=meter.property, percentile=meter.percentile, carries_over=meter.carries_over
    )
    return MeterRule(
        meter_id=meter.pk,
        event_type=meter.event_type,
        aggregation=build_aggregation(meter.aggregation, definition),
        filters=read_filters(meter.filters),
        group_by=tuple(meter.group_by),
    )


def read_rules(meter_ids: Sequence[UUID]) -> list[MeterRule]:
    """Read the rules of meters, in the order of the ids."""
    rules = {meter_id: rule for meter_id in meter_ids if (rule := _rules.get(meter_id)) is not None}
    missing = [meter_id for meter_id in meter_ids if meter_id not in rules]
    if missing:
        read = {meter.pk: build_rule(meter) for meter in Meter.objects.filter(pk__in=missing)}
        if len(_rules) + len(read) > REMEMBERED_METERS:
            _rules.clear()
        _rules.update(read)
        rules |= read
    return [rules[meter_id] for meter_id in meter_ids]


def group_rules(rules: Iterable[MeterRule]) -> Mapping[str, Sequence[MeterRule]]:
    """Group rules by the type of event that they count."""
    by_type: defaultdict[str, list[MeterRule]] = defaultdict(list)
    for rule in rules:
        by_type[rule.event_type].append(rule)
    return by_type
