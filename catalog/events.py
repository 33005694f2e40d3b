"""What the catalogue tells the apps above, and webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from billing_project.core.events import DomainEvent
from catalog.models import Meter


@dataclass(frozen=True)
class MeterEvent(DomainEvent):
    """Something that has happened to a meter."""

    meter: Meter

    subject_type: ClassVar[str] = "meter"

    @property
    def subject_id(self) -> UUID:
        """Return the meter's id."""
        return self.meter.pk

    @property
    def customer_id(self) -> UUID | None:
        """Return nobody: a meter is everybody's."""
        return None

    def payload(self) -> Mapping[str, object]:
        """Return what the meter is now."""
        meter = self.meter
        return {
            "meter_id": meter.pk,
            "code": meter.code,
            "display_name": meter.display_name,
            "event_type": meter.event_type,
            "property": meter.property,
            "aggregation": meter.aggregation,
            "percentile": meter.percentile,
            "carries_over": meter.carries_over,
            "filters": meter.filters,
            "group_by": meter.group_by,
            "unit": meter.unit,
            "status": meter.status,
        }


@dataclass(frozen=True)
class MeterCreated(MeterEvent):
    """A meter has been made. It has not counted the events that came before it."""

    name: ClassVar[str] = "meter.created"


@dataclass(frozen=True)
class MeterArchived(MeterEvent):
    """A meter counts no further events."""

    name: ClassVar[str] = "meter.archived"


@dataclass(frozen=True)
class MeterRestored(MeterEvent):
    """An archived meter counts again. It has not counted the events that came in the meantime."""

    name: ClassVar[str] = "meter.restored"
