"""Actions of the staff pages: an operation for one row or for each chosen one, told in a message."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from billing_project.core.actors import MAX_REASON_LENGTH, Actor
from billing_project.core.admin.bases import as_refusal
from billing_project.core.clock import now
from billing_project.core.errors import BillingError

if TYPE_CHECKING:
    from django.forms import Form as BaseDialogForm
else:
    from unfold.forms import BaseDialogForm  # Ships no types.


ActionT = TypeVar("ActionT", bound=Callable[..., HttpResponse])


class Operation(Protocol):
    """An operation on one row, by its id."""

    def __call__(self, row_id: Any, *, at: datetime, actor: Actor) -> object:
        """Do it, or raise."""


class DialogForm(BaseDialogForm):
    """The form of a dialog; without fields it asks whether to go on."""


class ReasonForm(DialogForm):
    """A dialog that asks why."""

    reason = forms.CharField(max_length=MAX_REASON_LENGTH, widget=UnfoldAdminTextareaWidget)


def dialog_action(
    *, title: str, explanation: str, permission: str, form_class: type[DialogForm] = DialogForm
) -> Callable[[ActionT], ActionT]:
    """Make a method of a page the action of one row, for `actions_detail`: a button that opens a dialog.

    The dialog is what keeps a mere link from changing something. The method takes the request, the form and
    the row's id as `object_id`; `permission` is the middle of the page's `has_..._permission`. Where there is
    no such row, there is no such page.
    """
    decorate = action(
        description=title,
        permissions=[permission],
        dialog={
            "title": title,
            "description": explanation,
            "form_class": form_class,
            "form_submit_text": title,
        },
    )

    def make_view(method: ActionT) -> ActionT:
        ask = decorate(method)

        @wraps(ask)
        def view(page: ModelAdmin[Any], request: HttpRequest, object_id: str) -> HttpResponse:
            row = page.get_object(request, unquote(object_id))
            if row is None:
                raise Http404
            return cast("HttpResponse", ask(page, request, object_id=row.pk))

        return cast("ActionT", view)

    return make_view


def run_for_one(
    request: HttpRequest, row_id: Any, operation: Operation, *, done: str, reason: str = ""
) -> HttpResponse:
    """Run an operation, tell how it went, and show the page again."""
    try:
        operation(row_id, at=now(), actor=read_actor(request, reason=reason))
    except (BillingError, DatabaseError) as error:
        messages.error(request, as_refusal(error).detail)
    else:
        messages.success(request, done)
    return show_again(request)


def run_for_each(
    request: HttpRequest, row_ids: Iterable[Any], operation: Operation, *, done: Callable[[int], str]
) -> None:
    """Run an operation for each chosen row by itself, and tell how many went well, and why others did not."""
    count = 0
    for row_id in row_ids:
        try:
            operation(row_id, at=now(), actor=read_actor(request))
        except (BillingError, DatabaseError) as error:
            messages.error(request, as_refusal(error).detail)
        else:
            count += 1
    if count:
        messages.success(request, done(count))


def read_actor(request: HttpRequest, *, reason: str = "") -> Actor:
    """Tell which member of staff asks, and why."""
    actor = Actor.from_request(request)
    return replace(actor, reason=reason) if reason else actor


def show_again(request: HttpRequest, address: str = "") -> HttpResponse:
    """Show a page after a dialog or a form: the given one, or the one that it was opened on."""
    address = address or request.headers.get("HX-Current-URL") or ".."
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": address})
    return HttpResponseRedirect(address)
