"""Operations on usage, a file for each subject: the only code that stores events and changes rollups."""

from metering.operations.corrections import amend_event, void_event, void_events
from metering.operations.filling import begin_fill, fill_next_stretch, start_fill
from metering.operations.ingestion import ingest_events, ingest_many_events
from metering.operations.late_usage import take_late_usage
from metering.operations.notes import delete_old_notes
from metering.operations.previews import (
    MatchPreview,
    UsageEffect,
    VoidPreview,
    preview_match,
    preview_void,
)
from metering.operations.rebuilding import rebuild_stretch, remove_strays, repair_stretch
from metering.operations.unmatched import match_selected_events, match_unmatched_events

__all__ = [
    "MatchPreview",
    "UsageEffect",
    "VoidPreview",
    "amend_event",
    "begin_fill",
    "delete_old_notes",
    "fill_next_stretch",
    "ingest_events",
    "ingest_many_events",
    "match_selected_events",
    "match_unmatched_events",
    "preview_match",
    "preview_void",
    "rebuild_stretch",
    "remove_strays",
    "repair_stretch",
    "start_fill",
    "take_late_usage",
    "void_event",
    "void_events",
]
