"""Operations on usage, a file for each subject: the only code that stores events and changes rollups."""

from metering.operations.ingestion import ingest_events
from metering.operations.late_usage import take_late_usage
from metering.operations.unmatched import match_unmatched_events

__all__ = ["ingest_events", "match_unmatched_events", "take_late_usage"]
