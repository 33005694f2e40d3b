"""Number sequences."""

from django.contrib import admin

from billing_project.core.admin.bases import ReadOnlyAdmin
from billing_project.core.models import NumberSequence


@admin.register(NumberSequence)
class NumberSequenceAdmin(ReadOnlyAdmin[NumberSequence]):
    """The last number of each series. Numbers are taken by operations, never set."""

    list_display = ("series", "last_number")
    search_fields = ("series",)
    search_id_fields = ()
    ordering = ("series",)
