"""SKUs and their prices."""

from typing import Any

import pytest

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from catalog.models import (
    BillingTiming,
    CatalogStatus,
    Meter,
    Plan,
    PlanVersion,
    Price,
    PricingModel,
    Sku,
    TaxBehavior,
)
from catalog.operations import MeterDefinition, add_sku, create_meter, update_meter, update_plan, update_sku
from catalog.operations import skus as module
from catalog.operations.meters import MeterCodeTaken
from catalog.operations.skus import (
    MeterArchived,
    MeteredInAdvance,
    PlanArchived,
    PlanFull,
    SkuArchived,
    UnknownCurrency,
    UnknownMeter,
    UnknownPlan,
)
from catalog.pricing.types import InvalidPricingParams
from catalog.queries import get_latest_version
from tests.factories.catalog import INPUT_TOKENS, get_price, make_plan, make_sku, make_terms, publish
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db

TIERS = [
    {"up_to": 10, "unit_amount_nanos": 5, "flat_amount_nanos": "1"},
    {"up_to": None, "unit_amount_nanos": "3"},
]
STORED_TIERS = [
    {"up_to": "10", "unit_amount_nanos": "5", "flat_amount_nanos": "1"},
    {"up_to": None, "unit_amount_nanos": "3", "flat_amount_nanos": "0"},
]


def change(sku: Sku, **changes: Any) -> None:
    update_sku(sku_id=sku.pk, changes=changes, at=NOON, actor=TESTER)  # type: ignore[arg-type]


def list_numbers(plan: Plan) -> list[int]:
    return list(PlanVersion.objects.filter(plan=plan).order_by("number").values_list("number", flat=True))


def assert_nothing_was_added() -> None:
    assert not Sku.objects.exists()
    assert not Price.objects.exists()
    assert not AuditEntry.objects.filter(action__in=["sku.created", "meter.created"]).exists()


class TestAddSku:
    def test_adds_a_metered_price_to_the_editable_version(self) -> None:
        plan = make_plan()
        sku = make_sku(plan, name="Input Tokens", params={"unit_amount_nanos": "2000000"})

        assert (sku.plan_id, sku.name, sku.status) == (plan.pk, "Input Tokens", "Active")
        price = get_price(sku, version=1)
        assert (price.pricing_model, price.params, price.currency) == (
            "PerUnit",
            {"unit_amount_nanos": "2000000"},
            "USD",
        )
        assert (price.billing_timing, price.tax_behavior, price.tax_category) == ("Arrears", "Exclusive", "")
        assert (price.position, price.starts_at) == (0, None)
        assert price.meter is not None
        assert price.meter.code == "llm.completion.input_tokens"

    def test_adds_a_licensed_price(self) -> None:
        sku = make_sku(
            make_plan(),
            meter=None,
            billing_timing=BillingTiming.ADVANCE,
            tax_behavior=TaxBehavior.INCLUSIVE,
            tax_category="saas",
        )

        price = get_price(sku, version=1)
        assert price.meter is None
        assert (price.billing_timing, price.tax_behavior, price.tax_category) == (
            "Advance",
            "Inclusive",
            "saas",
        )
        assert not Meter.objects.exists()

    def test_stores_parameters_in_one_form(self) -> None:
        params = {"tiers": TIERS, "free_units": 1, "minimum_nanos": None, "maximum_nanos": 10**30}
        sku = make_sku(make_plan(), pricing_model=PricingModel.GRADUATED, params=params)

        assert get_price(sku, version=1).params == {
            "tiers": STORED_TIERS,
            "free_units": "1",
            "maximum_nanos": str(10**30),
        }

    def test_puts_each_after_the_one_before(self) -> None:
        plan = make_plan()

        positions = [get_price(make_sku(plan), version=1).position for _ in range(3)]

        assert positions == [0, 1, 2]

    def test_shares_the_meter_of_another_plan(self) -> None:
        skus = [make_sku(make_plan()) for _ in range(2)]

        first, second = (get_price(sku, version=1).meter for sku in skus)
        assert first == second
        assert Meter.objects.count() == 1

    def test_finds_a_meter_by_its_code_alone(self) -> None:
        meter = create_meter(definition=INPUT_TOKENS, code="tokens", at=NOON, actor=TESTER)

        sku = make_sku(make_plan(), meter=None, meter_code="tokens")

        assert get_price(sku, version=1).meter == meter

    def test_makes_a_meter_under_a_code_of_its_own(self) -> None:
        sku = make_sku(make_plan(), meter=INPUT_TOKENS, meter_code="tokens")

        meter = get_price(sku, version=1).meter
        assert meter is not None
        assert (meter.code, meter.property) == ("tokens", "input_tokens")

    def test_begins_the_next_version_of_a_published_plan(self) -> None:
        plan = make_plan()
        old = make_sku(plan)
        publish(plan)

        new = make_sku(plan)

        assert list_numbers(plan) == [1, 2]
        assert list(Price.objects.filter(sku=new).values_list("plan_version__number", flat=True)) == [2]
        assert get_price(old, version=2).position == 0
        assert get_price(new, version=2).position == 1

    def test_is_recorded(self) -> None:
        plan = make_plan()
        sku = make_sku(plan, name="Input Tokens")

        entry = AuditEntry.objects.get(action="sku.created")
        meter = Meter.objects.get()
        assert (entry.subject_type, entry.subject_id) == ("catalog.Sku", str(sku.pk))
        assert entry.changes == {
            "plan_id": [None, str(plan.pk)],
            "name": [None, "Input Tokens"],
            "status": [None, "Active"],
            "plan_version_id": [None, str(get_latest_version(plan.pk).pk)],
            "pricing_model": [None, "PerUnit"],
            "params": [None, {"unit_amount_nanos": "2000000"}],
            "currency": [None, "USD"],
            "meter_id": [None, str(meter.pk)],
            "billing_timing": [None, "Arrears"],
            "tax_behavior": [None, "Exclusive"],
            "tax_category": [None, ""],
        }

    @pytest.mark.parametrize("currency", ["XXX", "usd", "", "BTC", "DEM"])
    def test_refuses_an_unknown_currency(self, currency: str) -> None:
        plan = make_plan()

        with pytest.raises(UnknownCurrency) as caught:
            make_sku(plan, currency=currency)

        assert [error.field for error in caught.value.errors] == ["currency"]
        assert_nothing_was_added()

    @pytest.mark.parametrize(
        ("pricing_model", "params", "field"),
        [
            (PricingModel.PER_UNIT, {}, "unit_amount_nanos"),
            (PricingModel.PER_UNIT, {"unit_amount_nanos": "1", "tiers": TIERS}, "tiers"),
            (PricingModel.PER_UNIT, {"unit_amount_nanos": "-1"}, "unit_amount_nanos"),
            (PricingModel.GRADUATED, {"tiers": TIERS[:1]}, "tiers.0.up_to"),
            (PricingModel.FLAT, {"unit_amount_nanos": "1", "free_units": "5"}, "free_units"),
        ],
    )
    def test_refuses_parameters_that_the_model_cannot_use(
        self, pricing_model: PricingModel, params: dict[str, Any], field: str
    ) -> None:
        plan = make_plan()

        with pytest.raises(InvalidPricingParams) as caught:
            make_sku(plan, pricing_model=pricing_model, params=params)

        assert [error.field for error in caught.value.errors] == [field]
        assert_nothing_was_added()

    def test_refuses_an_unknown_plan(self) -> None:
        with pytest.raises(UnknownPlan) as caught:
            add_sku(plan_id=make_id(), name="Tokens", terms=make_terms(), at=NOON, actor=TESTER)

        assert [error.field for error in caught.value.errors] == ["plan_id"]
        assert_nothing_was_added()

    def test_refuses_an_archived_plan(self) -> None:
        plan = make_plan()
        archive = CatalogStatus.ARCHIVED
        update_plan(plan_id=plan.pk, changes={"status": archive}, at=NOON, actor=TESTER)

        with pytest.raises(PlanArchived):
            make_sku(plan)

        assert_nothing_was_added()

    def test_refuses_an_unknown_meter(self) -> None:
        plan = make_plan()

        with pytest.raises(UnknownMeter) as caught:
            make_sku(plan, meter=None, meter_code="tokens")

        assert [error.field for error in caught.value.errors] == ["meter_code"]
        assert_nothing_was_added()

    @pytest.mark.parametrize("meter", [None, INPUT_TOKENS])
    def test_refuses_an_archived_meter(self, meter: MeterDefinition | None) -> None:
        archived = create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)
        archive = CatalogStatus.ARCHIVED
        update_meter(meter_id=archived.pk, changes={"status": archive}, at=NOON, actor=TESTER)
        plan = make_plan()

        with pytest.raises(MeterArchived):
            make_sku(plan, meter=meter, meter_code=archived.code)

        assert not Sku.objects.exists()

    def test_refuses_a_code_that_counts_something_else_and_begins_no_version(self) -> None:
        create_meter(definition=INPUT_TOKENS, code="tokens", at=NOON, actor=TESTER)
        plan = make_plan()
        publish(plan)

        with pytest.raises(MeterCodeTaken) as caught:
            make_sku(plan, meter=MeterDefinition.read(event_type="llm.completion"), meter_code="tokens")

        assert [error.field for error in caught.value.errors] == ["meter_code"]
        assert list_numbers(plan) == [1]
        assert not Sku.objects.exists()

    @pytest.mark.parametrize(("meter", "meter_code"), [(INPUT_TOKENS, ""), (None, "tokens")])
    def test_refuses_to_bill_usage_in_advance(self, meter: MeterDefinition | None, meter_code: str) -> None:
        plan = make_plan()

        with pytest.raises(MeteredInAdvance) as caught:
            make_sku(plan, meter=meter, meter_code=meter_code, billing_timing=BillingTiming.ADVANCE)

        assert [error.field for error in caught.value.errors] == ["billing_timing"]
        assert_nothing_was_added()

    def test_refuses_more_than_a_plan_can_hold(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_PRICES_PER_VERSION", 2)
        plan = make_plan()
        make_sku(plan)
        make_sku(plan)

        with pytest.raises(PlanFull):
            make_sku(plan)

        assert Sku.objects.count() == 2


class TestUpdateSku:
    def test_changes_the_price_of_an_unpublished_version_in_place(self) -> None:
        plan = make_plan()
        sku = make_sku(plan, params={"unit_amount_nanos": "2000000"})

        change(sku, params={"unit_amount_nanos": 3}, tax_category="saas")

        price = get_price(sku, version=1)
        assert (price.params, price.tax_category) == ({"unit_amount_nanos": "3"}, "saas")
        assert list_numbers(plan) == [1]
        entry = AuditEntry.objects.get(action="sku.updated")
        assert entry.changes == {
            "params": [{"unit_amount_nanos": "2000000"}, {"unit_amount_nanos": "3"}],
            "tax_category": ["", "saas"],
        }

    def test_makes_the_next_version_of_a_published_one(self) -> None:
        plan = make_plan()
        sku, other = make_sku(plan), make_sku(plan)
        publish(plan)

        change(sku, params={"unit_amount_nanos": "3"})

        assert list_numbers(plan) == [1, 2]
        assert get_price(sku, version=1).params == {"unit_amount_nanos": "2000000"}
        assert get_price(sku, version=2).params == {"unit_amount_nanos": "3"}
        assert get_price(other, version=2).params == {"unit_amount_nanos": "2000000"}
        assert get_price(sku, version=2).starts_at is None

    def test_makes_no_version_for_the_same_terms_or_for_a_name(self) -> None:
        plan = make_plan()
        sku = make_sku(plan, name="Tokens")
        publish(plan)

        change(sku, params={"unit_amount_nanos": 2000000}, billing_timing=BillingTiming.ARREARS)
        assert not AuditEntry.objects.filter(action="sku.updated").exists()
        change(sku, name="Input Tokens")

        sku.refresh_from_db()
        assert sku.name == "Input Tokens"
        assert list_numbers(plan) == [1]
        assert AuditEntry.objects.get(action="sku.updated").changes == {"name": ["Tokens", "Input Tokens"]}

    def test_keeps_parameters_that_are_not_named_and_takes_away_those_that_are_null(self) -> None:
        sku = make_sku(
            make_plan(), params={"unit_amount_nanos": "2", "free_units": "10", "minimum_nanos": "100"}
        )

        change(sku, params={"minimum_nanos": None, "maximum_nanos": "500"})

        assert get_price(sku, version=1).params == {
            "unit_amount_nanos": "2",
            "free_units": "10",
            "maximum_nanos": "500",
        }

    def test_takes_all_parameters_anew_with_another_pricing_model(self) -> None:
        sku = make_sku(make_plan(), params={"unit_amount_nanos": "2", "free_units": "10"})

        change(sku, pricing_model=PricingModel.GRADUATED, params={"tiers": TIERS})

        price = get_price(sku, version=1)
        assert (price.pricing_model, price.params) == ("Graduated", {"tiers": STORED_TIERS})

    def test_refuses_parameters_that_the_model_cannot_use(self) -> None:
        plan = make_plan()
        sku = make_sku(plan)
        publish(plan)

        with pytest.raises(InvalidPricingParams):
            change(sku, name="New", params={"tiers": TIERS})

        sku.refresh_from_db()
        assert sku.name == "Input Tokens"
        assert list_numbers(plan) == [1]

    def test_refuses_to_bill_usage_in_advance(self) -> None:
        sku = make_sku(make_plan(), meter=INPUT_TOKENS)

        with pytest.raises(MeteredInAdvance):
            change(sku, billing_timing=BillingTiming.ADVANCE)

        assert get_price(sku, version=1).billing_timing == "Arrears"

    def test_bills_what_is_licensed_in_advance(self) -> None:
        sku = make_sku(make_plan(), meter=None)

        change(sku, billing_timing=BillingTiming.ADVANCE)

        assert get_price(sku, version=1).billing_timing == "Advance"

    def test_archives_by_leaving_the_sku_out_of_the_next_version(self) -> None:
        plan = make_plan()
        sku, other = make_sku(plan), make_sku(plan)
        publish(plan)

        change(sku, status=CatalogStatus.ARCHIVED)

        sku.refresh_from_db()
        assert sku.status == "Archived"
        assert list(Price.objects.filter(sku=sku).values_list("plan_version__number", flat=True)) == [1]
        assert get_price(other, version=2).position == 1
        assert AuditEntry.objects.get(action="sku.updated").changes == {"status": ["Active", "Archived"]}

    def test_archives_in_an_unpublished_version_in_place(self) -> None:
        plan = make_plan()
        sku = make_sku(plan)

        change(sku, status=CatalogStatus.ARCHIVED)

        assert list_numbers(plan) == [1]
        assert not Price.objects.exists()

    @pytest.mark.parametrize(
        "changes", [{"name": "New"}, {"status": CatalogStatus.ACTIVE}, {"params": {"unit_amount_nanos": "1"}}]
    )
    def test_leaves_an_archived_sku_as_it_is(self, changes: dict[str, Any]) -> None:
        plan = make_plan()
        sku = make_sku(plan)
        change(sku, status=CatalogStatus.ARCHIVED)

        with pytest.raises(SkuArchived):
            change(sku, **changes)

        change(sku)  # Nothing is no change, and neither is what it is already.
        change(sku, status=CatalogStatus.ARCHIVED)
        sku.refresh_from_db()
        assert (sku.name, sku.status) == ("Input Tokens", "Archived")
        assert AuditEntry.objects.filter(action="sku.updated").count() == 1

    def test_refuses_an_unknown_sku(self) -> None:
        with pytest.raises(NotFound):
            update_sku(sku_id=make_id(), changes={"name": "New"}, at=NOON, actor=TESTER)
