"""Rules on invoices that the database enforces itself, beside those of `core.protection`."""

import pgtrigger

from billing_project.core.protection import StrictTrigger, frozen_with_parent, refuse

_TABLE = "invoicing_invoice"

# Which lines count as billed: those of final invoices, but for void ones whose amounts are not forgiven.
COUNTS_AS_BILLED = "(status <> 'Draft' AND (status <> 'Void' OR void_outcome = 'Forgive'))"


def begins_as_draft() -> StrictTrigger:
    """Refuse an invoice that is final from the first."""
    return StrictTrigger(
        name="begins_as_draft",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        condition=pgtrigger.Condition("NEW.status <> 'Draft'"),
        func=refuse("begins as a Draft"),
    )


def moves_by_the_table() -> StrictTrigger:
    """Refuse a change of status that `invoices.states.TRANSITIONS` does not have."""
    return StrictTrigger(
        name="moves_by_the_table",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        condition=pgtrigger.Condition(
            "OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN ("
            "('Draft', 'Open'), ('Draft', 'Paid'), "
            "('Open', 'Paid'), ('Open', 'Void'), ('Open', 'Uncollectible'), "
            "('Uncollectible', 'Paid'), ('Uncollectible', 'Void'), "
            "('Paid', 'Open'))"
        ),
        func=refuse("does not move like this"),
    )


def frozen_with_invoice(*, except_fields: tuple[str, ...] = ()) -> tuple[StrictTrigger, ...]:
    """Refuse to add, change or remove what belongs to a final invoice."""
    return frozen_with_parent(
        table=_TABLE, link="invoice_id", condition="parent.status <> 'Draft'", except_fields=except_fields
    )


def agrees_with_invoice(condition: str) -> StrictTrigger:
    """Refuse a row unless the SQL `condition`, on NEW and the columns of its invoice, holds."""
    find = f"SELECT 1 FROM {_TABLE} WHERE id = NEW.invoice_id AND {condition}"  # noqa: S608 (our own text)
    return StrictTrigger(
        name="agrees_with_invoice",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update,
        func=f"IF NOT EXISTS ({find}) THEN {refuse('disagrees with its invoice')} END IF; RETURN NEW;",
    )
