"""Staff pages of metering: usage events of one customer at a time. Rollups are sums, and have no page."""

from metering.admin.events import UsageEventAdmin
from metering.admin.late_usage import LateUsageAdmin

__all__ = ["LateUsageAdmin", "UsageEventAdmin"]
