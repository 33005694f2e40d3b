"""Reading usage and events, a file for each subject."""

from metering.queries.choices import EVERYTHING, UsageChoice
from metering.queries.events import (
    EventArchived,
    EventDetails,
    PeriodName,
    get_event,
    get_usage_period,
    list_unmatched_events,
    read_event_details,
)
from metering.queries.fills import (
    FILL_HANDLER,
    count_matched_events,
    find_next_segment,
    get_fill,
    list_unfilled_meters,
    list_unfinished_fills,
    select_used_segments,
)
from metering.queries.rollups import BY_EVERY_GROUP, Grouping
from metering.queries.traces import EventTrace, MeterTrace, VoidTrace, trace_events
from metering.queries.usage import (
    NO_USAGE,
    GroupUsage,
    MeterSummary,
    MeterUsage,
    UsageSummary,
    get_subscription_now,
    read_segment_usage,
    read_usage_summary,
)
from metering.queries.windows import UsageBucket, read_usage_series, read_window_usage

__all__ = [
    "BY_EVERY_GROUP",
    "EVERYTHING",
    "FILL_HANDLER",
    "NO_USAGE",
    "EventArchived",
    "EventDetails",
    "EventTrace",
    "GroupUsage",
    "Grouping",
    "MeterSummary",
    "MeterTrace",
    "MeterUsage",
    "PeriodName",
    "UsageBucket",
    "UsageChoice",
    "UsageSummary",
    "VoidTrace",
    "count_matched_events",
    "find_next_segment",
    "get_event",
    "get_fill",
    "get_subscription_now",
    "get_usage_period",
    "list_unfilled_meters",
    "list_unfinished_fills",
    "list_unmatched_events",
    "read_event_details",
    "read_segment_usage",
    "read_usage_series",
    "read_usage_summary",
    "read_window_usage",
    "select_used_segments",
    "trace_events",
]
