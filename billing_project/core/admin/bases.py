"""Bases of the staff pages: one that only shows, and one that writes through operations."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib.admin import ShowFacets
from django.db import DatabaseError, models
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.paginator import InfinitePaginator

from billing_project.core.actors import Actor
from billing_project.core.admin.calendar import CalendarChangeList
from billing_project.core.clock import now
from billing_project.core.contention import is_contention
from billing_project.core.errors import BillingError, Busy

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
else:
    from unfold.admin import ModelAdmin  # Ships no types.

RowT = TypeVar("RowT", bound=models.Model)


class BillingAdmin(ModelAdmin[RowT]):
    """What every page shares. Searching for an id finds it by its index, in any of `search_id_fields`."""

    search_id_fields: tuple[str, ...] = ("id",)
    list_per_page = 50
    show_full_result_count = False
    warn_unsaved_form = True

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RowT], search_term: str
    ) -> tuple[QuerySet[RowT], bool]:
        """Find rows; text that is an id is looked up as one."""
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        condition = Q()
        for name in self.search_id_fields:
            condition |= Q(**{name: wanted})
        return queryset.filter(condition), False

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Mapping[str, Any] | None = None
    ) -> HttpResponse:
        """Show the audit trail of the row, which is its history."""
        query = urlencode({"subject_type": self.opts.label, "subject_id": object_id})
        return HttpResponseRedirect(
            f"{reverse(f'{self.admin_site.name}:core_auditentry_changelist')}?{query}"
        )

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        """Leave it to the operation, which has recorded it in the audit trail."""

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        """Leave it to the operation, which has recorded it in the audit trail."""


class BigTableMixin:
    """For tables that grow with the business: pages forward and back, and nothing is counted."""

    paginator = InfinitePaginator
    list_disable_select_all = True
    show_facets = ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CalendarChangeList]:
        """Give the list a calendar that does not read the table."""
        return CalendarChangeList


class ReadOnlyAdmin(BillingAdmin[RowT]):
    """A page that shows, and changes nothing."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: RowT | None = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: RowT | None = None) -> bool:
        """Refuse."""
        return False


class OperationForm(forms.ModelForm[RowT]):
    """A form whose values go to an operation, which has the rules and says in words what breaks them."""

    def _post_clean(self) -> None:
        """Leave the row as it is, and its rules to the operation."""


class OperationAdmin(BillingAdmin[RowT]):
    """A page that writes through operations, and shows their refusals in the form. It deletes nothing.

    A subclass overrides `create_row` and `update_row`. What its form leaves out stays as it is.
    """

    form: type[forms.ModelForm[Any]] = OperationForm

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> RowT:
        """Make a row out of the form's values."""
        raise NotImplementedError

    def update_row(self, *, row: RowT, values: Mapping[str, Any], at: datetime, actor: Actor) -> RowT:
        """Change what the form has changed."""
        raise NotImplementedError

    def has_delete_permission(self, request: HttpRequest, obj: RowT | None = None) -> bool:
        """Refuse: what was sold and billed stays on record."""
        return False

    def save_model(self, request: HttpRequest, obj: RowT, form: Any, change: Any) -> None:
        """Call the operation, and take over the row that it returns."""
        actor = Actor.from_request(request)
        if change:
            values = {name: form.cleaned_data[name] for name in form.changed_data}
            row = self.update_row(row=obj, values=values, at=now(), actor=actor)
        else:
            row = self.create_row(values=form.cleaned_data, at=now(), actor=actor)
        obj.__dict__.update(row.__dict__)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the form, or save it; what an operation refuses is shown in the form, with what was typed."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (BillingError, DatabaseError) as error:
            request.refusal = as_refusal(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(
        self,
        request: HttpRequest,
        obj: RowT | None = None,
        change: bool = False,  # noqa: FBT001, FBT002 (Django's own)
        **kwargs: Any,
    ) -> Any:
        """Build the form; after a refusal, one that repeats it."""
        form = super().get_form(request, obj, change, **kwargs)
        refusal = getattr(request, "refusal", None)
        return form if refusal is None else type(form.__name__, (RefusedForm, form), {"refusal": refusal})


class RefusedForm(OperationForm[Any]):
    """A form whose values an operation has refused."""

    refusal: BillingError

    def clean(self) -> dict[str, Any] | None:
        """Say why, beside the field where there is one."""
        cleaned = super().clean()
        for error in self.refusal.errors:
            name = error.field.partition(".")[0]
            self.add_error(name if name in self.fields else None, error.detail)
        if not self.refusal.errors:
            self.add_error(None, self.refusal.detail)
        return cleaned


def as_refusal(error: BillingError | DatabaseError) -> BillingError:
    """Turn a lock that could not be had into `Busy`; what is neither that nor ours is raised again."""
    if isinstance(error, BillingError):
        return error
    if is_contention(error):
        return Busy("Something else is working on this. Try again in a moment.")
    raise error
