"""What meters count, in words."""

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from billing_project.core.admin.columns import write_quantity
from catalog.models import Aggregation, Meter
from catalog.property_filters import COMPARISONS, FilterOperator, PropertyFilter, read_filters

_QUANTITIES = {
    Aggregation.SUM: "The sum of {property}",
    Aggregation.COUNT: "The number of events",
    Aggregation.MAX: "The greatest {property}",
    Aggregation.MIN: "The least {property}",
    Aggregation.AVERAGE: "The average {property}",
    Aggregation.UNIQUE_COUNT: "The number of different values of {property}",
    Aggregation.LATEST: "The latest {property}",
    Aggregation.WEIGHTED_SUM: "The sum of the changes of {property}, weighted by time",
    Aggregation.PERCENTILE: "Percentile {percentile} of {property}",
}
OPERATORS = {
    FilterOperator.EQUALS: "is",
    FilterOperator.NOT_EQUALS: "is not",
    FilterOperator.IN: "is one of",
    FilterOperator.NOT_IN: "is none of",
    FilterOperator.EXISTS: "is given",
    FilterOperator.MISSING: "is not given",
    FilterOperator.GREATER_THAN: "is greater than",
    FilterOperator.GREATER_OR_EQUAL: "is at least",
    FilterOperator.LESS_THAN: "is less than",
    FilterOperator.LESS_OR_EQUAL: "is at most",
}


def describe_quantity_of(meter: Meter) -> str:
    """Say which quantity a meter makes of events."""
    percentile = "" if meter.percentile is None else write_quantity(meter.percentile)
    sentence = _QUANTITIES[Aggregation(meter.aggregation)]
    text = sentence.format(property=meter.property, percentile=percentile)
    return f"{text}, from the level of the period before" if meter.carries_over else text


def describe_filters_of(meter: Meter) -> SafeString | str:
    """Say which events a meter counts, a line for each filter."""
    lines = [(describe_filter(each),) for each in read_filters(meter.filters)]
    return format_html_join("", "<div>{}</div>", lines) or "All events of the type"


def describe_filter(condition: PropertyFilter) -> str:
    """Say what a filter asks for."""
    values = condition.values
    if condition.operator not in COMPARISONS:
        values = tuple(f'"{text}"' for text in values)
    parts = (condition.property_name, OPERATORS[condition.operator], ", ".join(values))
    return " ".join(filter(None, parts))
