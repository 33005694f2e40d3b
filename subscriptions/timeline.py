"""What a subscription is charged by, and how changes of that part a period, as pure arithmetic.

The terms hold from one change to the next. A change says what is different from its instant on; several in a
row are folded, in their order, so that each can be made, moved or taken back without the others.

    terms at the start      change       change
    |-----------------------|------------|---------------|
    starts_at               first stretch ends          ends_at
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

# What is licensed of a SKU that nobody has named a quantity for.
USUAL_QUANTITY = "1"

# A price of this subscription alone: the names of a price's columns, and their values.
Override = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a stretch of time.

    `quantities` and `overrides` are by the id of the item, as text: the licensed quantities, and the prices
    that are this subscription's alone.
    """

    plan_version_id: UUID
    quantities: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Override] = field(default_factory=dict)
    is_paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What is different from an instant on.

    With a plan version, `quantities` names all that is licensed in it; None there stands for what was
    licensed of it before. An override of None gives an item the plan's price again.
    """

    at: datetime
    plan_version_id: UUID | None = None
    quantities: Mapping[str, str | None] = field(default_factory=dict)
    overrides: Mapping[str, Override | None] = field(default_factory=dict)
    is_paused: bool | None = None

    def change(self, terms: Terms) -> Terms:
        """Give the terms that hold from the instant on."""
        changed = replace(terms, overrides=self._change_overrides(terms.overrides))
        if self.plan_version_id is not None:
            changed = replace(
                changed,
                plan_version_id=self.plan_version_id,
                quantities={
                    item: quantity or terms.quantities.get(item, USUAL_QUANTITY)
                    for item, quantity in self.quantities.items()
                },
            )
        else:
            named = {item: quantity for item, quantity in self.quantities.items() if quantity is not None}
            changed = replace(
                changed,
                quantities={item: named.get(item, quantity) for item, quantity in terms.quantities.items()},
            )
        return changed if self.is_paused is None else replace(changed, is_paused=self.is_paused)

    def _change_overrides(self, overrides: Mapping[str, Override]) -> Mapping[str, Override]:
        merged = {**overrides, **self.overrides}
        return {item: override for item, override in merged.items() if override is not None}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a period in which the terms do not change, half-open."""

    starts_at: datetime
    ends_at: datetime
    terms: Terms


def fold(terms: Terms, shifts: Iterable[Shift], *, until: datetime) -> Terms:
    """Give the terms that hold at an instant, once all shifts up to it have been made; they are in order."""
    for shift in shifts:
        if shift.at <= until:
            terms = shift.change(terms)
    return terms


def lay(
    *, starts_at: datetime, ends_at: datetime, terms: Terms, shifts: Iterable[Shift]
) -> tuple[Stretch, ...]:
    """Part a span of time by the shifts within it, which are in order.

    `terms` are those before all of the shifts, of which earlier ones have been made when the span begins. A
    shift that changes nothing parts nothing. A span without length is one stretch.
    """
    assert starts_at <= ends_at, f"The span ends before it starts: {starts_at}, {ends_at}"
    ordered = list(shifts)
    starts: dict[datetime, Terms] = {starts_at: fold(terms, ordered, until=starts_at)}
    terms = starts[starts_at]
    for shift in ordered:
        if starts_at < shift.at < ends_at:
            terms = starts[shift.at] = shift.change(terms)
    parted: list[tuple[datetime, Terms]] = []
    for begun_at, held in starts.items():
        if not parted or parted[-1][1] != held:
            parted.append((begun_at, held))
    ends = [*(begun_at for begun_at, _ in parted[1:]), ends_at]
    return tuple(
        Stretch(begun_at, ended_at, held) for (begun_at, held), ended_at in zip(parted, ends, strict=True)
    )
