"""What subscriptions tell the apps above, and webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from billing_project.core.events import DomainEvent
from catalog.models import PlanVersion
from subscriptions.models import Subscription


@dataclass(frozen=True)
class SubscriptionEvent(DomainEvent):
    """Something that has happened to a subscription, told with what it is now."""

    subscription: Subscription

    subject_type: ClassVar[str] = "subscription"

    @property
    def subject_id(self) -> UUID:
        """Return the subscription's id."""
        return self.subscription.pk

    @property
    def customer_id(self) -> UUID | None:
        """Return whose subscription it is."""
        return self.subscription.customer_id

    def payload(self) -> Mapping[str, object]:
        """Return what the subscription is now."""
        subscription = self.subscription
        return {
            "subscription_id": subscription.pk,
            "customer_id": subscription.customer_id,
            "plan_id": subscription.plan_version.plan_id,
            "plan_version": subscription.plan_version.number,
            "status": subscription.status,
            "currency": subscription.currency,
            "trial_days": subscription.trial_days,
            "starts_at": subscription.starts_at,
            "ends_at": subscription.ends_at,
            "cancelled_at": subscription.cancelled_at,
        }


@dataclass(frozen=True)
class SubscriptionCreated(SubscriptionEvent):
    """A customer has subscribed to a plan."""

    name: ClassVar[str] = "subscription.created"


@dataclass(frozen=True)
class SubscriptionUpdated(SubscriptionEvent):
    """A trial has ended, plan, quantities or prices have changed, or a change was planned or withdrawn."""

    name: ClassVar[str] = "subscription.updated"


@dataclass(frozen=True)
class SubscriptionPaused(SubscriptionEvent):
    """A subscription has been paused: no fees are due until it is resumed."""

    name: ClassVar[str] = "subscription.paused"


@dataclass(frozen=True)
class SubscriptionResumed(SubscriptionEvent):
    """A paused subscription goes on."""

    name: ClassVar[str] = "subscription.resumed"


@dataclass(frozen=True)
class SubscriptionCancelled(SubscriptionEvent):
    """A subscription has ended, at once or as planned."""

    name: ClassVar[str] = "subscription.cancelled"


@dataclass(frozen=True)
class MigrationRequested(DomainEvent):
    """Subscriptions are to be taken from one version of a plan to another, those behind `after` first."""

    source: PlanVersion
    target: PlanVersion
    when: str
    subscription_ids: tuple[UUID, ...] | None
    after: UUID | None

    name: ClassVar[str] = "plan.migration_requested"
    subject_type: ClassVar[str] = "plan"

    @property
    def subject_id(self) -> UUID:
        """Return the plan."""
        return self.source.plan_id

    @property
    def customer_id(self) -> UUID | None:
        """Return nobody: many customers follow a plan."""
        return None

    def payload(self) -> Mapping[str, object]:
        """Return what is to be done, and how far it has come."""
        return {
            "from_version": self.source.number,
            "to_version": self.target.number,
            "when": self.when,
            "subscription_ids": None if self.subscription_ids is None else list(self.subscription_ids),
            "after": self.after,
        }
