"""Limits on how often a key may call: a number of requests a minute, the same for each key, or none."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.throttling import BaseThrottle

from billing_project.core.clock import now
from billing_project.core.models import ApiKey, RateCounter
from billing_project.core.statements import fetch_row

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

WINDOW = timedelta(minutes=1)
KEPT_FOR = timedelta(hours=1)

COUNT_REQUEST = """
    INSERT INTO core_ratecounter AS counter (caller, window_at, request_count)
    VALUES (%(caller)s, %(window_at)s, 1)
    ON CONFLICT (caller, window_at) DO UPDATE SET request_count = counter.request_count + 1
    RETURNING request_count
"""


class KeyThrottle(BaseThrottle):
    """Refuses a key's requests beyond `BILLING_RATE_LIMIT_PER_MINUTE` in a minute; 0 means no limit."""

    def allow_request(self, request: "Request", view: "APIView") -> bool:
        """Count the request, and tell whether it may go on."""
        limit: int = settings.BILLING_RATE_LIMIT_PER_MINUTE
        if not limit or not isinstance(request.auth, ApiKey):
            return True
        self.at = now()
        return count_request(caller=request.auth.actor_id, at=self.at) <= limit

    def wait(self) -> float:
        """Return in how many seconds to come back."""
        return (start_of_window(self.at) + WINDOW - self.at).total_seconds()


def count_request(*, caller: str, at: datetime) -> int:
    """Count a request in its minute, and return how many the caller has sent in it."""
    (count,) = fetch_row(COUNT_REQUEST, {"caller": caller, "window_at": start_of_window(at)})
    return int(count)


def delete_old_counters(*, at: datetime) -> int:
    """Delete the counters of minutes that are long over, and return how many it were."""
    deleted, _ = RateCounter.objects.filter(window_at__lt=at - KEPT_FOR).delete()
    return deleted


def start_of_window(at: datetime) -> datetime:
    """Return the beginning of the minute."""
    return at.replace(second=0, microsecond=0)
