"""The first page of staff: what is open, overdue and in the making, what came in, and how billing runs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from billing_project.core.admin.columns import make_badge, write_money
from billing_project.core.admin.details import Table, make_link, write_instant
from billing_project.core.clock import now
from billing_project.core.models import Seller
from billing_project.core.periods import add_months, local_date, start_of_day
from invoicing.admin.filters import select_overdue
from invoicing.models import (
    BillRun,
    BillRunItem,
    BillRunItemStatus,
    Invoice,
    InvoiceStatus,
    InvoiceType,
    Payment,
    TaxStatus,
)

RUNS_SHOWN = 8
RIGHTS = ("invoicing.view_invoice", "invoicing.view_payment", "invoicing.view_billrun")


@dataclass(frozen=True, slots=True)
class Amount:
    """How many rows, and how much money in one currency."""

    count: int
    nanos: int
    currency: str

    def __str__(self) -> str:
        return write_money(self.nanos, self.currency)


@dataclass(frozen=True, slots=True)
class Card:
    """A figure of the first page: an amount for each currency, and where its rows are."""

    title: str
    amounts: Sequence[Amount]
    address: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the seller's calendar, half-open."""

    starts_at: datetime
    ends_at: datetime

    def select(self, field: str) -> dict[str, datetime]:
        """Select the rows whose instant lies in it."""
        return {f"{field}__gte": self.starts_at, f"{field}__lt": self.ends_at}

    def address(self, page: str, field: str) -> str:
        """Build the address of those rows."""
        return _address(page, {name: instant.isoformat() for name, instant in self.select(field).items()})


def add_dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Put the figures on the first page of those who may see all that they are made of."""
    if request.user.has_perms(RIGHTS):
        context["title"] = "Overview"
        context["cards"] = read_cards(at=now())
        context["run_table"] = make_run_table()
        context["parked"] = read_parked()
    return context


def read_cards(*, at: datetime) -> list[Card]:
    """Read the figures of the invoices and payments, in a constant number of queries."""
    month = read_month(at=at)
    standing = _read_standing(at=at)
    pending_count = sum(row["pending_count"] for row in standing)
    invoiced = Invoice.objects.filter(invoice_type=InvoiceType.STANDARD, **month.select("finalized_at"))
    collected = Payment.objects.filter(**month.select("received_at"))
    return [
        Card(
            "Open",
            _pick(standing, "open_count", "open_nanos"),
            _address("invoicing_invoice", {"status__exact": InvoiceStatus.OPEN}),
        ),
        Card(
            "Overdue",
            _pick(standing, "overdue_count", "overdue_nanos"),
            _address("invoicing_invoice", {"overdue": "yes"}),
        ),
        Card(
            "Drafts",
            _pick(standing, "draft_count", "draft_nanos"),
            _address("invoicing_invoice", {"status__exact": InvoiceStatus.DRAFT}),
            note=f"Tax pending: {pending_count}" if pending_count else "",
        ),
        Card(
            "Invoiced this month",
            _sum_by_currency(invoiced.exclude(status=InvoiceStatus.VOID), "total_nanos"),
            month.address("invoicing_invoice", "finalized_at"),
        ),
        Card(
            "Collected this month",
            _sum_by_currency(collected, "amount_nanos"),
            month.address("invoicing_payment", "received_at"),
        ),
    ]


def read_month(*, at: datetime) -> Month:
    """Read which month it is for the seller; in UTC as long as there is none."""
    seller = Seller.objects.first()
    timezone = "UTC" if seller is None else seller.timezone
    first = local_date(at, timezone=timezone).replace(day=1)
    return Month(
        starts_at=start_of_day(first, timezone=timezone),
        ends_at=start_of_day(add_months(first, 1), timezone=timezone),
    )


def make_run_table() -> Table:
    """Make a table of the last bill runs, with what became of their subscriptions."""
    runs = list(BillRun.objects.select_related("test_clock").order_by("-pk")[:RUNS_SHOWN])
    counts = _count_items(runs)
    return Table(
        title="Last bill runs",
        headers=("Up to", "Started by", "Status", "Subscriptions", "Parked", "Invoices"),
        numeric=("Subscriptions", "Parked", "Invoices"),
        rows=[
            (
                make_link("invoicing_billrun", run.pk, write_instant(run.at)),
                _name_trigger(run),
                make_badge(run.status),
                counts[run.pk]["items"],
                counts[run.pk]["parked"],
                counts[run.pk]["invoices"],
            )
            for run in runs
        ],
        empty="Nothing has been due yet.",
    )


def read_parked() -> Card | None:
    """Read how many subscriptions are kept out of bill runs until somebody has looked into it."""
    count = BillRunItem.objects.filter(status=BillRunItemStatus.PARKED, released_at__isnull=True).count()
    address = _address("invoicing_billrunitem", {"waiting": "yes"})
    return Card(f"Parked subscriptions: {count}", (), address) if count else None


def _read_standing(*, at: datetime) -> list[dict[str, Any]]:
    """Read what Drafts and open invoices come to, by currency."""
    is_open, is_draft, is_overdue = (
        Q(status=InvoiceStatus.OPEN),
        Q(status=InvoiceStatus.DRAFT),
        select_overdue(at),
    )
    rows = Invoice.objects.filter(status__in=[InvoiceStatus.OPEN, InvoiceStatus.DRAFT]).values("currency")
    sums = rows.annotate(
        open_count=Count("pk", filter=is_open),
        open_nanos=Sum("amount_due_nanos", filter=is_open),
        overdue_count=Count("pk", filter=is_overdue),
        overdue_nanos=Sum("amount_due_nanos", filter=is_overdue),
        draft_count=Count("pk", filter=is_draft),
        draft_nanos=Sum("total_nanos", filter=is_draft),
        pending_count=Count("pk", filter=is_draft & Q(tax_status=TaxStatus.PENDING)),
    )
    return [dict(row) for row in sums.order_by("currency")]


def _pick(rows: Iterable[Mapping[str, Any]], count: str, nanos: str) -> list[Amount]:
    """Pick one figure by currency; a currency without rows is left out."""
    return [Amount(row[count], int(row[nanos]), row["currency"]) for row in rows if row[count]]


def _sum_by_currency(rows: Any, field: str) -> list[Amount]:
    sums = rows.values("currency").annotate(count=Count("pk"), nanos=Sum(field)).order_by("currency")
    return [Amount(row["count"], int(row["nanos"]), row["currency"]) for row in sums]


def _count_items(runs: Sequence[BillRun]) -> Mapping[UUID, Mapping[str, int]]:
    """Count the items of runs, the parked ones among them, and the invoices that they made."""
    totals: defaultdict[UUID, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    counts = (
        BillRunItem.objects.filter(run__in=runs)
        .values("run_id", "status")
        .annotate(count=Count("pk"), invoices=Sum("invoice_count"))
    )
    for count in counts.order_by():
        total = totals[count["run_id"]]
        total["items"] += count["count"]
        total["invoices"] += count["invoices"]
        if count["status"] == BillRunItemStatus.PARKED:
            total["parked"] += count["count"]
    return totals


def _name_trigger(run: BillRun) -> str:
    return f"Test clock {run.test_clock}" if run.test_clock else run.get_trigger_display()


def _address(page: str, parameters: Mapping[str, str]) -> str:
    return f"{reverse(f'admin:{page}_changelist')}?{urlencode(parameters)}"
