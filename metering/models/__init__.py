"""Models of the metering app, a file for each aggregate."""

from metering.models.events import UsageEvent
from metering.models.late_usage import LateUsage
from metering.models.rollups import UsageRollup

__all__ = ["LateUsage", "UsageEvent", "UsageRollup"]
