"""From items to the lines of an invoice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing_project.core.money import EXACT, Rounding, format_quantity, multiply_ratio
from catalog.pricing.types import Charge, ChargeStep, Stage, Usage
from invoicing.rating.items import RatingItem, RatingKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedLine:
    """A computed line, before it is on an invoice.

    `quantity`, `late_quantity` and `charge_nanos` are what the line adds to what was billed; `rated_quantity`
    is the quantity so far. `unit_amount_nanos` is given where one rate holds for all of that. The steps are
    JSON in which every number is a string, and add up to `charge_nanos`.
    """

    key: str
    kind: RatingKind
    item_id: UUID
    sku_id: UUID
    meter_id: UUID | None
    segment_id: UUID
    subscription_id: UUID
    description: str
    quantity: Decimal
    unit: str
    unit_amount_nanos: int | None
    charge_nanos: int
    tax_behavior: str
    tax_category: str
    period_start: datetime
    period_end: datetime
    rated_quantity: Decimal
    late_quantity: Decimal
    billed_nanos: int
    steps: tuple[dict[str, str], ...]


def rate_items(items: Sequence[RatingItem], *, stage: Stage) -> tuple[RatedLine, ...]:
    """Rate each item, and make a line of what it adds to what was billed before.

    Usage that was never billed has a line even where it is zero, so that an invoice shows every meter. An
    item that was billed and adds nothing has none, and neither has a fee in arrears before it is due. A line
    may be negative, since a price can fall as the quantity grows, and the quantity can be corrected; but it
    gives nothing back that was forgiven.
    """
    lines = []
    for item in items:
        if item.kind is RatingKind.FEE and stage is not Stage.FINAL:
            continue
        line = _rate_item(item, stage=stage)
        if line.quantity or line.charge_nanos or not item.is_billed:
            lines.append(line)
    return tuple(lines)


def _rate_item(item: RatingItem, *, stage: Stage) -> RatedLine:
    charge = _charge_so_far(item, stage=stage)
    steps = list(charge.steps)
    if item.billed_nanos:
        steps.append(ChargeStep.once("billed-before", "Billed before", -item.billed_nanos))
    charge_nanos = charge.amount_nanos - item.billed_nanos
    if charge_nanos < -item.creditable_nanos:
        kept_nanos = -item.creditable_nanos - charge_nanos
        steps.append(ChargeStep.once("forgiven", "Forgiven before", kept_nanos))
        charge_nanos += kept_nanos
    return RatedLine(
        key=item.key,
        kind=_kind_of_line(item),
        item_id=item.item_id,
        sku_id=item.sku_id,
        meter_id=item.meter_id,
        segment_id=item.segment_id,
        subscription_id=item.subscription_id,
        description=item.description,
        quantity=EXACT.subtract(item.quantity, item.billed_quantity),
        unit=item.unit,
        unit_amount_nanos=_unit_amount(item, charge),
        charge_nanos=charge_nanos,
        tax_behavior=item.tax_behavior,
        tax_category=item.tax_category,
        period_start=item.period_start,
        period_end=item.period_end,
        rated_quantity=item.quantity,
        late_quantity=EXACT.subtract(item.late_quantity, item.billed_late_quantity),
        billed_nanos=item.billed_nanos,
        steps=tuple(_write_step(step) for step in steps),
    )


def _charge_so_far(item: RatingItem, *, stage: Stage) -> Charge:
    """Price the whole quantity of the segment, whatever was billed of it."""
    if item.is_free:
        return Charge((ChargeStep("free", "Free", item.quantity, 0, 0),))
    if item.kind is RatingKind.USAGE:
        return item.model.scale(item.share).charge(Usage(item.quantity, item.groups), stage)
    # A fee is priced for the full period, then prorated: half a month of five seats is not 2.5 seats.
    full = item.model.charge(Usage.of(item.quantity), Stage.FINAL)
    prorated_nanos = multiply_ratio(full.amount_nanos, item.share, Rounding.HALF_EVEN)
    if prorated_nanos == full.amount_nanos:
        return full
    proration = ChargeStep.once("proration", f"Prorated to {item.share}", prorated_nanos - full.amount_nanos)
    return Charge((*full.steps, proration))


def _kind_of_line(item: RatingItem) -> RatingKind:
    """Tell the kind of the line: what is added to a billed advance fee is not that fee once more."""
    if item.kind is RatingKind.ADVANCE_FEE and item.is_billed:
        return RatingKind.FEE
    return item.kind


def _unit_amount(item: RatingItem, charge: Charge) -> int | None:
    """Find the one rate that the whole quantity was priced at, if there is one."""
    if len(charge.steps) == 1 and charge.steps[0].quantity == item.quantity:
        return charge.steps[0].unit_amount_nanos
    return None


def _write_step(step: ChargeStep) -> dict[str, str]:
    return {
        "key": step.key,
        "description": step.description,
        "quantity": format_quantity(step.quantity),
        "unit_amount_nanos": str(step.unit_amount_nanos),
        "amount_nanos": str(step.amount_nanos),
    }
