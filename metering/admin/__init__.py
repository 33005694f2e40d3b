"""Staff pages of metering: usage events of one customer at a time. Rollups are sums, and have no page."""

from metering.admin.archives import EventArchiveAdmin
from metering.admin.corrections import UsageCorrectionAdmin
from metering.admin.events import UsageEventAdmin
from metering.admin.fills import MeterFillAdmin
from metering.admin.imports import EventImportAdmin
from metering.admin.late_usage import LateUsageAdmin
from metering.admin.notes import IngestNoteAdmin

__all__ = [
    "EventArchiveAdmin",
    "EventImportAdmin",
    "IngestNoteAdmin",
    "LateUsageAdmin",
    "MeterFillAdmin",
    "UsageCorrectionAdmin",
    "UsageEventAdmin",
]
