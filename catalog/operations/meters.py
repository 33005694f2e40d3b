"""Operations on meters. A definition is made once and never changed; what people read on it may be."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self, TypedDict
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, InvalidInput
from catalog.locks import lock_meter, lock_meter_by_code
from catalog.models import Aggregation, CatalogStatus, Meter, Price

_AUDITED_FIELDS = ("code", "display_name", "event_type", "property", "aggregation", "unit", "status")


class InvalidMeter(InvalidInput):
    """The definition does not say what to count."""

    code = "invalid_meter"


class MeterCodeTaken(Conflict):
    """The code names a meter already, or one that counts something else."""

    code = "meter_code_taken"


class MeterInUse(Conflict):
    """A meter that a price refers to has to go on counting."""

    code = "meter_in_use"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDefinition:
    """Which events a meter counts, and how."""

    event_type: str
    property: str
    aggregation: Aggregation

    @classmethod
    def read(
        cls,
        *,
        event_type: str,
        property: str = "",  # noqa: A002 (the field's own name)
        aggregation: Aggregation | None = None,
        property_field: str = "property",
    ) -> Self:
        """Build a definition: unless told otherwise, a property is added up, and events are counted.

        `property_field` is what the caller's input calls the property.

        Raises: InvalidMeter.
        """
        if aggregation is None:
            aggregation = Aggregation.SUM if property else Aggregation.COUNT
        if aggregation == Aggregation.COUNT and property:
            raise InvalidMeter("A Count meter counts events; it takes no property.", field=property_field)
        if aggregation != Aggregation.COUNT and not property:
            raise InvalidMeter(f"A {aggregation} meter needs a property.", field=property_field)
        return cls(event_type=event_type, property=property, aggregation=aggregation)

    def make_code(self) -> str:
        """Make the code that a meter has if nobody names another."""
        if self.aggregation == Aggregation.COUNT:
            return f"{self.event_type}:count"
        return f"{self.event_type}.{self.property}"

    def is_of(self, meter: Meter) -> bool:
        """Tell whether a meter counts just this."""
        return (self.event_type, self.property, self.aggregation) == (
            meter.event_type,
            meter.property,
            meter.aggregation,
        )


class MeterChanges(TypedDict, total=False):
    """What can be changed on a meter; a key that is missing stays as it is."""

    display_name: str
    unit: str
    status: CatalogStatus


@transaction.atomic
def create_meter(
    *,
    definition: MeterDefinition,
    code: str = "",
    display_name: str = "",
    unit: str = "",
    at: datetime,
    actor: Actor,
) -> Meter:
    """Make a meter.

    Raises: MeterCodeTaken.
    """
    meter = _insert(definition, code=code, display_name=display_name, unit=unit, at=at, actor=actor)
    if meter is None:
        taken = code or definition.make_code()
        raise MeterCodeTaken(f"There is a meter {taken!r} already.", field="code")
    return meter


@transaction.atomic
def find_or_make_meter(*, definition: MeterDefinition, code: str = "", at: datetime, actor: Actor) -> Meter:
    """Return the meter of that code, or make it. Two callers who want the same new meter at once get one.

    Raises: MeterCodeTaken if the code names a meter that counts something else.
    Locks: meter.
    """
    _insert(definition, code=code, at=at, actor=actor)
    meter = lock_meter_by_code(code or definition.make_code())
    if not definition.is_of(meter):
        raise MeterCodeTaken(
            f"The meter {meter.code!r} counts something else: give this one a code of its own.",
            field="meter_code",
        )
    return meter


@transaction.atomic
def update_meter(*, meter_id: UUID, changes: MeterChanges, at: datetime, actor: Actor) -> Meter:
    """Change what people read on a meter, or archive it.

    Raises: NotFound; MeterInUse if it is to be archived while a price refers to it: usage would go uncounted.
    Locks: meter.
    """
    meter = lock_meter(meter_id)
    changed = audit.set_fields(meter, changes)
    if "status" in changed and Price.objects.filter(meter=meter).exists():
        raise MeterInUse(
            f"Prices refer to the meter {meter.code!r}: it has to go on counting.", field="status"
        )
    if changed:
        meter.save(update_fields=changed)
        audit.record("meter.updated", subject=meter, changes=changed, actor=actor, at=at)
    return meter


def _insert(
    definition: MeterDefinition,
    *,
    code: str,
    display_name: str = "",
    unit: str = "",
    at: datetime,
    actor: Actor,
) -> Meter | None:
    """Add a meter; None if the code is taken. Waits for whoever is adding the same code at this moment."""
    meter = Meter(
        code=code or definition.make_code(),
        display_name=display_name,
        event_type=definition.event_type,
        property=definition.property,
        aggregation=definition.aggregation,
        unit=unit,
    )
    Meter.objects.bulk_create([meter], ignore_conflicts=True)
    if not Meter.objects.filter(pk=meter.pk).exists():
        return None
    changes = audit.made(meter, *_AUDITED_FIELDS)
    audit.record("meter.created", subject=meter, changes=changes, actor=actor, at=at)
    return meter
