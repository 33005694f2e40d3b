"""Reads of the catalogue."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from catalog.models import CatalogStatus, Plan, Sku
from catalog.operations import MeterDefinition, create_meter, update_meter, update_sku
from catalog.queries import (
    describe_sku,
    describe_version,
    get_latest_version,
    get_meter,
    get_numbered_version,
    get_plan,
    get_plan_version,
    get_product,
    get_sku,
    quote_sku,
    read_meters_by_event_type,
    read_plan_details,
    read_prices,
    read_sku_details,
)
from tests.factories.catalog import INPUT_TOKENS, make_plan, make_product, make_sku, publish
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db


class TestGet:
    def test_finds_what_there_is(self) -> None:
        product, plan = make_product(), make_plan()
        sku = make_sku(plan)
        version = get_latest_version(plan.pk)
        meter = create_meter(definition=INPUT_TOKENS, code="tokens", at=NOON, actor=TESTER)

        assert get_product(product.pk) == product
        assert get_plan(plan.pk) == plan
        assert get_plan_version(version.pk) == get_numbered_version(plan_id=plan.pk, number=1) == version
        assert get_sku(sku.pk) == sku
        assert get_meter(meter.pk) == meter

    @pytest.mark.parametrize(
        "get", [get_product, get_plan, get_plan_version, get_latest_version, get_sku, get_meter]
    )
    def test_refuses_what_there_is_not(self, get: object) -> None:
        assert callable(get)
        with pytest.raises(NotFound):
            get(make_id())

    def test_refuses_a_version_that_the_plan_has_not(self) -> None:
        plan = make_plan()

        with pytest.raises(NotFound):
            get_numbered_version(plan_id=plan.pk, number=2)


class TestReadPrices:
    def test_has_each_version_in_the_order_of_the_plan(self) -> None:
        plan, empty = make_plan(), make_plan()
        names = ["Zebra", "Ant", "Mole"]
        for name in names:
            make_sku(plan, name=name)
        version, other = get_latest_version(plan.pk), get_latest_version(empty.pk)

        prices = read_prices({version.pk, other.pk})

        assert [price.sku.name for price in prices[version.pk]] == names
        assert prices[other.pk] == ()

    def test_makes_one_query(self) -> None:
        plans = [make_plan() for _ in range(3)]
        for plan in plans:
            make_sku(plan)
        version_ids = [get_latest_version(plan.pk).pk for plan in plans]

        with CaptureQueriesContext(
            connection,
        ) as captured:
            prices = read_prices(version_ids)
            codes = [price.meter.code for version in prices.values() for price in version if price.meter]

        assert codes == ["llm.completion.input_tokens"] * 3
        assert len(captured) == 1


class TestReadMetersByEventType:
    def test_has_the_active_meters_of_each_type(self) -> None:
        tokens = create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)
        calls = create_meter(
            definition=MeterDefinition.read(event_type="llm.completion"), at=NOON, actor=TESTER
        )
        old = create_meter(definition=INPUT_TOKENS, code="old", at=NOON, actor=TESTER)
        archive = CatalogStatus.ARCHIVED
        update_meter(meter_id=old.pk, changes={"status": archive}, at=NOON, actor=TESTER)

        assert read_meters_by_event_type(["llm.completion", "image"]) == {
            "llm.completion": (tokens, calls),
            "image": (),
        }


class TestReadPlanDetails:
    def test_has_the_latest_version_of_each(self) -> None:
        published, fresh = make_plan(), make_plan()
        make_sku(published, name="First")
        publish(published)
        make_sku(published, name="Second")

        details = read_plan_details([fresh, published])

        assert [(each.plan, each.version.number) for each in details] == [(fresh, 1), (published, 2)]
        assert [[sku.sku.name for sku in each.skus] for each in details] == [[], ["First", "Second"]]

    def test_makes_two_queries_for_any_number(self) -> None:
        for _ in range(5):
            make_sku(make_plan())
        plans = list(Plan.objects.all())

        with CaptureQueriesContext(connection) as captured:
            read_plan_details(plans)

        assert len(captured) == 2


class TestDescribeVersion:
    def test_has_an_older_version_as_it_was(self) -> None:
        plan = make_plan()
        sku = make_sku(plan, name="First")
        first = publish(plan)
        update_sku(sku_id=sku.pk, changes={"params": {"unit_amount_nanos": "3"}}, at=NOON, actor=TESTER)

        details = describe_version(first)

        assert [each.price.params for each in details.skus if each.price] == [
            {"unit_amount_nanos": "2000000"}
        ]


class TestReadSkuDetails:
    def test_has_the_latest_price_of_each_even_where_it_is_archived(self) -> None:
        plan = make_plan()
        kept, archived = make_sku(plan), make_sku(plan)
        publish(plan)
        update_sku(sku_id=kept.pk, changes={"params": {"unit_amount_nanos": "3"}}, at=NOON, actor=TESTER)
        archive = CatalogStatus.ARCHIVED
        update_sku(sku_id=archived.pk, changes={"status": archive}, at=NOON, actor=TESTER)

        details = read_sku_details([archived, kept])

        versions = [each.price.plan_version.number for each in details if each.price]
        assert ([each.sku for each in details], versions) == ([archived, kept], [1, 2])

    def test_has_no_price_for_what_was_never_sold(self) -> None:
        sku = make_sku(make_plan())
        archive = CatalogStatus.ARCHIVED
        update_sku(sku_id=sku.pk, changes={"status": archive}, at=NOON, actor=TESTER)

        assert describe_sku(sku).price is None

    def test_makes_one_query_for_any_number(self) -> None:
        for _ in range(5):
            make_sku(make_plan())
        skus = list(Sku.objects.all())

        with CaptureQueriesContext(connection) as captured:
            details = read_sku_details(skus)
            assert all(each.price and each.price.meter and each.price.plan_version for each in details)

        assert len(captured) == 1


class TestQuoteSku:
    def test_prices_a_quantity_with_its_steps(self) -> None:
        sku = make_sku(make_plan(), params={"unit_amount_nanos": "2000000", "free_units": "100"})

        quote = quote_sku(sku_id=sku.pk, quantities=[((), Decimal(4_977_500))])

        assert quote.charge.amount_nanos == 9_954_800_000_000
        assert [(step.key, step.quantity, step.amount_nanos) for step in quote.charge.steps] == [
            ("free-units", 100, 0),
            ("units", 4_977_400, 9_954_800_000_000),
        ]

    def test_takes_the_period_to_be_over(self) -> None:
        sku = make_sku(make_plan(), params={"unit_amount_nanos": "2", "minimum_nanos": "100"})

        assert quote_sku(sku_id=sku.pk, quantities=[((), Decimal(0))]).charge.amount_nanos == 100

    def test_goes_by_the_latest_price(self) -> None:
        plan = make_plan()
        sku = make_sku(plan, params={"unit_amount_nanos": "2"})
        publish(plan)
        update_sku(sku_id=sku.pk, changes={"params": {"unit_amount_nanos": "3"}}, at=NOON, actor=TESTER)

        quote = quote_sku(sku_id=sku.pk, quantities=[((), Decimal("1.5"))])

        assert (quote.price.plan_version.number, quote.charge.amount_nanos) == (2, 4)

    def test_refuses_what_has_no_price(self) -> None:
        sku = make_sku(make_plan())
        archive = CatalogStatus.ARCHIVED
        update_sku(sku_id=sku.pk, changes={"status": archive}, at=NOON, actor=TESTER)

        with pytest.raises(NotFound):
            quote_sku(sku_id=sku.pk, quantities=[((), Decimal(1))])
        with pytest.raises(NotFound):
            quote_sku(sku_id=make_id(), quantities=[((), Decimal(1))])
