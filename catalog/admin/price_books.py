"""A new SKU with a price for each value of one or two properties: it begins with the values alone."""

from collections.abc import Mapping
from datetime import datetime
from itertools import product
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing_project.core.actors import Actor
from billing_project.core.admin.bases import OperationForm
from billing_project.core.money import InvalidDecimal
from catalog.admin.cells import read_amount
from catalog.models import PricingModel, Sku
from catalog.operations import MeterDefinition, PriceTerms, add_sku
from catalog.property_filters import MAX_NAME_LENGTH

# Prices are quoted for so many units until the grid is open, where staff choose.
UNITS = 1_000_000


class NewPriceBookForm(OperationForm[Sku]):
    """A new price book: what it counts, and the values that have prices of their own."""

    currency = forms.CharField(max_length=3, widget=UnfoldAdminTextInputWidget, help_text="Such as USD.")
    meter_event_type = forms.CharField(
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="The events that count. Nothing, if the code is that of a meter that is there.",
    )
    meter_property = forms.CharField(
        required=False,
        max_length=MAX_NAME_LENGTH,
        widget=UnfoldAdminTextInputWidget,
        help_text="What is added up, such as tokens. Nothing for a number of events.",
    )
    meter_code = forms.CharField(
        max_length=401,
        widget=UnfoldAdminTextInputWidget,
        help_text="A new one of your choice, such as tokens-by-model, or that of a meter that is there.",
    )
    first_dimension = forms.CharField(
        max_length=MAX_NAME_LENGTH,
        widget=UnfoldAdminTextInputWidget,
        help_text="The property whose values go down, such as model.",
    )
    first_values = forms.CharField(
        widget=UnfoldAdminTextareaWidget, help_text="One a line; there is always a line for any other."
    )
    second_dimension = forms.CharField(
        required=False,
        max_length=MAX_NAME_LENGTH,
        widget=UnfoldAdminTextInputWidget,
        help_text="The property whose values go across, such as token_type. Nothing for a list.",
    )
    second_values = forms.CharField(required=False, widget=UnfoldAdminTextareaWidget, help_text="One a line.")
    default_amount = forms.CharField(
        max_length=50,
        label=f"Price of {UNITS:,} units",
        widget=UnfoldAdminTextInputWidget,
        help_text="In the currency, for any other value. All prices begin with it.",
    )

    class Meta:
        model = Sku
        fields = ("plan", "name")

    def clean_default_amount(self) -> str:
        """Read the amount as the nanos of one unit."""
        try:
            return str(read_amount(self.cleaned_data["default_amount"].strip(), units=UNITS))
        except InvalidDecimal as error:
            raise forms.ValidationError(str(error)) from None

    def clean_first_values(self) -> list[str]:
        """Read the values down."""
        return _read_lines(self.cleaned_data["first_values"])

    def clean_second_values(self) -> list[str]:
        """Read the values across."""
        return _read_lines(self.cleaned_data["second_values"])

    def clean(self) -> dict[str, Any] | None:
        """Ask for the second property and its values together."""
        cleaned = super().clean() or self.cleaned_data
        if bool(cleaned.get("second_dimension")) != bool(cleaned.get("second_values")):
            self.add_error("second_values", "A property and its values go together.")
        return cleaned


def create_price_book(*, values: Mapping[str, Any], at: datetime, actor: Actor) -> Sku:
    """Add a SKU with a cell for each pair of values, all at the default."""
    dimensions = [name for name in (values["first_dimension"], values["second_dimension"]) if name]
    listed = [each for each in (values["first_values"], values["second_values"]) if each]
    amount = values["default_amount"]
    params = {
        "dimensions": dimensions,
        "cells": [{"values": list(each), "unit_amount_nanos": amount} for each in product(*listed)],
        "default_unit_amount_nanos": amount,
    }
    meter = None
    if values["meter_event_type"]:
        meter = MeterDefinition.read(
            event_type=values["meter_event_type"],
            property=values["meter_property"],
            property_field="meter_property",
        )
    return add_sku(
        plan_id=values["plan"].pk,
        name=values["name"],
        meter=meter,
        meter_code=values["meter_code"],
        terms=PriceTerms(
            pricing_model=PricingModel.MATRIX, params=params, currency=values["currency"].upper()
        ),
        at=at,
        actor=actor,
    )


def _read_lines(text: str) -> list[str]:
    """Read the lines that have something in them, each once."""
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
