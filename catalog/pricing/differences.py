"""In what two prices differ, part by part: each tier and each cell by itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from catalog.pricing.matrix import write_values


@dataclass(frozen=True, slots=True)
class Difference:
    """A part that is not as it was; None where there was none, or is none any more.

    The field names the part, such as `tiers.0.up_to`, or a cell of a matrix by its values.
    """

    field: str
    before: str | None
    after: str | None


def compare(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[Difference, ...]:
    """List the parts in which two sets of terms differ, in the order of the later, what is gone behind it."""
    old, new = dict(_list_parts(before)), dict(_list_parts(after))
    fields = [*new, *(field for field in old if field not in new)]
    return tuple(
        Difference(field, old.get(field), new.get(field))
        for field in fields
        if old.get(field) != new.get(field)
    )


def _list_parts(terms: Mapping[str, object]) -> Iterator[tuple[str, str | None]]:
    """List all parts, each as a text; a cell goes by its values, since its place means nothing."""
    for name, value in terms.items():
        if not isinstance(value, list):
            yield name, None if value is None else str(value)
            continue
        for number, item in enumerate(value):
            if not isinstance(item, dict):
                yield f"{name}.{number}", str(item)
            elif "values" in item:
                yield f"{name}.{write_values(tuple(item['values']))}", str(item["unit_amount_nanos"])
            else:
                yield from (
                    (f"{name}.{number}.{key}", None if part is None else str(part))
                    for key, part in item.items()
                )
