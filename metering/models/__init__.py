"""Models of the metering app, a file for each aggregate."""

from metering.models.archives import (
    ArchivedEvent,
    ArchivedSegment,
    ArchiveFormat,
    ArchiveStatus,
    EventArchive,
)
from metering.models.corrections import CorrectionKind, EventVoid, UsageCorrection
from metering.models.events import UsageEvent
from metering.models.fills import FillStatus, MeterFill
from metering.models.imports import EventImport, ImportFormat
from metering.models.late_usage import LateUsage
from metering.models.notes import IngestNote
from metering.models.rollups import UsageRollup, UsageValue

__all__ = [
    "ArchiveFormat",
    "ArchiveStatus",
    "ArchivedEvent",
    "ArchivedSegment",
    "CorrectionKind",
    "EventArchive",
    "EventImport",
    "EventVoid",
    "FillStatus",
    "ImportFormat",
    "IngestNote",
    "LateUsage",
    "MeterFill",
    "UsageCorrection",
    "UsageEvent",
    "UsageRollup",
    "UsageValue",
]
