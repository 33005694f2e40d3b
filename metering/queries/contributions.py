"""What single events add to meters, and in words why one adds nothing: by the rules that count all."""

from collections.abc import Mapping

from catalog.property_filters import PropertyFilter
from metering.aggregation.rules import MeterRule, read_group
from metering.aggregation.types import Contribution, InvalidValue
from metering.models import UsageEvent


def explain_contribution(event: UsageEvent, rule: MeterRule) -> Contribution | str:
    """Say what an event of the meter's type adds to it, or why it adds nothing."""
    for condition in rule.filters:
        if not condition.matches(event.properties):
            return f"The filter does not hold: {write_filter(condition)}."
    try:
        contribution = rule.count(event.properties, timestamp=event.timestamp)
        rule.find_group(event.properties)
    except InvalidValue as error:
        return str(error)
    return "It lacks the property." if contribution is None else contribution


def read_event_groups(event: UsageEvent, rule: MeterRule) -> Mapping[str, str | None] | None:
    """Read in which group of a meter an event counts; None where the meter has no groups."""
    return name_groups(rule.find_group(event.properties), rule) if rule.group_by else None


def name_groups(group_key: str, rule: MeterRule) -> dict[str, str | None]:
    """Read the key of a group into its values by the names of the properties."""
    return dict(zip(rule.group_by, read_group(group_key), strict=True))


def write_filter(condition: PropertyFilter) -> str:
    """Write a filter so that people can read it."""
    return " ".join([condition.property_name, condition.operator, ", ".join(condition.values)]).rstrip()
