"""Every status has a table of the moves it may make, with a row for each state."""

from collections.abc import Iterator, Mapping

import pytest
from django.apps import apps
from django.db import models
from django.utils.module_loading import import_string

from tests.architecture.sources import PACKAGES, read_product

TABLES: dict[str, str] = {
    "invoicing.Invoice": "invoicing.invoices.states.TRANSITIONS",
    "metering.EventArchive": "metering.states.ARCHIVE_TRANSITIONS",
    "metering.MeterFill": "metering.states.TRANSITIONS",
    "subscriptions.Subscription": "subscriptions.states.TRANSITIONS",
}

# Statuses that need none, with the reason. An entry no longer needed fails.
FREE: dict[str, str] = {
    "catalog.Meter": "archived and back, at any time",
    "catalog.Plan": "archived and back, at any time",
    "catalog.Product": "archived and back, at any time",
    "catalog.Sku": "archived and back, at any time",
    "core.OutboxDelivery": "one step: from pending to its end",
    "customers.Customer": "staff's to set",
    "customers.TestClock": "ready, advancing, ready",
    "invoicing.BillRun": "one step: from running to completed",
    "invoicing.BillRunItem": "set only under the claim on the item, by one module",
    "invoicing.Payment": "a payment that staff record has succeeded",
}


def list_statuses() -> Iterator[str]:
    """List the models with a status of their own."""
    for model in apps.get_models():
        if model.__module__.split(".")[0] in PACKAGES:
            status = {field.name: field for field in model._meta.get_fields()}.get("status")
            if isinstance(status, models.CharField):
                yield model._meta.label


def find_gaps(transitions: Mapping[str, frozenset[str]], states: set[str]) -> list[str]:
    """Find states without a row, and rows and moves without a state."""
    named = transitions.keys() | {target for targets in transitions.values() for target in targets}
    return [
        *(f"{state}: no row" for state in sorted(states - transitions.keys())),
        *(f"{state}: no such state" for state in sorted(named - states)),
    ]


class TestStatuses:
    def test_have_a_table(self) -> None:
        assert sorted(list_statuses()) == sorted([*TABLES, *FREE])

    @pytest.mark.parametrize(("label", "table"), TABLES.items())
    def test_have_a_row_for_each_state(self, label: str, table: str) -> None:
        choices = apps.get_model(label)._meta.get_field("status").flatchoices

        assert find_gaps(import_string(table), {value for value, _ in choices}) == []

    def test_use_every_table_there_is(self) -> None:
        modules = {".".join(module.parts) for module in read_product() if module.parts[-1] == "states"}

        assert modules == {table.rpartition(".")[0] for table in TABLES.values()}


class TestFindGaps:
    def test_sees_a_state_without_a_row(self) -> None:
        assert find_gaps({"Draft": frozenset({"Open"})}, {"Draft", "Open"}) == ["Open: no row"]

    def test_sees_a_move_to_nowhere(self) -> None:
        assert find_gaps({"Draft": frozenset({"Gone"})}, {"Draft"}) == ["Gone: no such state"]
