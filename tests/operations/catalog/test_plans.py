"""Plans, and the versions that changes of their terms make."""

from typing import Any

import pytest

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from catalog.models import Anchor, BillingCadence, CatalogStatus, Plan, PlanVersion, TrialUsage
from catalog.models.plans import MAX_TRIAL_DAYS
from catalog.operations import PlanTerms, create_plan, update_plan, update_product
from catalog.operations.plans import ProductArchived, TrialTooLong, UnknownProduct
from catalog.queries import get_latest_version
from tests.factories.catalog import get_price, make_plan, make_product, make_sku, publish
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db


def change(plan: Plan, **changes: Any) -> None:
    update_plan(plan_id=plan.pk, changes=changes, at=NOON, actor=TESTER)  # type: ignore[arg-type]


def list_numbers(plan: Plan) -> list[int]:
    return list(PlanVersion.objects.filter(plan=plan).order_by("number").values_list("number", flat=True))


class TestCreatePlan:
    def test_makes_the_first_version_with_the_terms(self) -> None:
        terms = PlanTerms(
            billing_cadence=BillingCadence.QUARTERLY,
            anchor=Anchor.CALENDAR,
            trial_days=14,
            trial_usage=TrialUsage.FREE,
        )
        plan = create_plan(name="Pro", description="For teams", terms=terms, at=NOON, actor=TESTER)

        version = get_latest_version(plan.pk)
        assert (version.plan.name, version.plan.description, version.plan.product) == (
            "Pro",
            "For teams",
            None,
        )
        assert (version.number, version.is_published) == (1, False)
        assert (version.billing_cadence, version.anchor, version.trial_days, version.trial_usage) == (
            "Quarterly",
            "Calendar",
            14,
            "Free",
        )

    def test_has_no_trial_unless_asked(self) -> None:
        terms = PlanTerms(billing_cadence=BillingCadence.MONTHLY)
        plan = create_plan(name="Pro", terms=terms, at=NOON, actor=TESTER)

        version = get_latest_version(plan.pk)
        assert (version.trial_days, version.trial_usage, version.anchor) == (0, "Billed", "Anniversary")

    def test_is_recorded_with_its_terms(self) -> None:
        product = make_product()
        plan = make_plan(name="Pro", product_id=product.pk, trial_days=14)

        entry = AuditEntry.objects.get(action="plan.created")
        assert (entry.subject_type, entry.subject_id) == ("catalog.Plan", str(plan.pk))
        assert entry.changes == {
            "name": [None, "Pro"],
            "description": [None, ""],
            "product_id": [None, str(product.pk)],
            "status": [None, "Active"],
            "billing_cadence": [None, "Monthly"],
            "anchor": [None, "Anniversary"],
            "trial_days": [None, 14],
            "trial_usage": [None, "Billed"],
        }

    def test_refuses_an_unknown_product(self) -> None:
        with pytest.raises(UnknownProduct) as caught:
            make_plan(product_id=make_id())

        assert [error.field for error in caught.value.errors] == ["product_id"]
        assert not Plan.objects.exists()

    def test_refuses_an_archived_product(self) -> None:
        product = make_product()
        archive = CatalogStatus.ARCHIVED
        update_product(product_id=product.pk, changes={"status": archive}, at=NOON, actor=TESTER)

        with pytest.raises(ProductArchived):
            make_plan(product_id=product.pk)

        assert not Plan.objects.exists()

    def test_refuses_a_trial_without_an_end_in_sight(self) -> None:
        make_plan(trial_days=MAX_TRIAL_DAYS)

        with pytest.raises(TrialTooLong) as caught:
            make_plan(trial_days=MAX_TRIAL_DAYS + 1)

        assert [error.field for error in caught.value.errors] == ["trial_days"]
        assert Plan.objects.count() == 1


class TestUpdatePlan:
    def test_changes_an_unpublished_version_in_place(self) -> None:
        plan = make_plan(trial_days=14)

        change(plan, trial_days=30, anchor=Anchor.CALENDAR)

        version = get_latest_version(plan.pk)
        assert (version.number, version.trial_days, version.anchor) == (1, 30, "Calendar")
        entry = AuditEntry.objects.get(action="plan.updated")
        assert entry.changes == {"trial_days": [14, 30], "anchor": ["Anniversary", "Calendar"]}

    def test_makes_the_next_version_of_a_published_one(self) -> None:
        plan = make_plan(trial_days=14)
        sku = make_sku(plan)
        first = publish(plan)

        change(plan, trial_days=30)

        second = get_latest_version(plan.pk)
        first.refresh_from_db()
        assert (first.number, first.trial_days) == (1, 14)
        assert (second.number, second.trial_days, second.is_published) == (2, 30, False)
        assert second.billing_cadence == first.billing_cadence
        old, new = get_price(sku, version=1), get_price(sku, version=2)
        assert old.pk != new.pk
        assert (new.params, new.currency, new.meter, new.position) == (
            old.params,
            old.currency,
            old.meter,
            old.position,
        )

    def test_goes_on_in_the_version_that_it_has_made(self) -> None:
        plan = make_plan(trial_days=14)
        publish(plan)

        change(plan, trial_days=30)
        change(plan, trial_usage=TrialUsage.FREE)

        assert list_numbers(plan) == [1, 2]
        version = get_latest_version(plan.pk)
        assert (version.trial_days, version.trial_usage) == (30, "Free")

    def test_makes_no_version_for_the_same_terms(self) -> None:
        plan = make_plan(trial_days=14)
        publish(plan)

        change(plan, trial_days=14, billing_cadence=BillingCadence.MONTHLY)

        assert list_numbers(plan) == [1]
        assert not AuditEntry.objects.filter(action="plan.updated").exists()

    def test_makes_no_version_for_what_is_not_a_term(self) -> None:
        plan = make_plan(name="Pro")
        product = make_product()
        publish(plan)

        change(plan, name="Pro+", status=CatalogStatus.ARCHIVED, product_id=product.pk)

        plan.refresh_from_db()
        assert (plan.name, plan.status, plan.product_id) == ("Pro+", "Archived", product.pk)
        assert list_numbers(plan) == [1]

    def test_records_the_next_version_apart(self) -> None:
        plan = make_plan(trial_days=14)
        publish(plan)

        change(plan, trial_days=30)

        entry = AuditEntry.objects.get(action="plan_version.created")
        assert entry.subject_id == str(get_latest_version(plan.pk).pk)
        assert entry.changes["number"] == [None, 2]
        assert AuditEntry.objects.get(action="plan.updated").changes == {"trial_days": [14, 30]}

    def test_takes_the_product_away(self) -> None:
        plan = make_plan(product_id=make_product().pk)

        change(plan, product_id=None)

        plan.refresh_from_db()
        assert plan.product is None

    def test_refuses_an_unknown_product_and_changes_nothing(self) -> None:
        plan = make_plan(name="Pro")

        with pytest.raises(UnknownProduct):
            change(plan, name="Pro+", product_id=make_id())

        plan.refresh_from_db()
        assert plan.name == "Pro"

    def test_keeps_an_archived_product_that_it_has(self) -> None:
        product = make_product()
        plan = make_plan(product_id=product.pk)
        archive = CatalogStatus.ARCHIVED
        update_product(product_id=product.pk, changes={"status": archive}, at=NOON, actor=TESTER)

        change(plan, name="Pro+", product_id=product.pk)

        plan.refresh_from_db()
        assert plan.name == "Pro+"

    def test_refuses_a_trial_without_an_end_in_sight(self) -> None:
        plan = make_plan(trial_days=14)
        publish(plan)

        with pytest.raises(TrialTooLong):
            change(plan, name="Pro+", trial_days=MAX_TRIAL_DAYS + 1)

        assert list_numbers(plan) == [1]

    def test_refuses_an_unknown_plan(self) -> None:
        with pytest.raises(NotFound):
            update_plan(plan_id=make_id(), changes={"name": "Pro"}, at=NOON, actor=TESTER)
