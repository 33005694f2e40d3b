"""What the customers app tells others. The payloads leave out what is personal: events are kept for good."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from billing_project.core.events import DomainEvent
from customers.models import Customer


@dataclass(frozen=True)
class CustomerCreated(DomainEvent):
    """A customer has been added."""

    name: ClassVar[str] = "customer.created"
    subject_type: ClassVar[str] = "customer"

    customer: Customer

    @property
    def subject_id(self) -> UUID:
        """Return the customer."""
        return self.customer.pk

    @property
    def customer_id(self) -> UUID | None:
        """Return the customer."""
        return self.customer.pk

    def payload(self) -> Mapping[str, object]:
        """Return how the customer stands."""
        return {
            "external_id": self.customer.external_id,
            "account_type": self.customer.account_type,
            "status": self.customer.status,
            "currency": self.customer.currency,
        }


@dataclass(frozen=True)
class CustomerUpdated(CustomerCreated):
    """Something about a customer has changed."""

    name: ClassVar[str] = "customer.updated"

    changed: tuple[str, ...]

    def payload(self) -> Mapping[str, object]:
        """Return how the customer stands, and the names of what has changed."""
        return {**super().payload(), "changed": list(self.changed)}
