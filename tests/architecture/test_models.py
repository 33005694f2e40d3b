"""Every amount has a currency, no column is a float, and every registry knows just the model's choices."""

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.conf import settings
from django.db import models
from django.utils.module_loading import import_string

from billing_project.core.fields import NanosField
from tests.architecture.sources import PACKAGES, read_product

# Where the currency of a model's amounts is not on the model itself: the way to it.
CURRENCY_ELSEWHERE: dict[str, str] = {
    "invoicing.InvoiceLine": "invoice__currency",
    "invoicing.InvoiceTax": "invoice__currency",
}

# The choices that each registry's keys must equal.
REGISTRIES: dict[str, str] = {
    "catalog.pricing.registry.PRICING_MODELS": "catalog.models.PricingModel",
    "metering.aggregation.registry.AGGREGATIONS": "catalog.models.Aggregation",
}

# Registries in the settings, where an operator adds classes: they are the choices of this column.
OPEN_REGISTRIES: dict[str, tuple[str, str]] = {
    "TAX_ENGINES": ("core.Seller", "tax_engine"),
}
OPEN_SUFFIXES = ("_ENGINES", "_PROVIDERS")


def list_models() -> list[type[models.Model]]:
    """List the models of the project's own apps."""
    return [model for model in apps.get_models() if model.__module__.split(".")[0] in PACKAGES]


def find_without_currency(model: type[models.Model]) -> Iterator[str]:
    """Find amounts whose currency cannot be told."""
    if any(isinstance(field, NanosField) for field in model._meta.get_fields()):
        path = CURRENCY_ELSEWHERE.get(model._meta.label, "currency")
        if not is_currency(model, path):
            yield f"{model._meta.label}: no {path}"


def is_currency(model: type[models.Model], path: str) -> bool:
    """Whether a path from a model ends at a currency column."""
    *steps, name = path.split("__")
    for step in steps:
        related = model._meta.get_field(step).related_model
        assert isinstance(related, type)
        model = related
    fields = {field.name: field for field in model._meta.get_fields()}
    column = fields.get(name)
    return isinstance(column, models.CharField) and column.max_length == 3


class TestAmounts:
    def test_have_a_currency(self) -> None:
        found = [breach for model in list_models() for breach in find_without_currency(model)]

        assert found == [], "\n".join(found)

    def test_exist(self) -> None:
        assert any(
            isinstance(field, NanosField) for model in list_models() for field in model._meta.get_fields()
        )

    def test_need_every_way_that_is_listed(self) -> None:
        own = {model._meta.label for model in list_models() if is_currency(model, "currency")}

        assert CURRENCY_ELSEWHERE.keys() & own == set()
        assert all(is_currency(apps.get_model(label), path) for label, path in CURRENCY_ELSEWHERE.items())


class TestColumns:
    def test_are_never_floats(self) -> None:
        floats = [
            str(field)
            for model in list_models()
            for field in model._meta.get_fields()
            if field.get_internal_type() == "FloatField"
        ]

        assert floats == []


class TestRegistries:
    @pytest.mark.parametrize(("registry", "choices"), REGISTRIES.items())
    def test_hold_the_choices_of_the_model(self, registry: str, choices: str) -> None:
        assert list(import_string(registry)) == list(import_string(choices).values)

    @pytest.mark.parametrize(("setting", "column"), OPEN_REGISTRIES.items())
    def test_in_the_settings_name_classes_and_hold_the_default(
        self, setting: str, column: tuple[str, str]
    ) -> None:
        registry = getattr(settings, setting)
        label, name = column

        assert all(isinstance(import_string(path), type) for path in registry.values())
        assert apps.get_model(label)._meta.get_field(name).get_default() in registry

    def test_are_all_compared(self) -> None:
        modules = {".".join(module.parts) for module in read_product() if module.parts[-1] == "registry"}

        assert modules == {registry.rpartition(".")[0] for registry in REGISTRIES}
        assert {name for name in dir(settings) if name.endswith(OPEN_SUFFIXES)} == OPEN_REGISTRIES.keys()


class TestFindWithoutCurrency:
    def test_sees_an_amount_alone(self) -> None:
        class Fee(models.Model):
            amount_nanos = NanosField()

            class Meta:
                app_label = "architecture"
                managed = False

            def __str__(self) -> str:
                return "fee"

        try:
            assert list(find_without_currency(Fee)) == ["architecture.Fee: no currency"]
        finally:
            del apps.all_models["architecture"]
            apps.clear_cache()
