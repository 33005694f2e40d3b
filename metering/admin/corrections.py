"""Corrections of usage: the list of them, and the pages on which an event is taken back or replaced."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing_project.core.actors import MAX_REASON_LENGTH
from billing_project.core.admin.actions import read_actor
from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin, as_refusal
from billing_project.core.admin.columns import badge, write_quantity
from billing_project.core.admin.details import DetailsAdmin, Table, make_link
from billing_project.core.clock import now
from billing_project.core.errors import BillingError
from customers.admin.search import CustomerSearchAdmin
from customers.queries import now_for
from metering.ingest.decoding import MAX_ID_LENGTH, MAX_TYPE_LENGTH, decode_event
from metering.ingest.incoming import IncomingEvent, Refusal
from metering.models import EventVoid, UsageCorrection, UsageEvent
from metering.operations import UsageEffect, amend_event, preview_void, void_event
from metering.queries.corrections import EventSelection

KIND = badge("kind", "Kind")
EVENTS_SHOWN = 200
RIGHT = "metering.add_usagecorrection"

_LINK = '<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>'
_encoder = msgspec.json.Encoder(decimal_format="number")


class VoidForm(forms.Form):
    """Why an event is taken back."""

    reason = forms.CharField(max_length=MAX_REASON_LENGTH, widget=UnfoldAdminTextareaWidget)


class AmendForm(VoidForm):
    """Why an event is replaced, and by which: another id, and whatever else was wrong."""

    event_id = forms.CharField(
        label="New id", max_length=MAX_ID_LENGTH, strip=False, widget=UnfoldAdminTextInputWidget
    )
    event_type = forms.CharField(max_length=MAX_TYPE_LENGTH, strip=False, widget=UnfoldAdminTextInputWidget)
    subscription_id = forms.UUIDField(required=False, widget=UnfoldAdminTextInputWidget)
    timestamp = forms.CharField(
        widget=UnfoldAdminTextInputWidget, help_text="With an offset, such as 2026-02-28T14:30:00Z."
    )
    properties = forms.CharField(widget=UnfoldAdminTextareaWidget, help_text="JSON, with every digit.")
    field_order = ("event_id", "event_type", "subscription_id", "timestamp", "properties", "reason")

    @classmethod
    def read_initial(cls, event: UsageEvent) -> dict[str, Any]:
        """Read what is stored, for staff to set right."""
        return {
            "event_type": event.event_type,
            "subscription_id": event.subscription_id,
            "timestamp": event.timestamp.isoformat(),
            "properties": _encoder.encode(event.properties).decode(),
        }

    def clean_properties(self) -> msgspec.Raw:
        """Read the properties as one piece of JSON; what may be in it is for ingest to say."""
        try:
            return msgspec.json.decode(self.cleaned_data["properties"].encode(), type=msgspec.Raw).copy()
        except (ValueError, RecursionError) as error:
            raise ValidationError(f"This is not JSON: {error}.") from None

    def build_event(self, *, customer_id: UUID) -> IncomingEvent | Refusal:
        """Build the event that was typed in, as ingest reads it."""
        values = self.cleaned_data
        event = {
            "id": values["event_id"],
            "event_type": values["event_type"],
            "customer_id": customer_id,
            "subscription_id": values["subscription_id"],
            "timestamp": values["timestamp"],
            "properties": values["properties"],
        }
        return decode_event(msgspec.json.encode(event), index=0)


class UsageCorrectionAdmin(
    BigTableMixin,
    CustomerSearchAdmin[UsageCorrection],
    DetailsAdmin[UsageCorrection],
    ReadOnlyAdmin[UsageCorrection],
):
    """What was corrected, by whom and why. An event is corrected from the list of events.

    Not registered here: invoicing adds what a correction does to the bills, and registers it.
    """

    list_display = ("created_at", "customer", KIND, "event_count", "subscription", "reason")
    list_filter = ("kind",)
    list_select_related = ("customer", "subscription__customer", "subscription__plan_version__plan")
    search_id_fields = ("id", "customer_id", "subscription_id")
    ordering = ("-id",)
    fields = (("customer", "subscription"), (KIND, "event_count"), "reason", "created_at")
    readonly_fields = (KIND,)

    def get_urls(self) -> list[URLPattern]:
        """Add the pages on which an event is corrected, by its customer and its key."""
        pages = {"void": self.void_view, "amend": self.amend_view}
        added = [
            path(
                f"<uuid:customer_id>/<uuid:uid>/{name}/",
                self.admin_site.admin_view(view),
                name=f"metering_usagecorrection_{name}",
            )
            for name, view in pages.items()
        ]
        return [*added, *super().get_urls()]

    def make_tables(self, request: HttpRequest, row: UsageCorrection) -> Sequence[Table]:
        """Show the events."""
        voids = list(row.voids.order_by("event_id")[: EVENTS_SHOWN + 1])
        return [
            Table(
                title="Events",
                headers=("Event", "Replaced by"),
                rows=[
                    (link_to_event(row.customer_id, void.event_id), self._show_replacement(row, void))
                    for void in voids[:EVENTS_SHOWN]
                ],
                note=f"The first {EVENTS_SHOWN}." if len(voids) > EVENTS_SHOWN else "",
            )
        ]

    def void_view(self, request: HttpRequest, customer_id: UUID, uid: UUID) -> HttpResponse:
        """Show what taking an event back would do, ask why, and do it."""
        event = _find_event(request, customer_id, uid)

        def correct(form: VoidForm, at: datetime) -> UsageCorrection:
            reason = form.cleaned_data["reason"]
            return void_event(
                customer_id=customer_id,
                event_id=event.event_id,
                reason=reason,
                at=at,
                actor=read_actor(request, reason=reason),
            )

        return self._ask(request, event, VoidForm(request.POST or None), correct, title="Void event")

    def amend_view(self, request: HttpRequest, customer_id: UUID, uid: UUID) -> HttpResponse:
        """Show what taking an event back would do, ask what takes its place and why, and do it."""
        event = _find_event(request, customer_id, uid)
        form = AmendForm(request.POST or None, initial=AmendForm.read_initial(event))

        def correct(form: AmendForm, at: datetime) -> UsageCorrection:
            reason = form.cleaned_data["reason"]
            return amend_event(
                customer_id=customer_id,
                event_id=event.event_id,
                replacement=form.build_event(customer_id=customer_id),
                reason=reason,
                received_at=now(),
                at=at,
                actor=read_actor(request, reason=reason),
            )

        return self._ask(request, event, form, correct, title="Amend event")

    def make_preview_tables(
        self, request: HttpRequest, *, selection: EventSelection, at: datetime
    ) -> Sequence[Table]:
        """Show what taking events back would do to the usage.

        Raises: as `preview_void`.
        """
        preview = preview_void(selection=selection, at=at, actor=read_actor(request))
        return [make_usage_table(preview.effects)]

    def _ask(
        self, request: HttpRequest, event: UsageEvent, form: Any, correct: Any, *, title: str
    ) -> HttpResponse:
        """Show the preview and the form; with a form that is filled in well, correct the event."""
        at = now_for(customer_id=event.customer_id, real_now=now())
        tables: Sequence[Table] = ()
        try:
            if request.method == "POST" and form.is_valid():
                correction = correct(form, at)
                messages.success(request, "The usage was corrected.")
                return HttpResponseRedirect(
                    reverse("admin:metering_usagecorrection_change", args=[correction.pk])
                )
        except (BillingError, DatabaseError) as error:
            form.add_error(None, as_refusal(error).detail)
        try:
            selection = EventSelection(customer_id=event.customer_id, event_ids=(event.event_id,))
            tables = self.make_preview_tables(request, selection=selection, at=at)
        except (BillingError, DatabaseError) as error:
            messages.error(request, as_refusal(error).detail)
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "event": event,
            "form": form,
            "tables": tables,
        }
        return TemplateResponse(request, "admin/correct_event.html", context)

    def _show_replacement(self, row: UsageCorrection, void: EventVoid) -> SafeString | None:
        if void.replacement_event_id is None:
            return None
        return link_to_event(row.customer_id, void.replacement_event_id)


class CorrectableEventAdmin(ReadOnlyAdmin[UsageEvent]):
    """A list of events with the way to correct each. It is annotated by `annotate_void`."""

    def get_list_display(self, request: HttpRequest) -> Any:
        """Show the links to those who may follow them."""
        shown = tuple(super().get_list_display(request))
        return (*shown, "correct") if request.user.has_perm(RIGHT) else shown

    @admin.display(description="Correct")
    def correct(self, event: UsageEvent) -> SafeString | None:
        """Lead to the pages that correct the event, unless it is void."""
        if event.is_void:  # type: ignore[attr-defined] # Annotated.
            return None
        void, amend = (
            reverse(f"admin:metering_usagecorrection_{name}", args=[event.customer_id, event.uid])
            for name in ("void", "amend")
        )
        return format_html(f"{_LINK} {_LINK}", void, "Void", amend, "Amend")


def annotate_void(events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
    """Have each event say whether it is void."""
    voids = EventVoid.objects.filter(customer_id=OuterRef("customer_id"), event_id=OuterRef("event_id"))
    return events.annotate(is_void=Exists(voids))


def link_to_event(customer_id: UUID, event_id: str) -> SafeString:
    """Lead to an event in the list of its customer's."""
    query = urlencode({"customer_id": str(customer_id), "q": event_id})
    return format_html(_LINK, f"{reverse('admin:metering_usageevent_changelist')}?{query}", event_id)


def make_usage_table(effects: Sequence[UsageEffect]) -> Table:
    """Make a table of what a correction would do to the usage."""
    return Table(
        title="Usage",
        headers=("Period", "State", "Meter", "Is", "Would be"),
        numeric=("Is", "Would be"),
        rows=[
            (
                make_link("subscriptions_period", effect.period.pk, f"{effect.period.starts_at:%Y-%m-%d}"),
                "Open" if effect.period.is_open else "Closed",
                effect.meter.code,
                write_quantity(effect.before.quantity),
                write_quantity(effect.after.quantity),
            )
            for effect in effects
        ],
        empty="It counts for nothing that is charged.",
    )


def _find_event(request: HttpRequest, customer_id: UUID, uid: UUID) -> UsageEvent:
    """Find an event that is to be corrected.

    Raises: PermissionDenied; Http404.
    """
    if not request.user.has_perm(RIGHT):
        raise PermissionDenied
    event = UsageEvent.objects.filter(customer_id=customer_id, uid=uid).first()
    if event is None:
        raise Http404
    return event
