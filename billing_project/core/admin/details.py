"""What belongs to a row, shown with its fields: tables, links to other lists, the actions that fit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.utils import unquote
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from billing_project.core.admin.bases import BillingAdmin, RowT
from billing_project.core.admin.columns import make_changes, write_money
from billing_project.core.models import AuditEntry

HISTORY_LIMIT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table below the fields. Columns named in `numeric` are set to the right; `sums` stand at its foot."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    numeric: Collection[str] = ()
    sums: Sequence[tuple[str, object]] = ()
    empty: str = "Nothing yet."
    note: str = ""

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """List the headers, each with whether its column is set to the right."""
        return [(header, header in self.numeric) for header in self.headers]

    @property
    def cells(self) -> list[list[tuple[object, bool, str]]]:
        """List the rows of cells, each with whether it is set to the right, and its header."""
        return [
            [(cell, is_numeric, header) for cell, (header, is_numeric) in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]

    @property
    def label_span(self) -> int:
        """Tell over how many columns the names at the foot reach: all but the last."""
        return max(len(self.headers) - 1, 1)


@dataclass(frozen=True, slots=True)
class RelatedList:
    """A link to the list of another page, narrowed down to what belongs to the row."""

    title: str
    page: str  # Such as `invoicing_invoice`: an app below does not import those above it.
    parameter: str

    @property
    def permission(self) -> str:
        """Name the right to see that list."""
        app_label, _, model_name = self.page.partition("_")
        return f"{app_label}.view_{model_name}"

    def address(self, row: Model) -> str:
        """Build the address of the list."""
        return f"{reverse(f'admin:{self.page}_changelist')}?{urlencode({self.parameter: row.pk})}"


class DetailsAdmin(BillingAdmin[RowT]):
    """A page that shows, below the fields, what belongs to the row. Each table takes its own queries."""

    change_form_outer_after_template = "admin/details.html"
    related_lists: tuple[RelatedList, ...] = ()
    actions_detail: tuple[str, ...] = ()

    def make_tables(self, request: HttpRequest, row: RowT) -> Sequence[Table]:
        """Make the tables."""
        return ()

    def list_fitting_actions(self, row: RowT) -> Collection[str]:
        """Name the actions that make sense for a row as it is; the operations decide about all of them."""
        return self.actions_detail

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,  # noqa: FBT001, FBT002 (Django's own)
        change: bool = False,  # noqa: FBT001, FBT002
        form_url: str = "",
        obj: RowT | None = None,
    ) -> HttpResponse:
        """Show the page, and for a stored row what belongs to it."""
        if obj is not None:
            context["tables"] = self.make_tables(request, obj)
            context["related_lists"] = [
                (related.title, related.address(obj))
                for related in self.related_lists
                if request.user.has_perm(related.permission)
            ]
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """List the buttons of the actions that fit the row."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return []
        fitting = self.list_fitting_actions(row)
        names = {f"{self.opts.app_label}_{self.opts.model_name}_{name}" for name in fitting}
        actions: list[Any] = super().get_actions_detail(request, object_id)  # type: ignore[misc]
        return [action for action in actions if action.action_name in names]


def make_link(page: str, row_id: object, text: object) -> SafeString:
    """Make a link to the page of a row; `page` is such as `invoicing_invoice`."""
    address = reverse(f"admin:{page}_change", args=[row_id])
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, text)


def write_instant(instant: datetime) -> SafeString:
    """Write an instant on one line, however narrow its column is."""
    text = date_format(localtime(instant), "DATETIME_FORMAT")
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def make_history(row: Model, *, currency: str = "") -> Table:
    """Make a table of the audit trail of a row, the latest entries first, with amounts in its currency."""
    entries = AuditEntry.objects.filter(subject_type=row._meta.label, subject_id=str(row.pk))
    return Table(
        title="History",
        headers=("When", "What", "Who", "Changes"),
        rows=[
            (
                write_instant(entry.occurred_at),
                entry.action,
                _name_actor(entry),
                _describe({name: _write(name, pair, currency) for name, pair in entry.changes.items()}),
            )
            for entry in entries.order_by("-id")[:HISTORY_LIMIT]
        ],
    )


def _write(name: str, pair: Sequence[object], currency: str) -> Sequence[object]:
    """Write an amount as money, before and after; leave everything else."""
    if not currency or not name.endswith("_nanos"):
        return pair
    return [
        None if amount is None else write_money(int(str(amount)), currency, exact=True) for amount in pair
    ]


def _name_actor(entry: AuditEntry) -> SafeString:
    """Say who it was, and why if they said so."""
    reason = format_html('<div class="text-xs">{}</div>', entry.reason) if entry.reason else ""
    return format_html("{}{}", entry.actor_label or entry.actor_kind, reason)


def _describe(changes: Mapping[str, Any]) -> SafeString:
    """Fold the changes away: most readers want to know that something happened, and when."""
    if not changes:
        return SafeString("")
    return format_html(
        '<details><summary class="cursor-pointer">{}</summary>{}</details>',
        ", ".join(changes),
        make_changes(changes),
    )
