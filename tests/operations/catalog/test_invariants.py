"""The invariants of the catalogue see each breach."""

import pytest

from catalog.invariants import check_meters, check_prices, check_skus, check_versions
from catalog.models import Aggregation, CatalogStatus, Meter, PlanVersion, Price, Sku
from catalog.operations import MeterDefinition, create_meter, update_sku
from catalog.queries import get_latest_version
from tests.factories.catalog import make_plan, make_sku, publish
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db

MAX = Aggregation.MAX
SMALL_OR_LARGE = {"property": "model", "operator": "In", "values": ["small", "large"]}


@pytest.fixture(autouse=True)
def catalogue() -> None:
    """Make a catalogue in which all is well: a published plan with an archived SKU, and a fresh one."""
    plan = make_plan()
    make_sku(plan)
    archived = make_sku(plan)
    publish(plan)
    archive = CatalogStatus.ARCHIVED
    update_sku(sku_id=archived.pk, changes={"status": archive}, at=NOON, actor=TESTER)
    make_sku(make_plan(), pricing_model="Flat", meter=None)
    definition = MeterDefinition.read(event_type="llm.completion", filters=[SMALL_OR_LARGE])
    create_meter(definition=definition, code="calls", at=NOON, actor=TESTER)


def test_nothing_is_found_where_all_is_well() -> None:
    assert [*check_versions(), *check_prices(), *check_meters(), *check_skus()] == []


class TestCheckVersions:
    def test_finds_a_gap(self) -> None:
        plan = make_plan()
        PlanVersion.objects.filter(plan=plan).update(number=2)

        assert list(check_versions()) == [f"The versions of plan {plan.pk} are not numbered 1 to 1."]

    def test_finds_an_open_version_before_the_last(self) -> None:
        plan = make_plan()
        PlanVersion.objects.create(plan=plan, number=2, billing_cadence="Monthly", published_at=NOON)

        assert list(check_versions()) == [f"Plan {plan.pk} has a version after its unpublished version 1."]


class TestCheckPrices:
    def test_finds_a_price_in_another_plan(self) -> None:
        sku = make_sku(make_plan())
        Price.objects.filter(sku=sku).update(plan_version=get_latest_version(make_plan().pk))
        price = Price.objects.get(sku=sku)

        assert list(check_prices()) == [
            f"Price {price.pk} is in a version of another plan than its SKU {sku.pk}."
        ]

    @pytest.mark.parametrize("params", [{}, {"unit_amount_nanos": 2}, {"unit_amount_nanos": "02"}])
    def test_finds_parameters_in_another_form(self, params: dict[str, object]) -> None:
        sku = make_sku(make_plan())
        Price.objects.filter(sku=sku).update(params=params)
        price = Price.objects.get(sku=sku)

        assert list(check_prices()) == [
            f"Price {price.pk} has parameters that are not those of a PerUnit price."
        ]

    @pytest.mark.parametrize(
        ("meter", "code"),
        [
            (None, ""),
            (MeterDefinition.read(event_type="calls", group_by=["region"]), "by-region"),
            (
                MeterDefinition.read(
                    event_type="calls", property="size", aggregation=MAX, group_by=["model"]
                ),
                "max",
            ),
        ],
    )
    def test_finds_a_price_that_tells_apart_what_its_meter_does_not(
        self, meter: MeterDefinition | None, code: str
    ) -> None:
        sku = make_sku(make_plan(), meter=meter, meter_code=code)
        params = {
            "dimensions": ["model"],
            "cells": [{"values": ["gpt-4"], "unit_amount_nanos": "1"}],
            "default_unit_amount_nanos": "1",
        }
        Price.objects.filter(sku=sku).update(pricing_model="Matrix", params=params)
        price = Price.objects.get(sku=sku)

        assert list(check_prices()) == [
            f"Price {price.pk} tells usage apart by model, which its meter does not."
        ]


class TestCheckMeters:
    @pytest.mark.parametrize(
        "filters",
        [
            [{"property": "model", "operator": "Like", "values": ["small"]}],
            [SMALL_OR_LARGE],
            [7],
        ],
    )
    def test_finds_filters_in_another_form(self, filters: list[object]) -> None:
        meter = Meter.objects.create(code="x", event_type="x", aggregation="Count", filters=filters)

        assert list(check_meters()) == [
            f"Meter {meter.pk} has filters that are not in the form in which they are stored."
        ]


class TestCheckSkus:
    def test_finds_an_archived_sku_that_is_sold(self) -> None:
        sku = make_sku(make_plan())
        Sku.objects.filter(pk=sku.pk).update(status=CatalogStatus.ARCHIVED)

        assert list(check_skus()) == [
            f"SKU {sku.pk} is archived, and the latest version of its plan charges for it."
        ]

    def test_finds_an_active_sku_that_is_not_sold(self) -> None:
        sku = make_sku(make_plan())
        Price.objects.filter(sku=sku).delete()

        assert list(check_skus()) == [
            f"SKU {sku.pk} is active, and the latest version of its plan has no price for it."
        ]
