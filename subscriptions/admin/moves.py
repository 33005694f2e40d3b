"""Pages on which a subscription is moved: what it comes to is shown first, and then it is confirmed."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial, wraps
from hashlib import sha256
from typing import Any, TypeVar, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from billing_project.core.admin.actions import read_actor
from billing_project.core.admin.bases import as_refusal
from billing_project.core.admin.columns import write_money, write_quantity
from billing_project.core.admin.details import Table
from billing_project.core.clock import now
from billing_project.core.errors import BillingError
from catalog.models import CatalogStatus, Plan, PlanVersion
from catalog.queries import get_latest_version, read_prices
from customers.queries import now_for
from subscriptions.instants import When
from subscriptions.models import Subscription
from subscriptions.operations import SubscriptionChange
from subscriptions.ports import InvoiceEffect, MoveLine, MovePreview, preview_move
from subscriptions.queries import get_subscription, list_items

PLANS_SHOWN = 500
AT = "At"
ViewT = TypeVar("ViewT", bound=Callable[..., HttpResponse])


class EndForm(forms.Form):
    """When a subscription is to end."""

    when = forms.ChoiceField(
        choices=When.choices, initial=When.PERIOD_END, widget=UnfoldAdminRadioSelectWidget
    )

    def __init__(self, data: Any = None, *, subscription: Subscription) -> None:
        super().__init__(data)
        self.subscription = subscription

    @property
    def fingerprint(self) -> str:
        """Tell one content of the form from another, so that what is confirmed is what was shown."""
        content = json.dumps(self.cleaned_data, default=str, sort_keys=True)
        return sha256(content.encode()).hexdigest()

    def read_move(self) -> dict[str, Any]:
        """Read the arguments of the operation."""
        return {"when": When(self.cleaned_data["when"])}


class MoveForm(EndForm):
    """When a move takes effect."""

    when = forms.ChoiceField(
        choices=[*When.choices, (AT, "At the time below")],
        initial=When.PERIOD_END,
        widget=UnfoldAdminRadioSelectWidget,
    )
    instant = forms.CharField(
        label="Time",
        required=False,
        max_length=40,
        widget=UnfoldAdminTextInputWidget,
        help_text="With an offset, such as 2026-02-28T14:30:00Z.",
    )

    def clean(self) -> dict[str, Any]:
        """Read the time, where one is asked for."""
        values = super().clean() or self.cleaned_data
        if values.get("when") == AT:
            try:
                instant = datetime.fromisoformat(values.get("instant", ""))
            except ValueError:
                instant = None
            if instant is None or instant.utcoffset() is None:
                raise forms.ValidationError({"instant": "Write a time with its offset from UTC."})
            values["instant"] = instant
        return values

    def read_move(self) -> dict[str, Any]:
        """Read the arguments of the operation."""
        when = self.cleaned_data["when"]
        return {"when": self.cleaned_data["instant"] if when == AT else When(when)}


class TermsForm(MoveForm):
    """Which plan a subscription is to follow, and what is licensed of its SKUs."""

    plan = forms.ChoiceField(
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text="In its latest version. The preview asks for the quantities of another plan's SKUs.",
    )
    field_order = ("plan", "when", "instant")

    def __init__(self, data: Any = None, *, subscription: Subscription) -> None:
        super().__init__(data, subscription=subscription)
        plans = Plan.objects.filter(status=CatalogStatus.ACTIVE).order_by("name", "pk")[:PLANS_SHOWN]
        choices = [("", "Stays as it is"), *((str(plan.pk), plan.name) for plan in plans)]
        cast("forms.ChoiceField", self.fields["plan"]).choices = choices
        chosen = (data or {}).get("plan", "")
        version = self._find_version(chosen if chosen in dict(choices) else "")
        quantities = {item.sku_id: item.quantity for item in list_items(subscription.pk)}
        self._sku_ids: dict[str, UUID] = {}
        for price in read_prices([version.pk])[version.pk]:
            if price.is_metered:
                continue
            name = f"quantity_{price.sku_id}"
            self._sku_ids[name] = price.sku_id
            self.fields[name] = forms.DecimalField(
                label=price.sku.name,
                required=False,
                min_value=0,
                initial=quantities.get(price.sku_id) or Decimal(1),
                widget=UnfoldAdminDecimalFieldWidget,
                help_text="As many as before if empty.",
            )

    def read_move(self) -> dict[str, Any]:
        """Read the arguments of the operation; a quantity that has not been touched is left out."""
        given = {name: self.cleaned_data.get(name) for name in self._sku_ids}
        change = SubscriptionChange(
            plan_id=UUID(self.cleaned_data["plan"]) if self.cleaned_data["plan"] else None,
            quantities={
                self._sku_ids[name]: quantity
                for name, quantity in given.items()
                if quantity is not None and quantity != self.fields[name].initial
            },
        )
        return {**super().read_move(), "change": change}

    def _find_version(self, plan_id: str) -> PlanVersion:
        return get_latest_version(UUID(plan_id)) if plan_id else self.subscription.plan_version


def page_action(*, title: str, permission: str) -> Callable[[ViewT], ViewT]:
    """Make a method the page of one row, for `actions_detail`. Without such a row, there is no page."""
    decorate = action(description=title, permissions=[permission])

    def make_view(method: ViewT) -> ViewT:
        show = decorate(method)

        @wraps(show)
        def view(page: ModelAdmin[Any], request: HttpRequest, object_id: str) -> HttpResponse:
            row = page.get_object(request, unquote(object_id))
            if row is None:
                raise Http404
            return cast("HttpResponse", show(page, request, object_id=row.pk))

        return cast("ViewT", view)

    return make_view


def ask_for_move(
    page: ModelAdmin[Any],
    request: HttpRequest,
    subscription_id: UUID,
    *,
    title: str,
    explanation: str,
    form_class: type[EndForm],
    operation: Callable[..., Subscription],
) -> HttpResponse:
    """Ask how a subscription is to be moved, show what that comes to, and, once confirmed, do it."""
    subscription = get_subscription(subscription_id)
    form = form_class(request.POST or None, subscription=subscription)
    tables: Sequence[Table] = ()
    seen = ""
    if request.method == "POST" and form.is_valid():
        at = read_time(subscription_id, at=now())
        move = partial(
            operation, subscription_id=subscription_id, **form.read_move(), at=at, actor=read_actor(request)
        )
        try:
            if request.POST.get("seen") == form.fingerprint:
                move()
                messages.success(request, f"{title}: done.")
                address = reverse("admin:subscriptions_subscription_change", args=[subscription_id])
                return HttpResponseRedirect(address)
            preview = preview_move(move, subscription_id=subscription_id, at=at)
            tables, seen = make_preview_tables(preview), form.fingerprint
        except (BillingError, DatabaseError) as error:
            form.add_error(None, as_refusal(error).detail)
    context = {
        **page.admin_site.each_context(request),
        "title": title,
        "opts": page.opts,
        "explanation": explanation,
        "subscription": subscription,
        "form": form,
        "tables": tables,
        "seen": seen,
    }
    return TemplateResponse(request, "admin/move_subscription.html", context)


def make_preview_tables(preview: MovePreview) -> Sequence[Table]:
    """Show what a move comes to: on the invoices to come, and for the whole next period."""
    currency = preview.subscription.currency
    fees = Table(
        title="Fees of the whole next period",
        headers=("Fee", "From", "Quantity", "Is", "Would be"),
        numeric=("Quantity", "Is", "Would be"),
        rows=_compare(preview.fees_before, preview.fees_after, currency=currency),
        empty="None.",
    )
    return [*(_make_invoice_table(effect, currency=currency) for effect in preview.invoices), fees]


def read_time(subscription_id: UUID, *, at: datetime) -> datetime:
    """Read what time it is for the customer of a subscription."""
    return now_for(customer_id=get_subscription(subscription_id).customer_id, real_now=at)


def _make_invoice_table(effect: InvoiceEffect, *, currency: str) -> Table:
    starts_at, ends_at = effect.period.starts_at, effect.period.ends_at
    return Table(
        title=f"Invoice for {starts_at:%Y-%m-%d} to {ends_at:%Y-%m-%d}, were there no further usage",
        headers=("Line", "From", "Quantity", "Is", "Would be"),
        numeric=("Quantity", "Is", "Would be"),
        rows=_compare(effect.before.lines, effect.after.lines, currency=currency),
        sums=[
            ("Total as it is", write_money(effect.before.total_nanos, currency)),
            ("Tax", write_money(effect.after.tax_nanos, currency)),
            ("Total as it would be", write_money(effect.after.total_nanos, currency)),
            ("Difference", write_money(effect.difference_nanos, currency)),
        ],
        empty="No lines.",
    )


def _compare(
    before: Iterable[MoveLine], after: Iterable[MoveLine], *, currency: str
) -> Sequence[Sequence[object]]:
    """List lines by their key, each with what it comes to without the move and with it."""
    old, new = ({line.key: line for line in lines} for lines in (before, after))

    def write(lines: Mapping[str, MoveLine], key: str) -> object:
        return write_money(lines[key].amount_nanos, currency, exact=True) if key in lines else None

    return [
        (
            (new.get(key) or old[key]).description,
            (new.get(key) or old[key]).period_start,
            _write_quantity((new.get(key) or old[key]).quantity),
            write(old, key),
            write(new, key),
        )
        for key in {**old, **new}
    ]


def _write_quantity(quantity: Decimal | None) -> object:
    return None if quantity is None else write_quantity(quantity)
