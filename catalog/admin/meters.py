"""Meters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import OperationAdmin, OperationForm
from billing_project.core.admin.columns import badge
from catalog.models import Aggregation, Meter
from catalog.operations import MeterDefinition, create_meter, update_meter
from catalog.operations.meters import MeterChanges


class MeterForm(OperationForm[Meter]):
    """A new meter; its code follows from the definition if none is given."""

    class Meta:
        model = Meter
        fields = ("event_type", "property", "aggregation", "code", "display_name", "unit", "status")
        help_texts = {
            "event_type": "The events that count, such as llm.completion.",
            "property": "What is summed up, such as input_tokens. Nothing for a number of events.",
            "code": "Made from the event type and the property if it is left empty.",
            "unit": "One of them, such as token.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "code" in self.fields:
            self.fields["code"].required = False


@admin.register(Meter)
class MeterAdmin(OperationAdmin[Meter]):
    """What usage is counted by. What a meter counts never changes."""

    form = MeterForm
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

    def get_fields(self, request: HttpRequest, obj: Meter | None = None) -> Any:
        """Ask for the definition of a new meter, and show it afterwards."""
        definition = (("event_type", "property"), ("aggregation", "code"))
        names = ("display_name", "unit")
        return (*definition, names) if obj is None else (names, "status", *definition, "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Meter | None = None) -> Any:
        """Fix the definition once it is made."""
        return () if obj is None else ("event_type", "property", "aggregation", "code", "created_at")

    def create_row(self, *, values: Mapping[str, Any], at: datetime, actor: Actor) -> Meter:
        """Make a meter."""
        definition = MeterDefinition.read(
            event_type=values["event_type"],
            property=values["property"],
            aggregation=Aggregation(values["aggregation"]),
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
        """Change what people read on a meter."""
        return update_meter(meter_id=row.pk, changes=cast("MeterChanges", values), at=at, actor=actor)
