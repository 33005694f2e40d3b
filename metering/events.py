"""What metering tells the apps above, and itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from billing_project.core.events import DomainEvent
from metering.models import UsageCorrection
from subscriptions.models import Subscription


@dataclass(frozen=True)
class UsagePartlyMatched(DomainEvent):
    """A new subscription has taken as many unmatched events as one call takes; there may be more."""

    subscription: Subscription

    name: ClassVar[str] = "usage.partly_matched"
    subject_type: ClassVar[str] = "usage"

    @property
    def subject_id(self) -> UUID:
        """Return the subscription whose usage it is."""
        return self.subscription.pk

    @property
    def customer_id(self) -> UUID | None:
        """Return whose usage it is."""
        return self.subscription.customer_id

    def payload(self) -> Mapping[str, object]:
        """Return which subscription it was."""
        return {"subscription_id": self.subscription.pk}


@dataclass(frozen=True)
class UsageCorrected(DomainEvent):
    """Events have been taken back, or one was replaced."""

    correction: UsageCorrection

    name: ClassVar[str] = "usage.corrected"
    subject_type: ClassVar[str] = "usage_correction"

    @property
    def subject_id(self) -> UUID:
        """Return the correction."""
        return self.correction.pk

    @property
    def customer_id(self) -> UUID | None:
        """Return whose events they were."""
        return self.correction.customer_id

    def payload(self) -> Mapping[str, object]:
        """Return what was done to how many events, and why."""
        return {
            "kind": self.correction.kind,
            "subscription_id": self.correction.subscription_id,
            "event_count": self.correction.event_count,
            "reason": self.correction.reason,
        }
