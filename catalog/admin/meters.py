"""Meters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import OperationAdmin, OperationForm
from billing_project.core.admin.columns import badge
from billing_project.core.admin.details import DetailsAdmin, RelatedList
from catalog.admin.definitions import describe_filters_of, describe_quantity_of
from catalog.admin.filters import FiltersField
from catalog.models import Aggregation, Meter
from catalog.models.meters import MAX_PERCENTILE
from catalog.operations import MeterDefinition, create_meter, update_meter
from catalog.operations.meters import MeterChanges


class NewMeterForm(OperationForm[Meter]):
    """A new meter; its code follows from the definition if none is given."""

    percentile = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=MAX_PERCENTILE,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="For a percentile alone, such as 95.",
    )
    filters = FiltersField(
        required=False,
        help_text="An event counts if all of them hold; without any, every event of the type does.",
    )

    class Meta:
        model = Meter
        fields = (
            "event_type",
            "property",
            "aggregation",
            "carries_over",
            "group_by",
            "code",
            "display_name",
            "unit",
        )
        widgets = {"group_by": UnfoldAdminTextInputWidget}
        help_texts = {
            "event_type": "The events that count, such as llm.completion.",
            "property": "What is counted, such as input_tokens. Nothing for a number of events.",
            "carries_over": "For a weighted sum alone: each period begins at the level of the one before.",
            "group_by": "Properties by whose values usage is shown apart, with commas between.",
            "code": "Follows from the event type and the property of a plain sum or number of events.",
            "unit": "One of them, such as token.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].required = False


@admin.register(Meter)
class MeterAdmin(DetailsAdmin[Meter], OperationAdmin[Meter]):
    """What usage is counted by. What a meter counts never changes."""

    list_display = (
        "code",
        badge("status", "Status"),
        "display_name",
        "event_type",
        "property",
        "aggregation",
        "unit",
        "created_at",
    )
    list_filter = ("status", "aggregation")
    search_fields = ("code", "display_name")
    search_help_text = "Code, name or id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    related_lists = (
        RelatedList("Prices", "catalog_price", "meter__id__exact"),
        RelatedList("Fills from earlier events", "metering_meterfill", "meter__id__exact"),
    )

    def get_form(
        self,
        request: HttpRequest,
        obj: Meter | None = None,
        change: bool = False,  # noqa: FBT001, FBT002 (Django's own)
        **kwargs: Any,
    ) -> Any:
        """Ask for the definition of a new meter only."""
        if obj is None:
            kwargs["form"] = NewMeterForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Meter | None = None) -> Any:
        """Ask for the definition of a new meter, and show it in words afterwards."""
        names = ("display_name", "unit")
        if obj is None:
            rows = (("event_type", "property"), ("aggregation", "percentile"), "carries_over")
            return (*rows, "filters", "group_by", "code", names)
        return (names, "status", *self.get_readonly_fields(request, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Meter | None = None) -> Any:
        """Fix the definition once it is made."""
        if obj is None:
            return ()
        return ("code", "event_type", "shown_quantity", "shown_filters", "shown_groups", "created_at")

    @admin.display(description="Quantity")
    def shown_quantity(self, meter: Meter) -> str:
        """Show what it makes of events."""
        return describe_quantity_of(meter)

    @admin.display(description="Counts if")
    def shown_filters(self, meter: Meter) -> SafeString | str:
        """Show its filters."""
        return describe_filters_of(meter)

    @admin.display(description="Grouped by")
    def shown_groups(self, meter: Meter) -> str:
        """Show its groups."""
        return ", ".join(meter.group_by)

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> Meter:
        """Make a meter."""
        definition = MeterDefinition.read(
            event_type=values["event_type"],
            property=values["property"],
            aggregation=Aggregation(values["aggregation"]),
            percentile=values["percentile"],
            carries_over=values["carries_over"],
            filters=values["filters"],
            group_by=values["group_by"] or [],
        )
        return create_meter(
            definition=definition,
            code=values["code"] or "",
            display_name=values["display_name"],
            unit=values["unit"],
            at=at,
            actor=actor,
        )

    def update_row(self, *, row: Meter, values: Mapping[str, Any], at: datetime, actor: Actor) -> Meter:
        """Change what people read on a meter, archive it, or bring it back."""
        return update_meter(meter_id=row.pk, changes=cast("MeterChanges", values), at=at, actor=actor)
