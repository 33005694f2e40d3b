"""The Draft of a period: made, refreshed, and deleted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing_project.core import audit
from billing_project.core.actors import Actor
from billing_project.core.errors import Conflict
from invoicing.invoices.drafting import DraftCoverage, build_draft, build_lines
from invoicing.invoices.operations.lines import put_lines
from invoicing.invoices.queries import find_period_draft, find_start_draft, is_period_billed, list_lines
from invoicing.invoices.states import check_is_draft
from invoicing.locks import lock_invoice
from invoicing.models import Invoice, InvoiceCoverage, InvoiceReason, InvoiceType, LineKind
from invoicing.rating.lines import RatedLine

# An on-demand Draft becomes the period-end one when its time has come; that one waits until it is final.
_MAY_BECOME: Mapping[str, frozenset[str]] = {
    InvoiceReason.ON_DEMAND: frozenset({InvoiceReason.PERIOD_END}),
}
_ONCE = {InvoiceReason.PERIOD_START, InvoiceReason.PERIOD_END}


class PeriodAlreadyBilled(Conflict):
    """The period has its invoice for this reason, and it is not void."""

    code = "period_already_billed"


class OtherDraftExists(Conflict):
    """A period has one Draft at a time beside that of its start, and it was made for another reason."""

    code = "other_draft_exists"


@transaction.atomic
def write_draft(
    *, coverage: DraftCoverage, lines: Sequence[RatedLine], at: datetime, actor: Actor
) -> tuple[Invoice, bool]:
    """Make the Draft of a period, or refresh the one that there is; say whether it was made.

    Refreshing replaces computed lines by their key and keeps manual ones. The caller holds the customer's
    lock.

    Raises: PeriodAlreadyBilled; OtherDraftExists; AmountTooLarge.
    """
    find_draft = find_start_draft if coverage.reason == InvoiceReason.PERIOD_START else find_period_draft
    draft = find_draft(subscription_id=coverage.subscription_id, period_id=coverage.period_id)
    if draft is None:
        return _make_draft(coverage=coverage, lines=lines, at=at, actor=actor), True
    if draft.reason != coverage.reason:
        _change_reason(draft, coverage=coverage, at=at, actor=actor)
    draft.computed_at = at
    present = list_lines(draft.pk)
    manual = [line for line in present if line.kind == LineKind.MANUAL]
    wanted = [*build_lines(draft, lines), *manual]
    refreshed = put_lines(
        invoice=draft, present=present, wanted=wanted, action="invoice.refreshed", at=at, actor=actor
    )
    return refreshed, False


@transaction.atomic
def delete_draft(*, invoice_id: UUID, at: datetime, actor: Actor) -> None:
    """Delete a Draft, with its lines.

    Raises: InvoiceNotFound; InvoiceNotDraft.
    Locks: customer, invoice.
    """
    invoice = lock_invoice(invoice_id)
    check_is_draft(invoice)
    changes = {
        "subscription_id": (invoice.subscription_id, None),
        "period_id": (invoice.period_id, None),
        "total_nanos": (invoice.total_nanos, None),
    }
    audit.record("invoice.deleted", subject=invoice, changes=changes, actor=actor, at=at)
    invoice.delete()


def _make_draft(
    *, coverage: DraftCoverage, lines: Sequence[RatedLine], at: datetime, actor: Actor
) -> Invoice:
    _check_not_billed(period_id=coverage.period_id, reason=coverage.reason)
    draft = build_draft(coverage)
    draft.computed_at = at
    put_lines(
        invoice=draft,
        present=[],
        wanted=build_lines(draft, lines),
        action="invoice.drafted",
        at=at,
        actor=actor,
    )
    InvoiceCoverage.objects.create(
        invoice=draft,
        subscription_id=coverage.subscription_id,
        period_id=coverage.period_id,
        reason=coverage.reason,
        invoice_type=InvoiceType.STANDARD,
    )
    return draft


def _change_reason(draft: Invoice, *, coverage: DraftCoverage, at: datetime, actor: Actor) -> None:
    """Let a Draft that was made on demand become the one for the period's end."""
    if coverage.reason not in _MAY_BECOME.get(draft.reason, frozenset()):
        raise OtherDraftExists(f"The period has a {draft.reason} Draft, {draft.pk}: make that final first.")
    _check_not_billed(period_id=coverage.period_id, reason=coverage.reason)
    changes = audit.set_fields(draft, {"reason": coverage.reason})
    draft.save(update_fields=changes)
    draft.coverage.filter(period_id=coverage.period_id).update(reason=coverage.reason)
    audit.record("invoice.reason_changed", subject=draft, changes=changes, actor=actor, at=at)


def _check_not_billed(*, period_id: UUID, reason: InvoiceReason) -> None:
    if reason in _ONCE and is_period_billed(period_id=period_id, reason=reason):
        raise PeriodAlreadyBilled(f"Period {period_id} has its {reason} invoice.")
