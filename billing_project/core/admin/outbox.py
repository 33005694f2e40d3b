"""The outbox: events, and their hand-over to each handler."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from billing_project.core.actors import Actor
from billing_project.core.admin.actions import ReasonForm, dialog_action, run_for_each, run_for_one
from billing_project.core.admin.bases import BigTableMixin, ReadOnlyAdmin
from billing_project.core.admin.columns import badge, pretty
from billing_project.core.models import OutboxDelivery, OutboxEvent
from billing_project.core.outbox import retry_delivery, skip_delivery

PAYLOAD = pretty("payload", "Payload")
STATUS = badge("status", "Status")


@admin.register(OutboxEvent)
class OutboxEventAdmin(BigTableMixin, ReadOnlyAdmin[OutboxEvent]):
    """What has happened."""

    list_display = ("position", "name", "subject_type", "subject_id", "customer_id", "created_at")
    list_filter = ("created_at",)
    search_fields = ("=name",)
    search_id_fields = ("id", "subject_id", "customer_id")
    search_help_text = "An id, or a whole name."
    ordering = ("-position",)
    fields = (
        ("name", "id", "position"),
        ("subject_type", "subject_id", "customer_id"),
        ("occurred_at", "created_at"),
        PAYLOAD,
    )
    readonly_fields = (PAYLOAD,)


@admin.register(OutboxDelivery)
class OutboxDeliveryAdmin(BigTableMixin, ReadOnlyAdmin[OutboxDelivery]):
    """Which handler has had which event; parked ones wait for somebody to decide."""

    list_display = (
        "id",
        STATUS,
        "event_name",
        "handler",
        "subject_id",
        "attempt_count",
        "due_at",
        "last_error",
    )
    list_filter = ("status", "handler")
    list_select_related = ("event",)
    search_id_fields = ("subject_id", "event__id")
    search_fields = ("=handler",)
    search_help_text = "The id of a subject or an event, or a whole handler."
    ordering = ("-id",)
    fields = (
        (STATUS, "handler", "event"),
        ("subject_type", "subject_id"),
        ("attempt_count", "due_at", "delivered_at"),
        "last_error",
    )
    readonly_fields = (STATUS,)
    actions = ("retry",)
    actions_detail = ("retry_one", "skip_one")

    @admin.display(description="Event", ordering="event__name")
    def event_name(self, delivery: OutboxDelivery) -> str:
        """Show what has happened."""
        return delivery.event.name

    def has_decide_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may decide about parked deliveries."""
        return request.user.has_perm("core.change_outboxdelivery")

    @admin.action(description="Try again", permissions=["decide"])
    def retry(self, request: HttpRequest, chosen: QuerySet[OutboxDelivery]) -> None:
        """Try the chosen deliveries again."""
        run_for_each(
            request, chosen.values_list("pk", flat=True), _retry, done="{} will be tried again.".format
        )

    @dialog_action(
        title="Try again",
        explanation="The event is handed over again, from the first attempt.",
        permission="decide",
    )
    def retry_one(self, request: HttpRequest, form: forms.Form, object_id: int) -> HttpResponse:
        """Try this delivery again."""
        return run_for_one(request, object_id, _retry, done="It will be tried again.")

    @dialog_action(
        title="Give up",
        explanation="The handler will never see this event. Later events of the same subject go on.",
        permission="decide",
        form_class=ReasonForm,
    )
    def skip_one(self, request: HttpRequest, form: forms.Form, object_id: int) -> HttpResponse:
        """Give this delivery up."""
        reason = form.cleaned_data["reason"]
        return run_for_one(request, object_id, _skip, done="It was given up.", reason=reason)


def _retry(row_id: int, *, at: datetime, actor: Actor) -> None:
    """Have a delivery tried again."""
    retry_delivery(delivery_id=row_id, at=at, actor=actor)


def _skip(row_id: int, *, at: datetime, actor: Actor) -> None:
    """Give a delivery up."""
    skip_delivery(delivery_id=row_id, at=at, actor=actor)
