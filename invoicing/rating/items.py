"""What goes into rating: one item for each SKU and segment that an invoice is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from uuid import UUID

from catalog.pricing.types import GroupValues, Pricing


class RatingKind(StrEnum):
    """What is charged: the kinds of computed invoice lines, by the same names."""

    USAGE = "Usage"
    FEE = "Fee"
    ADVANCE_FEE = "AdvanceFee"


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingItem:
    """A SKU in a segment: how it is priced, its quantity so far, and what was billed of it before.

    `share` is, for usage, the segment's part of its period, by which tiers, free units and bounds shrink; for
    a fee it is the segment's part of the full nominal period, by which the fee is prorated. `is_free` is the
    trial's. `groups` parts the quantity for a model that tells usage apart. `forgiven_nanos` is the part of
    `billed_nanos` that nobody has to pay, and so gets back.
    """

    key: str
    kind: RatingKind
    item_id: UUID
    sku_id: UUID
    meter_id: UUID | None
    segment_id: UUID
    subscription_id: UUID
    description: str
    unit: str
    model: Pricing
    share: Fraction
    quantity: Decimal
    groups: Mapping[GroupValues, Decimal] = field(default_factory=dict)
    late_quantity: Decimal
    is_free: bool
    billed_nanos: int
    billed_quantity: Decimal
    billed_late_quantity: Decimal = Decimal(0)
    forgiven_nanos: int = 0
    tax_behavior: str
    tax_category: str
    period_start: datetime
    period_end: datetime

    @property
    def is_billed(self) -> bool:
        """Whether an earlier invoice has billed some of it."""
        return bool(self.billed_nanos or self.billed_quantity)

    @property
    def creditable_nanos(self) -> int:
        """Return how much of what was billed can be given back: what was asked for, and not forgiven."""
        return max(self.billed_nanos - self.forgiven_nanos, 0)
