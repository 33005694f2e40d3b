"""What metering asks of the app above it, which supplies it in `AppConfig.ready()`.

Metering knows in which segment an event counts and what it adds to which meters; on which invoice that was
asked for is invoicing's to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from metering.models import EventVoid, UsageEvent
from subscriptions.models import Segment


class BillingState(StrEnum):
    """How far the billing of what an event adds to a meter has come."""

    UNMATCHED = "Unmatched"
    NOT_COUNTED = "NotCounted"
    NOT_CHARGED = "NotCharged"
    UPCOMING = "Upcoming"
    DRAFTED = "Drafted"
    BILLED = "Billed"
    NOTHING_DUE = "NothingDue"
    FORGIVEN = "Forgiven"
    VOIDED = "Voided"
    CREDIT_DUE = "CreditDue"
    CREDITED = "Credited"


class LineRole(StrEnum):
    """What an invoice line does about an event: ask for it, or give back what was asked for."""

    CHARGE = "Charge"
    CREDIT = "Credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargedUsage:
    """An event in a segment, which has its period with it, and the charged meters that it adds to.

    `counted_since` is an id, and so in the order of real time: what was made after it found the event counted
    in the segment. `void` has its correction with it; of an event that counts, it is None.
    """

    event: UsageEvent
    counted_since: UUID
    segment: Segment
    meter_ids: tuple[UUID, ...]
    void: EventVoid | None

    @property
    def is_after_close(self) -> bool:
        """Whether the event came into its own period when that was closed: its subscription was over.

        Any other late event is before the segment that it was put into.
        """
        if not self.event.is_late:
            return False
        return self.segment.period.number == 0 or self.event.timestamp >= self.segment.starts_at


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledLine:
    """An invoice line that an event is on; a Draft has no number yet."""

    role: LineRole
    invoice_id: UUID
    invoice_number: str | None
    invoice_status: str
    line_id: UUID
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterBilling:
    """How what an event adds to a meter is billed: in a word, in a sentence, and on which lines."""

    state: BillingState
    detail: str
    lines: tuple[BilledLine, ...] = ()


class ExplainBilling(Protocol):
    """A way to say how usage is billed, by meter; of each in turn, with a constant number of queries."""

    def __call__(self, usages: Sequence[ChargedUsage], /) -> Sequence[Mapping[UUID, MeterBilling]]:
        """Explain the billing of some events."""


_SUPPLIED: list[ExplainBilling] = []


def supply_billing(explain: ExplainBilling) -> None:
    """Have an app above say how usage is billed; there is one that does."""
    assert _SUPPLIED in ([], [explain]), "another app explains how usage is billed"
    _SUPPLIED[:] = [explain]


def explain_billing(usages: Sequence[ChargedUsage]) -> Sequence[Mapping[UUID, MeterBilling]]:
    """Say how what events add to meters is billed, each by meter."""
    (explain,) = _SUPPLIED
    return explain(usages) if usages else []
