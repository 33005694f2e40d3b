"""Operations on the catalogue from many sides at once."""

from collections.abc import Iterator
from functools import partial
from uuid import UUID

import pytest
from django.db import transaction

from billing_project.core import invariants
from billing_project.core.models import AuditEntry, OutboxEvent
from catalog.locks import lock_latest_version
from catalog.models import CatalogStatus, Meter, Plan, PlanVersion, Price, Sku
from catalog.operations import (
    MeterDefinition,
    create_meter,
    find_or_make_meter,
    publish_version,
    update_meter,
    update_plan,
    update_sku,
    versions,
)
from catalog.operations.meters import MeterCodeTaken, MeterInUse
from catalog.operations.skus import MeterArchived
from catalog.queries import get_latest_version, get_plan_version
from tests.concurrency.racing import Meeting, errors_of, race
from tests.factories.catalog import INPUT_TOKENS, get_price, make_plan, make_sku, publish
from tests.factories.core import NOON, TESTER

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def in_order() -> Iterator[None]:
    """After each race, the catalogue is as it must be."""
    yield
    breaches = [breach for finding in invariants.run_checks() for breach in finding.breaches]
    assert breaches == []


def list_events() -> list[str]:
    return list(OutboxEvent.objects.order_by("position").values_list("name", flat=True))


def list_numbers(plan: Plan) -> list[int]:
    return list(PlanVersion.objects.filter(plan=plan).order_by("number").values_list("number", flat=True))


class TestAddSku:
    def test_makes_one_next_version_of_a_published_plan(self) -> None:
        plan = make_plan()
        make_sku(plan, name="Old")
        publish(plan)

        outcomes = race(*[partial(make_sku, plan, name=f"New {number}") for number in range(8)])

        assert errors_of(outcomes) == []
        assert list_numbers(plan) == [1, 2]
        positions = Price.objects.filter(plan_version__number=2).values_list("position", flat=True)
        assert sorted(positions) == list(range(9))
        assert AuditEntry.objects.filter(action="plan_version.created").count() == 1

    def test_would_fail_without_the_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = make_plan()
        publish(plan)
        meeting = Meeting()

        def read_latest_version(*, plan_id: UUID) -> PlanVersion:
            return get_latest_version(plan_id)

        monkeypatch.setattr(versions, "lock_latest_version", read_latest_version)

        def begin_first() -> None:
            with transaction.atomic():
                versions.ensure_editable_version(plan_id=plan.pk, at=NOON, actor=TESTER)
                meeting.stop_inside()

        def begin_second() -> None:
            with meeting.entering_second():
                versions.ensure_editable_version(plan_id=plan.pk, at=NOON, actor=TESTER)

        (error,) = errors_of(race(begin_first, begin_second))

        assert "planversion_number_is_unique" in str(error)

    def test_is_in_the_version_that_a_subscription_takes_or_in_the_next(self) -> None:
        for _ in range(5):
            plan = make_plan()
            first = get_latest_version(plan.pk)

            added, published = race(
                partial(make_sku, plan),
                partial(publish_version, plan_version_id=first.pk, at=NOON, actor=TESTER),
            )

            assert published == first
            number = Price.objects.get(sku=added).plan_version.number
            assert list_numbers(plan) == ([1] if number == 1 else [1, 2])

    def test_waits_for_a_subscription_that_publishes(self) -> None:
        plan = make_plan()
        make_sku(plan)
        meeting = Meeting()

        def subscribe() -> int:
            with transaction.atomic():
                version = lock_latest_version(plan_id=plan.pk)
                publish_version(plan_version_id=version.pk, at=NOON, actor=TESTER)
                meeting.stop_inside()
                return Price.objects.filter(plan_version=version).count()

        def add() -> Sku:
            with meeting.entering_second():
                return make_sku(plan)

        seen, added = race(subscribe, add)

        assert seen == 1
        assert Price.objects.get(sku=added).plan_version.number == 2

    def test_makes_one_meter_for_plans_that_share_it(self) -> None:
        plans = [make_plan() for _ in range(8)]

        outcomes = race(*[partial(make_sku, plan) for plan in plans])

        assert errors_of(outcomes) == []
        meter = Meter.objects.get()
        assert set(Price.objects.values_list("meter_id", flat=True)) == {meter.pk}
        assert AuditEntry.objects.filter(action="meter.created").count() == 1


class TestUpdateSku:
    def test_keeps_what_both_have_changed(self) -> None:
        plan = make_plan()
        sku = make_sku(plan)
        publish(plan)
        change = partial(update_sku, sku_id=sku.pk, at=NOON, actor=TESTER)

        outcomes = race(
            partial(change, changes={"params": {"free_units": "5"}}),
            partial(change, changes={"params": {"maximum_nanos": "9"}}),
            partial(change, changes={"tax_category": "saas"}),
        )

        assert errors_of(outcomes) == []
        assert list_numbers(plan) == [1, 2]
        price = get_price(sku, version=2)
        assert price.params == {"unit_amount_nanos": "2000000", "free_units": "5", "maximum_nanos": "9"}
        assert price.tax_category == "saas"


class TestUpdatePlan:
    def test_makes_one_next_version(self) -> None:
        plan = make_plan(trial_days=14)
        publish(plan)

        outcomes = race(
            *[
                partial(update_plan, plan_id=plan.pk, changes={"trial_days": days}, at=NOON, actor=TESTER)
                for days in range(6)
            ]
        )

        assert errors_of(outcomes) == []
        assert list_numbers(plan) == [1, 2]
        assert get_latest_version(plan.pk).trial_days in range(6)


class TestPublishVersion:
    def test_happens_once(self) -> None:
        plan = make_plan()
        version = get_latest_version(plan.pk)

        outcomes = race(*[partial(publish_version, plan_version_id=version.pk, at=NOON, actor=TESTER)] * 8)

        assert errors_of(outcomes) == []
        assert get_plan_version(version.pk).published_at == NOON
        assert AuditEntry.objects.filter(action="plan_version.published").count() == 1


class TestCreateMeter:
    def test_gives_a_code_to_one(self) -> None:
        outcomes = race(*[partial(create_meter, definition=INPUT_TOKENS, at=NOON, actor=TESTER)] * 6)

        refused = errors_of(outcomes)
        assert [type(error) for error in refused] == [MeterCodeTaken] * 5
        assert Meter.objects.count() == 1
        assert list_events() == ["meter.created"]


class TestFindOrMakeMeter:
    def test_gives_everybody_the_one_meter_of_a_code(self) -> None:
        definition = MeterDefinition.read(event_type="llm.completion", group_by=["model"])
        find = partial(find_or_make_meter, definition=definition, code="calls", at=NOON, actor=TESTER)

        outcomes = race(*[find] * 6)

        assert errors_of(outcomes) == []
        assert {meter.pk for meter in outcomes} == {Meter.objects.get().pk}
        assert list_events() == ["meter.created"]


class TestUpdateMeter:
    def test_tells_of_each_change_once_and_in_order(self) -> None:
        meter = create_meter(definition=INPUT_TOKENS, at=NOON, actor=TESTER)
        change = partial(update_meter, meter_id=meter.pk, at=NOON, actor=TESTER)

        outcomes = race(
            *[partial(change, changes={"status": CatalogStatus.ARCHIVED})] * 3,
            *[partial(change, changes={"status": CatalogStatus.ACTIVE})] * 3,
        )

        assert errors_of(outcomes) == []
        changes = list_events()[1:]
        assert changes == ["meter.archived", "meter.restored"] * (len(changes) // 2) + (
            ["meter.archived"] * (len(changes) % 2)
        )
        meter.refresh_from_db()
        assert (meter.status == CatalogStatus.ARCHIVED) == (len(changes) % 2 == 1)

    def test_archives_a_meter_or_lets_a_price_use_it_and_not_both(self) -> None:
        for number in range(5):
            meter = create_meter(definition=INPUT_TOKENS, code=f"tokens-{number}", at=NOON, actor=TESTER)
            plan = make_plan()

            outcomes = race(
                partial(
                    update_meter,
                    meter_id=meter.pk,
                    changes={"status": CatalogStatus.ARCHIVED},
                    at=NOON,
                    actor=TESTER,
                ),
                partial(make_sku, plan, meter=None, meter_code=meter.code),
            )

            (refused,) = errors_of(outcomes)
            assert isinstance(refused, MeterInUse | MeterArchived)
            meter.refresh_from_db()
            assert (meter.status == CatalogStatus.ARCHIVED) == isinstance(refused, MeterArchived)
