"""Operations on meters. A definition is made once and never changed; what people read on it may be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Self, TypedDict
from uuid import UUID

from django.db import transaction

from billing_project.core import audit, events
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict, InvalidInput
from catalog.events import MeterArchived, MeterCreated, MeterRestored
from catalog.locks import lock_meter, lock_meter_by_code
from catalog.models import Aggregation, CatalogStatus, Meter, Price
from catalog.models.meters import MAX_PERCENTILE
from catalog.property_filters import InvalidFilter, PropertyFilter, read_filters, read_property_name

MAX_GROUPS = 10

_AUDITED_FIELDS = (
    "code",
    "display_name",
    "event_type",
    "property",
    "aggregation",
    "percentile",
    "carries_over",
    "filters",
    "group_by",
    "unit",
    "status",
)


class InvalidMeter(InvalidInput):
    """The definition does not say what to count."""

    code = "invalid_meter"


class MeterNeedsCode(InvalidInput):
    """Only a plain sum and a plain number of events have a code that follows from what they count."""

    code = "meter_needs_code"


class MeterCodeTaken(Conflict):
    """The code names a meter already, or one that counts something else."""

    code = "meter_code_taken"


class MeterInUse(Conflict):
    """A meter that a price refers to has to go on counting."""

    code = "meter_in_use"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDefinition:
    """Which events a meter counts, and how.

    Filters are in one order and each once, so that equal ones are equal; groups are in the order in which
    they are shown.
    """

    event_type: str
    property: str
    aggregation: Aggregation
    percentile: Decimal | None = None
    carries_over: bool = False
    filters: tuple[PropertyFilter, ...] = ()
    group_by: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        *,
        event_type: str,
        property: str = "",  # noqa: A002 (the field's own name)
        aggregation: Aggregation | None = None,
        percentile: Decimal | None = None,
        carries_over: bool = False,
        filters: Sequence[object] = (),
        group_by: Sequence[str] = (),
        property_field: str = "property",
    ) -> Self:
        """Build a definition: unless told otherwise, a property is added up, and events are counted.

        `filters` are JSON, as `PropertyFilter.from_params` takes it. `property_field` is what the caller's
        input calls the property.

        Raises: InvalidMeter, which names the field.
        """
        if aggregation is None:
            aggregation = Aggregation.SUM if property else Aggregation.COUNT
        if aggregation == Aggregation.COUNT and property:
            raise InvalidMeter("A Count meter counts events; it takes no property.", field=property_field)
        if aggregation != Aggregation.COUNT and not property:
            raise InvalidMeter(f"A {aggregation} meter needs a property.", field=property_field)
        if carries_over and aggregation != Aggregation.WEIGHTED_SUM:
            raise InvalidMeter("Only a WeightedSum meter carries over.", field="carries_over")
        return cls(
            event_type=event_type,
            property=_read_name(property, field=property_field) if property else "",
            aggregation=aggregation,
            percentile=_read_percentile(percentile, aggregation),
            carries_over=carries_over,
            filters=_read_filters(filters),
            group_by=_read_groups(group_by),
        )

    @classmethod
    def of(cls, meter: Meter) -> Self:
        """Build the definition of a stored meter."""
        return cls(
            event_type=meter.event_type,
            property=meter.property,
            aggregation=Aggregation(meter.aggregation),
            percentile=meter.percentile,
            carries_over=meter.carries_over,
            filters=read_filters(meter.filters),
            group_by=tuple(meter.group_by),
        )

    def make_code(self, *, field: str = "code") -> str:
        """Make the code that a meter has if nobody names another; `field` is where one can be named.

        Raises: MeterNeedsCode if it is not a plain sum or a plain number of events.
        """
        is_plain = not self.filters and not self.group_by
        if is_plain and self.aggregation == Aggregation.COUNT:
            return f"{self.event_type}:count"
        if is_plain and self.aggregation == Aggregation.SUM:
            return f"{self.event_type}.{self.property}"
        raise MeterNeedsCode(
            "Name a code: only a Sum or Count meter without filters and groups has one by itself.",
            field=field,
        )

    def is_of(self, meter: Meter) -> bool:
        """Tell whether a meter counts just this. The order of the groups counts nothing else."""
        its_own = self.of(meter)
        has_same_groups = set(self.group_by) == set(its_own.group_by)
        return has_same_groups and replace(self, group_by=its_own.group_by) == its_own


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

    Raises: MeterNeedsCode; MeterCodeTaken.
    Emits: meter.created.
    """
    code = code or definition.make_code()
    meter = _insert(definition, code=code, display_name=display_name, unit=unit, at=at, actor=actor)
    if meter is None:
        raise MeterCodeTaken(f"There is a meter {code!r} already.", field="code")
    return meter


@transaction.atomic
def find_or_make_meter(*, definition: MeterDefinition, code: str = "", at: datetime, actor: Actor) -> Meter:
    """Return the meter of that code, or make it. Two callers who want the same new meter at once get one.

    Raises: MeterNeedsCode; MeterCodeTaken if the code names a meter that counts something else.
    Locks: meter.
    Emits: meter.created.
    """
    code = code or definition.make_code(field="meter_code")
    _insert(definition, code=code, at=at, actor=actor)
    meter = lock_meter_by_code(code)
    if not definition.is_of(meter):
        raise MeterCodeTaken(
            f"The meter {meter.code!r} counts something else: give this one a code of its own.",
            field="meter_code",
        )
    return meter


@transaction.atomic
def update_meter(*, meter_id: UUID, changes: MeterChanges, at: datetime, actor: Actor) -> Meter:
    """Change what people read on a meter, archive it, or bring an archived one back.

    Raises: NotFound; MeterInUse if it is to be archived while a price refers to it: usage would go uncounted.
    Locks: meter.
    Emits: meter.archived or meter.restored where the status changes.
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
    if "status" in changed:
        is_archived = meter.status == CatalogStatus.ARCHIVED
        events.emit(MeterArchived(meter) if is_archived else MeterRestored(meter), at=at)
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
        code=code,
        display_name=display_name,
        event_type=definition.event_type,
        property=definition.property,
        aggregation=definition.aggregation,
        percentile=definition.percentile,
        carries_over=definition.carries_over,
        filters=[each.to_params() for each in definition.filters],
        group_by=list(definition.group_by),
        unit=unit,
    )
    Meter.objects.bulk_create([meter], ignore_conflicts=True)
    if not Meter.objects.filter(pk=meter.pk).exists():
        return None
    changes = audit.made(meter, *_AUDITED_FIELDS)
    audit.record("meter.created", subject=meter, changes=changes, actor=actor, at=at)
    events.emit(MeterCreated(meter), at=at)
    return meter


def _read_name(value: object, *, field: str) -> str:
    """Read the name of a property.

    Raises: InvalidMeter.
    """
    try:
        return read_property_name(value, field=field)
    except InvalidFilter as error:
        raise InvalidMeter(error.detail, field=error.field) from None


def _read_percentile(percentile: Decimal | None, aggregation: Aggregation) -> Decimal | None:
    """Check the percentile, which a Percentile meter has, and no other.

    Raises: InvalidMeter.
    """
    if aggregation != Aggregation.PERCENTILE:
        if percentile is not None:
            raise InvalidMeter(f"A {aggregation} meter takes no percentile.", field="percentile")
        return None
    if percentile is None:
        raise InvalidMeter("A Percentile meter needs a percentile, such as 95.", field="percentile")
    if not 0 < percentile <= MAX_PERCENTILE:
        raise InvalidMeter(f"A percentile is above 0, and at most {MAX_PERCENTILE}.", field="percentile")
    return percentile


def _read_filters(params: Sequence[object]) -> tuple[PropertyFilter, ...]:
    """Read filters in JSON.

    Raises: InvalidMeter, whose field is such as `filters.0.operator`.
    """
    try:
        return read_filters(params)
    except InvalidFilter as error:
        field = f"filters.{error.field}" if error.field else "filters"
        raise InvalidMeter(error.detail, field=field) from None


def _read_groups(names: Sequence[str]) -> tuple[str, ...]:
    """Check the properties by whose values usage is grouped.

    Raises: InvalidMeter, whose field is such as `group_by.0`.
    """
    if len(names) > MAX_GROUPS:
        raise InvalidMeter(f"Enter at most {MAX_GROUPS} properties.", field="group_by")
    for index, name in enumerate(names):
        _read_name(name, field=f"group_by.{index}")
        if name in names[:index]:
            raise InvalidMeter(f"The property {name!r} is there twice.", field=f"group_by.{index}")
    return tuple(names)
