"""API keys. A new one is shown once, on a page of its own that nothing keeps."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminIntegerFieldWidget

from billing_project.core.access.operations import (
    LONGEST_OVERLAP,
    create_api_key,
    revoke_api_key,
    rotate_api_key,
)
from billing_project.core.access.scopes import Scope
from billing_project.core.actors import Actor
from billing_project.core.admin.actions import (
    DialogForm,
    ReasonForm,
    dialog_action,
    read_actor,
    run_for_one,
    show_again,
)
from billing_project.core.admin.bases import OperationAdmin, OperationForm, as_refusal
from billing_project.core.admin.columns import make_badge
from billing_project.core.clock import now
from billing_project.core.errors import BillingError
from billing_project.core.models import ApiKey, ApiKeyKind, ApiKeyRole

HOURS_A_DAY = 24


class ApiKeyForm(OperationForm[ApiKey]):
    """What a new key is: its role if it is secret, its scopes if it is restricted."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, scope.value) for scope in Scope],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="For a restricted key.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "kind", "role", "scopes", "expires_at")
        help_texts = {"role": "For a secret key."}


class RotateForm(DialogForm):
    """How long the old key goes on working."""

    overlap_hours = forms.IntegerField(
        min_value=0,
        max_value=LONGEST_OVERLAP // timedelta(hours=1),
        initial=HOURS_A_DAY,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="For how many hours the old key goes on working.",
    )


@admin.register(ApiKey)
class ApiKeyAdmin(OperationAdmin[ApiKey]):
    """Who may call the API. A key is made, rotated and revoked; it is never changed."""

    form = ApiKeyForm
    list_display = ("name", "state", "kind", "role", "masked", "last_used_at", "expires_at", "created_at")
    list_filter = ("kind", "role")
    search_fields = ("name", "=hint")
    search_help_text = "A name, an id, or the last four characters of a key."
    ordering = ("-id",)
    actions_detail = ("rotate", "revoke")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        """Ask for little, and show everything but the key."""
        if obj is None:
            return ("name", "kind", "role", "scopes", "expires_at")
        return (
            ("name", "state", "masked"),
            ("kind", "role"),
            "scopes",
            ("expires_at", "revoked_at", "last_used_at"),
            ("created_at", "test_clock_id", "replaces"),
        )

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Refuse: what a key opens does not change while somebody holds it."""
        return False

    def has_end_permission(self, request: HttpRequest, _object_id: Any = None) -> bool:
        """Tell whether the member of staff may rotate and revoke keys."""
        return request.user.has_perm("core.change_apikey")

    @admin.display(description="State")
    def state(self, key: ApiKey) -> SafeString:
        """Show whether the key opens anything."""
        if key.revoked_at is not None:
            return make_badge("Revoked")
        return make_badge("Usable" if key.is_usable(at=now()) else "Expired")

    @admin.display(description="Key")
    def masked(self, key: ApiKey) -> str:
        """Show as much of the key as tells it from others."""
        return f"{key.prefix}…{key.hint}"

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> ApiKey:
        """Make the key, and carry its text to the page that shows it."""
        new = create_api_key(
            name=values["name"],
            kind=ApiKeyKind(values["kind"]),
            role=ApiKeyRole(values["role"]) if values["role"] else None,
            scopes=values["scopes"],
            expires_at=values["expires_at"],
            at=at,
            actor=actor,
        )
        new.api_key.token = new.token  # type: ignore[attr-defined]
        return new.api_key

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: Any = None) -> HttpResponse:
        """Show the key, this once."""
        return self._show_token(request, obj, token=obj.token)  # type: ignore[attr-defined]

    @dialog_action(
        title="Rotate",
        explanation="A new key with the same rights is made, and shown once.",
        permission="end",
        form_class=RotateForm,
    )
    def rotate(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Make a key in the place of this one."""
        overlap = timedelta(hours=form.cleaned_data["overlap_hours"])
        try:
            new = rotate_api_key(api_key_id=object_id, overlap=overlap, at=now(), actor=read_actor(request))
        except (BillingError, DatabaseError) as error:
            messages.error(request, as_refusal(error).detail)
            return show_again(request)
        response = self._show_token(request, new.api_key, token=new.token)
        # In a dialog, the key takes the place of the whole form: it must not be sent twice.
        response.headers["HX-Retarget"] = "#dialog"
        response.headers["HX-Reselect"] = "#new-api-key"
        return response

    @dialog_action(
        title="Revoke",
        explanation="The key stops working at once. This cannot be undone.",
        permission="end",
        form_class=ReasonForm,
    )
    def revoke(self, request: HttpRequest, form: forms.Form, object_id: UUID) -> HttpResponse:
        """Take this key back."""
        reason = form.cleaned_data["reason"]
        return run_for_one(request, object_id, _revoke, done="The key was revoked.", reason=reason)

    def _show_token(self, request: HttpRequest, key: ApiKey, *, token: str) -> HttpResponse:
        """Show a key on a page that no browser keeps: the admin marks all of its pages so."""
        context = {
            **self.admin_site.each_context(request),
            "title": "New API key",
            "opts": self.opts,
            "api_key": key,
            "token": token,
        }
        return TemplateResponse(request, "core/admin/new_api_key.html", context)


def _revoke(row_id: UUID, *, at: datetime, actor: Actor) -> None:
    """Take a key back."""
    revoke_api_key(api_key_id=row_id, at=at, actor=actor)
