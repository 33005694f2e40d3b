"""What one meter makes of one event: whether it counts, in which group, and for how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from catalog.property_filters import PropertyFilter, write_scalar
from metering.aggregation.types import Aggregation, Contribution, InvalidValue

NO_GROUP = ""
MAX_GROUP_VALUE_LENGTH = 255
MAX_GROUP_BYTES = 1500  # With a kept value of 255 characters, it must fit into an entry of an index.


@dataclass(frozen=True, slots=True)
class MeterRule:
    """The whole rule of a meter. All its filters must hold; `group_by` names the properties that group."""

    meter_id: UUID
    event_type: str
    aggregation: Aggregation
    filters: tuple[PropertyFilter, ...] = ()
    group_by: tuple[str, ...] = ()

    def count(self, properties: Mapping[str, object], *, timestamp: datetime) -> Contribution | None:
        """Say what an event adds to the meter; None if it does not count.

        Raises: InvalidValue.
        """
        for condition in self.filters:
            if not condition.matches(properties):
                return None
        return self.aggregation.contribute(properties, timestamp=timestamp)

    def find_group(self, properties: Mapping[str, object]) -> str:
        """Write the group of an event as the key that rollups have.

        Raises: InvalidValue if the properties that group are longer than can be kept.
        """
        if not self.group_by:
            return NO_GROUP
        values = [write_scalar(properties.get(name)) for name in self.group_by]
        for name, value in zip(self.group_by, values, strict=True):
            if value is not None and len(value) > MAX_GROUP_VALUE_LENGTH:
                detail = (
                    f"The property {name!r} groups usage: it has at most {MAX_GROUP_VALUE_LENGTH} characters."
                )
                raise InvalidValue(detail)
        key = write_group(values)
        if len(key.encode()) > MAX_GROUP_BYTES:
            names = ", ".join(map(repr, self.group_by))
            raise InvalidValue(f"The properties {names} group usage: they are too long together.")
        return key


def write_group(values: Sequence[str | None]) -> str:
    """Write the values of a meter's `group_by` properties as a key: a JSON array, null for what has none."""
    return msgspec.json.encode(values).decode()


def read_group(key: str) -> list[str | None]:
    """Read a key back into the values that it was written from."""
    return msgspec.json.decode(key, type=list[str | None]) if key else []
