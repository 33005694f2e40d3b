"""What is true of invoices and payments at any moment."""

from collections.abc import Iterator

from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import Mod

from billing_project.core import invariants
from billing_project.core.currencies import minor_unit_nanos
from invoicing.models import Invoice

_NUMBERS = """
    SELECT invoice_number, number, number_before
    FROM (
        SELECT invoice_number, number, lag(number) OVER (ORDER BY number) AS number_before
        FROM (
            SELECT invoice_number, CAST(substring(invoice_number FROM '([0-9]+)$') AS numeric) AS number
            FROM invoicing_invoice
            WHERE invoice_number IS NOT NULL
        ) AS numbered
    ) AS ordered
    WHERE number IS DISTINCT FROM coalesce(number_before, 0) + 1
"""

_LAST_NUMBER = """
    SELECT count(invoice_number), coalesce(max(last_number), 0)
    FROM invoicing_invoice
    FULL JOIN (SELECT last_number FROM core_numbersequence WHERE series = 'invoice') AS sequence ON false
"""

_TOTALS = """
    SELECT invoice.id, lines_nanos, rounding_nanos, tax_nanos, total_nanos, carry_nanos,
        coalesce(line.amount_nanos, 0), coalesce(tax.amount_nanos, 0)
    FROM invoicing_invoice invoice
    LEFT JOIN (
        SELECT invoice_id, sum(amount_nanos) AS amount_nanos, sum(charge_nanos) AS charge_nanos
        FROM invoicing_invoiceline
        GROUP BY invoice_id
    ) AS line ON line.invoice_id = invoice.id
    LEFT JOIN (
        SELECT invoice_id, sum(amount_nanos) AS amount_nanos,
            sum(amount_nanos) FILTER (WHERE tax_behavior = 'Inclusive') AS inside_nanos
        FROM invoicing_invoicetax
        GROUP BY invoice_id
    ) AS tax ON tax.invoice_id = invoice.id
    WHERE lines_nanos <> coalesce(line.amount_nanos, 0)
        OR tax_nanos <> coalesce(tax.amount_nanos, 0)
        OR total_nanos <> coalesce(line.amount_nanos, 0) + rounding_nanos + coalesce(tax.amount_nanos, 0)
        OR carry_nanos <> subtotal_nanos + coalesce(tax.inside_nanos, 0) - coalesce(line.charge_nanos, 0)
"""

_STEPS = """
    SELECT line.id, line.charge_nanos, explained_nanos
    FROM invoicing_invoiceline line
    JOIN LATERAL (
        SELECT coalesce(sum(CAST(step ->> 'amount_nanos' AS numeric)), 0) AS explained_nanos
        FROM jsonb_array_elements(line.steps) AS step
    ) AS steps ON true
    WHERE line.key IS NOT NULL AND explained_nanos <> line.charge_nanos
"""

_COVERAGE = """
    SELECT coverage.id, coverage.invoice_id, invoice.status
    FROM invoicing_invoicecoverage coverage
    JOIN invoicing_invoice invoice ON invoice.id = coverage.invoice_id
    WHERE coverage.is_draft <> (invoice.status = 'Draft')
        OR coverage.is_void <> (invoice.status = 'Void')
        OR coverage.invoice_type <> invoice.invoice_type
        OR (invoice.period_id = coverage.period_id AND coverage.reason <> invoice.reason)
"""

_UNCOVERED = """
    SELECT invoice.id, invoice.period_id
    FROM invoicing_invoice invoice
    WHERE invoice.period_id IS NOT NULL
        AND NOT EXISTS (
            SELECT 1 FROM invoicing_invoicecoverage coverage
            WHERE coverage.invoice_id = invoice.id AND coverage.period_id = invoice.period_id
        )
"""

_BILLED = """
    SELECT line.id, line.is_billed, invoice.id, invoice.status, invoice.void_outcome
    FROM invoicing_invoiceline line
    JOIN invoicing_invoice invoice ON invoice.id = line.invoice_id
    WHERE line.is_billed <> (
        invoice.status <> 'Draft' AND (invoice.status <> 'Void' OR invoice.void_outcome = 'Forgive')
    )
"""

_BILLED_ONCE = """
    SELECT key, sum(quantity), max(rated_quantity)
    FROM invoicing_invoiceline
    WHERE is_billed AND key IS NOT NULL
    GROUP BY segment_id, item_id, key
    HAVING sum(quantity) > max(rated_quantity)
"""

_OPEN_ENDS = """
    SELECT invoice.id, coverage.period_id
    FROM invoicing_invoicecoverage coverage
    JOIN invoicing_invoice invoice ON invoice.id = coverage.invoice_id
    JOIN subscriptions_period period ON period.id = coverage.period_id
    WHERE coverage.reason = 'PeriodEnd' AND NOT coverage.is_draft AND period.closed_at IS NULL
"""

_PAID = """
    SELECT invoice.id, invoice.amount_paid_nanos, coalesce(sum(payment.amount_nanos), 0)
    FROM invoicing_invoice invoice
    LEFT JOIN invoicing_payment payment ON payment.invoice_id = invoice.id AND payment.status = 'Succeeded'
    GROUP BY invoice.id
    HAVING invoice.amount_paid_nanos <> coalesce(sum(payment.amount_nanos), 0)
        OR bool_or(payment.currency <> invoice.currency)
        OR bool_or(payment.customer_id <> invoice.customer_id)
"""


def register() -> None:
    """Have these checked by `manage.py check_invariants`."""
    invariants.register("invoice numbers have no gaps", check_numbers)
    invariants.register("invoices add up", check_totals)
    invariants.register("invoices ask for whole minor units", check_minor_units)
    invariants.register("invoice lines are explained by their steps", check_steps)
    invariants.register("the coverage of invoices follows their status", check_coverage)
    invariants.register("lines count as billed as their invoice says", check_billed)
    invariants.register("no quantity is billed twice", check_billed_once)
    invariants.register("period-end invoices bill closed periods", check_closed)
    invariants.register("invoices are paid by their payments", check_paid)


def check_numbers() -> Iterator[str]:
    """Find invoice numbers that do not follow the one before, and numbers taken that no invoice has."""
    for invoice_number, _, before in _read(_NUMBERS):
        yield f"Invoice number {invoice_number} does not follow {before or 0}."
    for count, last_number in _read(_LAST_NUMBER):
        if count != last_number:
            yield f"{last_number} invoice numbers were taken, and {count} invoices have one."


def check_totals() -> Iterator[str]:
    """Find invoices whose figures are not those of their lines and tax rows."""
    for invoice, lines, rounding, tax, total, carry, line_sum, tax_sum in _read(_TOTALS):
        yield (
            f"Invoice {invoice} states lines {lines}, rounding {rounding}, tax {tax}, total {total}, "
            f"carry {carry}; its lines add up to {line_sum} and its tax rows to {tax_sum}."
        )


def check_minor_units() -> Iterator[str]:
    """Find invoices with amounts that nobody can pay."""
    for currency in Invoice.objects.order_by().values_list("currency", flat=True).distinct():
        minor_unit = minor_unit_nanos(currency)
        unpayable = Invoice.objects.annotate(
            subtotal_rest=Mod(F("subtotal_nanos"), minor_unit), tax_rest=Mod(F("tax_nanos"), minor_unit)
        ).filter(~Q(subtotal_rest=0, tax_rest=0), currency=currency)
        for invoice in unpayable.iterator():
            yield (
                f"Invoice {invoice.pk} asks for fractions of a minor unit of {currency}: "
                f"subtotal {invoice.subtotal_nanos}, tax {invoice.tax_nanos}."
            )


def check_steps() -> Iterator[str]:
    """Find computed lines whose steps come to another amount."""
    for line, charge, explained in _read(_STEPS):
        yield f"Line {line} charges {charge}; its steps come to {explained}."


def check_coverage() -> Iterator[str]:
    """Find coverage that says something else than its invoice, and invoices whose period nothing covers."""
    for coverage, invoice, status in _read(_COVERAGE):
        yield f"Coverage {coverage} does not follow invoice {invoice}, which is {status}."
    for invoice, period in _read(_UNCOVERED):
        yield f"Invoice {invoice} is for period {period}, which it does not cover."


def check_billed() -> Iterator[str]:
    """Find lines that count as billed and should not, or the other way round."""
    for line, is_billed, invoice, status, outcome in _read(_BILLED):
        counts = "counts" if is_billed else "does not count"
        yield f"Line {line} {counts} as billed; invoice {invoice} is {status} {outcome}".rstrip() + "."


def check_billed_once() -> Iterator[str]:
    """Find keys of which more was billed than was ever rated."""
    for key, billed, rated in _read(_BILLED_ONCE):
        yield f"Of {key} a quantity of {billed} was billed, and at most {rated} was rated."


def check_closed() -> Iterator[str]:
    """Find final period-end invoices of periods that are open."""
    for invoice, period in _read(_OPEN_ENDS):
        yield f"Invoice {invoice} is final for the end of period {period}, which is open."


def check_paid() -> Iterator[str]:
    """Find invoices whose payments are not what they say was paid."""
    for invoice, paid, received in _read(_PAID):
        yield f"Invoice {invoice} says that {paid} was paid; its payments come to {received}."


def _read(query: str) -> Iterator[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        yield from cursor.fetchall()
