"""The page on which staff have a subscription take unmatched events, such as those older than itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing_project.core.actors import MAX_REASON_LENGTH
from billing_project.core.admin.actions import read_actor
from billing_project.core.admin.bases import ReadOnlyAdmin, as_refusal
from billing_project.core.admin.details import Table
from billing_project.core.clock import now
from billing_project.core.errors import BillingError
from customers.models import Customer
from customers.queries import now_for
from metering.admin.corrections import RIGHT, make_usage_table
from metering.ingest.decoding import MAX_TYPE_LENGTH
from metering.models import UsageCorrection
from metering.operations import match_selected_events, preview_match
from metering.queries.corrections import EventSelection
from subscriptions.models import Subscription

PREVIEW = "_preview"


class MatchForm(forms.Form):
    """Which unmatched events of a customer count for which subscription, and why."""

    subscription = forms.ModelChoiceField(
        queryset=Subscription.objects.none(), widget=UnfoldAdminSelectWidget, help_text="What takes them."
    )
    event_type = forms.CharField(
        required=False,
        max_length=MAX_TYPE_LENGTH,
        strip=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Every type that the subscription charges for, if it is left empty.",
    )
    stamped_from = forms.DateTimeField(
        required=False, widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}), help_text="In UTC."
    )
    stamped_before = forms.DateTimeField(
        required=False, widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}), help_text="In UTC."
    )
    reason = forms.CharField(
        required=False,
        max_length=MAX_REASON_LENGTH,
        widget=UnfoldAdminTextareaWidget,
        help_text="Why they are to be charged. Not needed for the preview.",
    )

    def __init__(self, *args: Any, customer_id: UUID, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.customer_id = customer_id
        chosen: Any = self.fields["subscription"]
        chosen.queryset = Subscription.objects.filter(customer_id=customer_id).select_related(
            "customer", "plan_version__plan"
        )
        chosen.label_from_instance = lambda own: f"{own.plan_version.plan} since {own.starts_at:%Y-%m-%d}"

    def build_selection(self) -> EventSelection:
        """Build the choice of events that was made."""
        names = ("event_type", "stamped_from", "stamped_before")
        return EventSelection(
            customer_id=self.customer_id, **{name: self.cleaned_data[name] for name in names}
        )


class MatchingAdmin(ReadOnlyAdmin[UsageCorrection]):
    """Adds the page to those on which events are corrected."""

    def get_urls(self) -> list[URLPattern]:
        """Add the page, by its customer."""
        view = self.admin_site.admin_view(self.match_view)
        name = "metering_usagecorrection_match"
        return [path("<uuid:customer_id>/match/", view, name=name), *super().get_urls()]

    def match_view(self, request: HttpRequest, customer_id: UUID) -> HttpResponse:
        """Ask which events a subscription is to take, show what that would do, and do it."""
        if not request.user.has_perm(RIGHT):
            raise PermissionDenied
        customer = Customer.objects.filter(pk=customer_id).first()
        if customer is None:
            raise Http404
        form = MatchForm(request.POST or None, customer_id=customer_id)
        tables: Sequence[Table] = ()
        try:
            if request.method == "POST" and form.is_valid():
                at = now_for(customer_id=customer_id, real_now=now())
                if PREVIEW not in request.POST:
                    return self._match(request, form, at=at)
                tables = self.make_match_tables(
                    request,
                    selection=form.build_selection(),
                    subscription_id=form.cleaned_data["subscription"].pk,
                    at=at,
                )
        except (BillingError, DatabaseError) as error:
            form.add_error(None, as_refusal(error).detail)
        context = {
            **self.admin_site.each_context(request),
            "title": "Match unmatched events",
            "opts": self.opts,
            "customer": customer,
            "form": form,
            "tables": tables,
            "preview": PREVIEW,
        }
        return TemplateResponse(request, "admin/match_events.html", context)

    def make_match_tables(
        self, request: HttpRequest, *, selection: EventSelection, subscription_id: UUID, at: datetime
    ) -> Sequence[Table]:
        """Show what it would do to the usage if a subscription took events.

        Raises: as `preview_match`.
        """
        preview = preview_match(
            selection=selection, subscription_id=subscription_id, at=at, actor=read_actor(request)
        )
        return [make_usage_table(preview.effects)]

    def _match(self, request: HttpRequest, form: MatchForm, *, at: datetime) -> HttpResponse:
        subscription, reason = form.cleaned_data["subscription"], form.cleaned_data["reason"]
        matched = match_selected_events(
            selection=form.build_selection(),
            subscription_id=subscription.pk,
            reason=reason,
            at=at,
            actor=read_actor(request, reason=reason),
        )
        events = "1 event" if matched.count == 1 else f"{matched.count:,} events"
        messages.success(request, f"The subscription has taken {events}.")
        return HttpResponseRedirect(
            reverse("admin:subscriptions_subscription_change", args=[subscription.pk])
        )
