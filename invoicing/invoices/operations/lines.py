"""The lines of a Draft, and the figures that follow from them."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F

from billing_project.core import audit
from billing_project.core.actors import Actor
from invoicing.invoices.drafting import arrange_lines, read_figures, total_draft
from invoicing.invoices.queries import read_carried_nanos
from invoicing.models import Invoice, InvoiceLine, InvoiceTax, LineKind, TaxStatus

# What a line has from its tax and from its invoice's status. All other columns are what the line is.
_DERIVED = {"id", "amount_nanos", "gross_nanos", "is_billed"}
_COLUMNS = [field.attname for field in InvoiceLine._meta.concrete_fields if field.attname not in _DERIVED]


@transaction.atomic(savepoint=False)
def put_lines(
    *,
    invoice: Invoice,
    present: Sequence[InvoiceLine],
    wanted: Sequence[InvoiceLine],
    action: str,
    at: datetime,
    actor: Actor,
) -> Invoice:
    """Give a Draft these lines in place of the `present` ones, and its figures with them; save it.

    `action` is what the audit trail calls it, which tells lines that were rated from those put on by hand.
    A line that is there already, column for column, is left alone, and where all are, so is the tax.
    Otherwise the tax rows go, because they belong to other lines, and the tax is stale. The caller holds the
    customer's lock.

    Raises: AmountTooLarge; InvoiceBelowZero.
    """
    before = {_identify(line): (line.pk, _read_columns(line)) for line in present}
    lines = arrange_lines(invoice, wanted)
    fresh = [line for line in lines if before.get(_identify(line), (None, None))[1] != _read_columns(line)]
    kept = {_identify(line) for line in lines} - {_identify(line) for line in fresh}
    gone = [pk for identity, (pk, _) in before.items() if identity not in kept]
    carried_nanos = read_carried_nanos(period_id=invoice.period_id)
    totals = total_draft(lines, None, currency=invoice.currency, carried_nanos=carried_nanos)

    is_new = invoice._state.adding
    if not (is_new or fresh or gone or totals.carry_nanos != invoice.carry_nanos):
        invoice.save(update_fields=["computed_at"])
        return invoice

    changes = audit.set_fields(invoice, read_figures(totals))
    if invoice.tax_fingerprint:
        is_stale = invoice.tax_status == TaxStatus.CURRENT
        status = TaxStatus.STALE if is_stale else invoice.tax_status
        changes |= audit.set_fields(invoice, {"tax_status": status, "tax_fingerprint": ""})
        _remove_tax(invoice)
    if is_new:
        changes |= audit.made(invoice, "subscription_id", "period_id", "reason", "currency")
        invoice.save(force_insert=True)
    else:
        invoice.save(update_fields=["computed_at", *changes])
    if gone:
        InvoiceLine.objects.filter(pk__in=gone).delete()
    for line in fresh:
        line.pk = before.get(_identify(line), (line.pk, None))[0]  # A line that changes stays the same line.
        line.amount_nanos, line.gross_nanos = line.charge_nanos, None
    InvoiceLine.objects.bulk_create(fresh)

    changes["lines"] = (len(present), len(lines))
    audit.record(action, subject=invoice, changes=changes, actor=actor, at=at)
    return invoice


def _remove_tax(invoice: Invoice) -> None:
    """Take the tax off a Draft: its rows, and what it made of the lines."""
    InvoiceTax.objects.filter(invoice=invoice).delete()
    InvoiceLine.objects.filter(invoice=invoice).update(amount_nanos=F("charge_nanos"), gross_nanos=None)


def _identify(line: InvoiceLine) -> tuple[object, ...]:
    """Tell which line it is, whatever it says: a computed one by its key, a balancing one by its tax."""
    if line.kind == LineKind.MANUAL:
        return (line.pk,)
    if line.kind == LineKind.BALANCING:
        return (line.tax_behavior, line.tax_category)
    return (line.key,)


def _read_columns(line: InvoiceLine) -> tuple[object, ...]:
    return tuple(getattr(line, column) for column in _COLUMNS)
