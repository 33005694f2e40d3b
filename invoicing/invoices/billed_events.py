"""On which invoice lines events are, or why they are on none: what metering shows of an event.

Rating is cumulative: a line bills what a segment has come to on a meter since the lines before it. So an
event is on the first line of its segment and meter that was rated after it began to count, and what taking it
back changes is on the first one rated after that. When the lines of a Draft were last rated, its audit trail
tells, in real time, as the ids do that it is compared with; a customer's clock may stand still meanwhile.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import CharField, Max, OuterRef, Q, Subquery
from django.db.models.functions import Cast

from billing_project.core.models import AuditEntry
from invoicing.models import Invoice, InvoiceLine, InvoiceReason, InvoiceStatus, LineKind
from metering.models import EventVoid, LateUsage
from metering.ports import BilledLine, BillingState, ChargedUsage, LineRole, MeterBilling
from subscriptions.models import Period

# What the audit trail calls it when the computed lines of a Draft were rated, and came out other than before.
RATED = ("invoice.drafted", "invoice.refreshed")

Lines = Sequence[InvoiceLine]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was read for some events.

    `lines` are those that stand, or may yet, by segment and meter, in the order in which they were rated;
    `awaited` are the subscriptions whose last period is to be settled once more, and `settled_at` is when a
    period of a subscription was last settled.
    """

    lines: Mapping[tuple[UUID, UUID], Lines]
    awaited: Collection[UUID]
    settled_at: Mapping[UUID, datetime]


def explain_billing(usages: Sequence[ChargedUsage]) -> list[Mapping[UUID, MeterBilling]]:
    """Say on which lines what events add to meters is billed or credited, or why on none; by meter."""
    subscription_ids = {usage.segment.subscription_id for usage in usages}
    facts = _Facts(
        lines=_read_lines({usage.segment.pk for usage in usages}),
        awaited=_read_awaited(subscription_ids),
        settled_at=_read_settled(subscription_ids),
    )
    return [{meter_id: _explain(usage, meter_id, facts) for meter_id in usage.meter_ids} for usage in usages]


def _explain(usage: ChargedUsage, meter_id: UUID, facts: _Facts) -> MeterBilling:
    lines = facts.lines.get((usage.segment.pk, meter_id), ())
    with_event = [line for line in lines if _has_event(line, usage)]
    if usage.void is not None:
        return _explain_void(usage, usage.void, with_event, facts)
    charges = _pick_first(with_event)
    shown = _show(charges, role=LineRole.CHARGE)
    if not charges:
        return _explain_unbilled(usage, facts)
    if any(line.invoice.is_draft for line in charges):
        return MeterBilling(state=BillingState.DRAFTED, detail="It is on a Draft.", lines=shown)
    if _are_forgiven(charges):
        detail = f"It is on {_name(charges)}, called off and forgiven."
        return MeterBilling(state=BillingState.FORGIVEN, detail=detail, lines=shown)
    return MeterBilling(state=BillingState.BILLED, detail=f"It is on {_name(charges)}.", lines=shown)


def _explain_unbilled(usage: ChargedUsage, facts: _Facts) -> MeterBilling:
    period = usage.segment.period
    if period.is_open:
        detail = "The period is open: it goes on the next invoice."
    elif period.settled_at is None or period.subscription_id in facts.awaited:
        detail = "The period is closed, and its invoice is still to be made."
    else:
        detail = "The period is settled: there was nothing to pay for it."
        return MeterBilling(state=BillingState.NOTHING_DUE, detail=detail)
    return MeterBilling(state=BillingState.UPCOMING, detail=detail)


def _explain_void(usage: ChargedUsage, void: EventVoid, with_event: Lines, facts: _Facts) -> MeterBilling:
    """Say what became of an event that was taken back: it was billed by then, or it was not."""
    charges = _pick_first(line for line in with_event if not _is_rated_after(line, void.pk))
    credits_given = _pick_first(line for line in with_event if _is_rated_after(line, void.pk))
    shown = _show(charges, role=LineRole.CHARGE)
    if all(line.invoice.is_draft for line in charges):
        stale = " The Draft has it until it is refreshed." if charges else ""
        detail = f"It was taken back before it was billed.{stale}"
        return MeterBilling(state=BillingState.VOIDED, detail=detail, lines=shown)
    if _are_forgiven(charges):
        detail = f"It was on {_name(charges)}, called off and forgiven: there is nothing to give back."
        return MeterBilling(state=BillingState.FORGIVEN, detail=detail, lines=shown)
    shown += _show(credits_given, role=LineRole.CREDIT)
    if not credits_given:
        return _explain_uncredited(usage, void, facts, shown)
    if any(line.invoice.is_draft for line in credits_given):
        detail = f"It was billed on {_name(charges)}; the credit is on a Draft."
        return MeterBilling(state=BillingState.CREDIT_DUE, detail=detail, lines=shown)
    detail = f"It was billed on {_name(charges)}, and credited on {_name(credits_given)}."
    return MeterBilling(state=BillingState.CREDITED, detail=detail, lines=shown)


def _explain_uncredited(
    usage: ChargedUsage, void: EventVoid, facts: _Facts, shown: tuple[BilledLine, ...]
) -> MeterBilling:
    """Say whether the credit is still to come: the next period that is settled takes it up, if any."""
    subscription_id = usage.segment.subscription_id
    settled_at = facts.settled_at.get(subscription_id)
    taken_at = void.correction.created_at
    if settled_at is not None and settled_at > taken_at and subscription_id not in facts.awaited:
        detail = "Taking it back changed nothing that was to be paid."
        return MeterBilling(state=BillingState.NOTHING_DUE, detail=detail, lines=shown)
    detail = "It was billed, and goes off the next invoice."
    return MeterBilling(state=BillingState.CREDIT_DUE, detail=detail, lines=shown)


def _has_event(line: InvoiceLine, usage: ChargedUsage) -> bool:
    """Tell whether an event of its segment counted when a line was last rated.

    The invoice of the period's end is rated once nothing can enter the period; but for what comes after the
    end of a subscription, that has all of it. It may have been rated again and come out the same.
    """
    invoice, period = line.invoice, usage.segment.period
    is_complete = (
        invoice.period_id == period.pk
        and invoice.reason == InvoiceReason.PERIOD_END
        and invoice.computed_at is not None
        and period.closed_at is not None
        and invoice.computed_at >= period.closed_at
    )
    return _is_rated_after(line, usage.counted_since) or (is_complete and not usage.is_after_close)


def _is_rated_after(line: InvoiceLine, row_id: UUID) -> bool:
    rated_id: UUID | None = line.rated_id  # type: ignore[attr-defined] # Annotated below.
    return rated_id is not None and rated_id > row_id


def _pick_first(lines: Iterable[InvoiceLine]) -> list[InvoiceLine]:
    """Pick the first line of each key: where several SKUs are on the meter, each has lines of its own."""
    first: dict[str | None, InvoiceLine] = {}
    for line in lines:
        first.setdefault(line.key, line)
    return list(first.values())


def _are_forgiven(lines: Lines) -> bool:
    return all(line.invoice.status == InvoiceStatus.VOID for line in lines)


def _name(lines: Lines) -> str:
    """Name the invoices that lines are on."""
    names = dict.fromkeys(str(line.invoice) for line in lines)
    return f"{'invoice' if len(names) == 1 else 'invoices'} {' and '.join(names)}"


def _show(lines: Lines, *, role: LineRole) -> tuple[BilledLine, ...]:
    return tuple(
        BilledLine(
            role=role,
            invoice_id=line.invoice_id,
            invoice_number=line.invoice.invoice_number,
            invoice_status=line.invoice.status,
            line_id=line.pk,
            description=line.description,
        )
        for line in lines
    )


def _read_lines(segment_ids: Collection[UUID]) -> Mapping[tuple[UUID, UUID], Lines]:
    """Read the lines for usage in segments that count as billed, or are on Drafts."""
    ratings = AuditEntry.objects.filter(
        subject_type=Invoice._meta.label,
        subject_id=Cast(OuterRef("invoice_id"), CharField()),
        action__in=RATED,
    )
    lines = (
        InvoiceLine.objects.filter(
            Q(is_billed=True) | Q(invoice__status=InvoiceStatus.DRAFT),
            segment_id__in=segment_ids,
            meter_id__isnull=False,
            kind=LineKind.USAGE,
        )
        .select_related("invoice")
        .annotate(rated_id=Subquery(ratings.order_by("-id").values("id")[:1]))
        .order_by("rated_id", "position")
    )
    by_meter: defaultdict[tuple[UUID, UUID], list[InvoiceLine]] = defaultdict(list)
    for line in lines:
        assert line.segment_id is not None
        assert line.meter_id is not None
        by_meter[line.segment_id, line.meter_id].append(line)
    return by_meter


def _read_awaited(subscription_ids: Collection[UUID]) -> set[UUID]:
    marks = LateUsage.objects.filter(subscription_id__in=subscription_ids)
    return set(marks.values_list("subscription_id", flat=True))


def _read_settled(subscription_ids: Collection[UUID]) -> dict[UUID, datetime]:
    periods = Period.objects.filter(subscription_id__in=subscription_ids, settled_at__isnull=False)
    return dict(periods.order_by().values_list("subscription_id").annotate(Max("settled_at")))
