"""Plan versions: the next one, the published one, and what the database does not let happen to that."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry
from catalog.locks import lock_latest_version
from catalog.models import PlanVersion, Price
from catalog.operations import ensure_editable_version, publish_version, update_plan
from catalog.queries import get_latest_version, read_prices
from tests.factories.catalog import make_plan, make_sku, publish
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db

COPIED = (
    "sku_id",
    "position",
    "pricing_model",
    "params",
    "currency",
    "meter_id",
    "billing_timing",
    "tax_behavior",
    "tax_category",
    "starts_at",
)


class TestEnsureEditableVersion:
    def test_returns_the_latest_as_long_as_it_is_not_published(self) -> None:
        plan = make_plan()

        version = ensure_editable_version(plan_id=plan.pk, at=NOON, actor=TESTER)

        assert version == get_latest_version(plan.pk)
        assert version.number == 1

    def test_copies_terms_and_prices_of_a_published_one(self) -> None:
        plan = make_plan(trial_days=14)
        for name in ("Input", "Output", "Seats"):
            make_sku(plan, name=name, tax_category="saas")
        first = publish(plan)

        second = ensure_editable_version(plan_id=plan.pk, at=NOON, actor=TESTER)

        assert (second.number, second.is_published, second.trial_days) == (2, False, 14)
        prices = read_prices([first.pk, second.pk])
        copies = [[getattr(price, name) for name in COPIED] for price in prices[second.pk]]
        assert copies == [[getattr(price, name) for name in COPIED] for price in prices[first.pk]]
        assert len({price.pk for version in prices.values() for price in version}) == 6

    def test_refuses_an_unknown_plan(self) -> None:
        with pytest.raises(NotFound):
            ensure_editable_version(plan_id=make_id(), at=NOON, actor=TESTER)


class TestPublishVersion:
    def test_sets_the_time_and_records_it(self) -> None:
        plan = make_plan()

        version = publish(plan, at=NOON)

        version.refresh_from_db()
        assert version.published_at == NOON
        entry = AuditEntry.objects.get(action="plan_version.published")
        assert (entry.subject_id, entry.changes) == (
            str(version.pk),
            {"published_at": [None, "2026-02-28T12:00:00Z"]},
        )

    def test_leaves_a_published_one_as_it_is(self) -> None:
        plan = make_plan()
        publish(plan, at=NOON)

        version = publish(plan, at=NOON + timedelta(days=1))

        assert version.published_at == NOON
        assert AuditEntry.objects.filter(action="plan_version.published").count() == 1

    def test_refuses_an_unknown_version(self) -> None:
        with pytest.raises(NotFound):
            publish_version(plan_version_id=make_id(), at=NOON, actor=TESTER)


class TestLockLatestVersion:
    def test_returns_the_latest_with_its_plan(self) -> None:
        plan = make_plan(name="Pro", trial_days=14)
        publish(plan)
        update_plan(plan_id=plan.pk, changes={"trial_days": 30}, at=NOON, actor=TESTER)

        version = lock_latest_version(plan_id=plan.pk)

        assert (version.number, version.plan.name) == (2, "Pro")

    def test_refuses_an_unknown_plan(self) -> None:
        with pytest.raises(NotFound):
            lock_latest_version(plan_id=make_id())


class TestDatabase:
    """A published version and its prices cannot change, whoever tries."""

    @pytest.fixture(autouse=True)
    def published(self) -> PlanVersion:
        plan = make_plan(trial_days=14)
        make_sku(plan)
        return publish(plan)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE catalog_planversion SET trial_days = 30",
            "UPDATE catalog_planversion SET billing_cadence = 'Annual'",
            "UPDATE catalog_planversion SET anchor = 'Calendar'",
            "UPDATE catalog_planversion SET trial_usage = 'Free'",
            "UPDATE catalog_planversion SET published_at = NULL",
            "UPDATE catalog_planversion SET published_at = now()",
            "UPDATE catalog_planversion SET number = 2",
            "UPDATE catalog_price SET params = '{}'",
            "UPDATE catalog_price SET currency = 'EUR'",
            "UPDATE catalog_price SET meter_id = NULL",
            "UPDATE catalog_price SET position = 1",
            "DELETE FROM catalog_price",
            "INSERT INTO catalog_price SELECT gen_random_uuid(), now(), position, pricing_model, params, currency, "
            "billing_timing, tax_behavior, tax_category, created_at, meter_id, plan_version_id, sku_id "
            "FROM catalog_price",
            "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE catalog_price",
        ],
    )
    def test_refuses(self, statement: str) -> None:
        with pytest.raises(IntegrityError, match="is refused"), transaction.atomic():
            run(statement)

        assert Price.objects.count() == 1

    def test_refuses_to_move_a_price_into_a_published_version(self, published: PlanVersion) -> None:
        other = make_plan()
        make_sku(other)

        with pytest.raises(
            IntegrityError, match="catalog_price belongs to a frozen parent: UPDATE is refused"
        ):
            run(
                "UPDATE catalog_price SET plan_version_id = "
                f"(SELECT id FROM catalog_planversion WHERE plan_id = '{published.plan_id}') "
                f"WHERE plan_version_id <> '{published.pk}'"
            )

    def test_lets_an_unpublished_version_change(self, published: PlanVersion) -> None:
        version = ensure_editable_version(plan_id=published.plan_id, at=NOON, actor=TESTER)

        run(f"UPDATE catalog_price SET position = 7 WHERE plan_version_id = '{version.pk}'")
        run(f"DELETE FROM catalog_price WHERE plan_version_id = '{version.pk}'")

        assert read_prices([version.pk])[version.pk] == ()

    def test_refuses_two_prices_of_a_sku_in_one_version(self, published: PlanVersion) -> None:
        version = ensure_editable_version(plan_id=published.plan_id, at=NOON, actor=TESTER)
        price = Price.objects.get(plan_version=version)
        price.pk = make_id()

        with (
            pytest.raises(IntegrityError, match="price_is_unique_for_version_sku_and_start"),
            transaction.atomic(),
        ):
            price.save(force_insert=True)


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
