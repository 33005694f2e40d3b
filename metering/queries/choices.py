"""Choosing what of a subscription's usage is shown: of which meters, and of which groups of theirs."""

from collections.abc import Sequence
from dataclasses import dataclass

from billing_project.core.errors import InvalidInput
from catalog.models import Meter
from metering.queries.rollups import NOT_GROUPED, Grouping


class UnknownMeter(InvalidInput):
    """The plan does not charge for such a meter."""

    code = "unknown_meter"


class UnknownProperty(InvalidInput):
    """No meter that is shown is grouped by such a property."""

    code = "unknown_property"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageChoice:
    """What is asked for. Meters are named by their codes or ids; without a name it is all of the plan.

    Properties to group by show groups of the meters that have them all, and leave the others whole.
    Properties that must have a value leave out the meters without them: what those counted is not known.
    """

    meters: Sequence[str] = ()
    grouping: Grouping = NOT_GROUPED


EVERYTHING = UsageChoice()


def choose_meters(meters: Sequence[Meter], choice: UsageChoice) -> list[Meter]:
    """Choose among the meters of a plan, in their order.

    Raises: UnknownMeter; UnknownProperty.
    """
    chosen = list(meters)
    if choice.meters:
        wanted = set(choice.meters)
        chosen = [meter for meter in meters if not wanted.isdisjoint({meter.code, str(meter.pk)})]
        unknown = wanted - {name for meter in chosen for name in (meter.code, str(meter.pk))}
        if unknown:
            raise UnknownMeter(
                f"The plan has no meter {', '.join(sorted(unknown))} in that time.", field="meter_id"
            )
    if choice.grouping.only:
        chosen = [meter for meter in chosen if choice.grouping.only.keys() <= {*meter.group_by}]
        if not chosen:
            raise _refuse(tuple(choice.grouping.only), field="filter_group")
    properties = choice.grouping.properties
    if properties and not any(set(properties) <= {*meter.group_by} for meter in chosen):
        raise _refuse(properties, field="group_by")
    return chosen


def _refuse(properties: Sequence[str], *, field: str) -> UnknownProperty:
    return UnknownProperty(f"No meter is grouped by {' and '.join(properties)}.", field=field)
