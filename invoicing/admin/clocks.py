"""The page of a test clock, with the action that advances it and has billed what is due on the way."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from billing_project.core.actors import Actor
from billing_project.core.admin.actions import DialogForm, dialog_action, run_for_one
from customers.admin import TestClockAdmin
from customers.models import ClockStatus, TestClock
from customers.queries import get_test_clock
from invoicing.runs.clocks import advance_clock


class AdvanceForm(DialogForm):
    """To which time a clock goes."""

    to = forms.DateTimeField(
        label="To",
        widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}),
        help_text="In UTC, later than where the clock stands.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        clock = get_test_clock(kwargs["object_id"])
        self.fields["to"].initial = f"{clock.now_at.astimezone(UTC):%Y-%m-%dT%H:%M}"


@admin.register(TestClock)
class DrivenTestClockAdmin(TestClockAdmin):
    """Times of their own for customers that are made to try things out."""

    actions_detail = ("advance",)

    def list_fitting_actions(self, row: TestClock) -> Collection[str]:
        """Offer to advance a clock that stands."""
        return self.actions_detail if row.status == ClockStatus.READY else ()

    def has_advance_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may let time pass."""
        return request.user.has_perm("customers.change_testclock")

    @dialog_action(
        title="Advance",
        explanation="Time passes for the clock's customers, and all that is due on the way is billed.",
        permission="advance",
        form_class=AdvanceForm,
    )
    def advance(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Set this clock on its way."""
        to = form.cleaned_data["to"]

        def run(row_id: UUID, *, at: datetime, actor: Actor) -> None:
            advance_clock(test_clock_id=row_id, to=to, at=at, actor=actor)

        return run_for_one(request, object_id, run, done="The clock is on its way: reload to see how far.")
