"""Taking subscriptions from one version of a plan to another."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from billing_project.core.models import ApiKeyKind, AuditEntry
from catalog.models import BillingTiming, Plan, PricingModel
from catalog.operations import update_sku
from subscriptions.models import PlannedChange, Subscription
from subscriptions.operations import When, cancel_subscription
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER, drain_outbox, make_client
from tests.factories.subscriptions import find_breaches, subscribe

pytestmark = pytest.mark.django_db

DOLLAR = 10**12


@pytest.fixture
def client() -> APIClient:
    return make_client()


@pytest.fixture
def plan() -> Plan:
    """A plan whose second version costs twice as much as the first, and has a subscription of its own."""
    plan = make_plan()
    sku = make_sku(
        plan,
        name="Seats",
        meter=None,
        pricing_model=PricingModel.PER_UNIT,
        params={"unit_amount_nanos": str(28 * DOLLAR)},
        billing_timing=BillingTiming.ARREARS,
    )
    subscribe(plan=plan)
    params = {"unit_amount_nanos": str(56 * DOLLAR)}
    update_sku(sku_id=sku.pk, changes={"params": params}, at=NOON, actor=TESTER)
    return plan


def migrate(client: APIClient, plan: Plan, **body: Any) -> Any:
    return client.post(
        f"/admin/v1/catalog/plans/{plan.pk}/migrate",
        {"from_version": 1, "to_version": 2, "when": "PeriodEnd", **body},
    )


class TestMigrate:
    def test_takes_all_over_in_the_background(self, client: APIClient, plan: Plan) -> None:
        answer = migrate(client, plan, when="Now")

        assert (answer.status_code, answer.json()) == (202, {"subscription_count": 1, "previews": []})
        drain_outbox()
        assert Subscription.objects.get().plan_version.number == 2
        assert AuditEntry.objects.get(action="plan.migration_started").changes["to_version"] == [None, 2]
        assert find_breaches() == []
        assert migrate(client, plan).json()["subscription_count"] == 0

    def test_plans_it_for_the_next_period(self, client: APIClient, plan: Plan) -> None:
        migrate(client, plan)
        drain_outbox()

        assert PlannedChange.objects.get().plan_version == plan.versions.get(number=2)
        assert migrate(client, plan).json()["subscription_count"] == 0

    def test_takes_over_those_that_are_named(self, client: APIClient, plan: Plan) -> None:
        first = Subscription.objects.get()

        answer = migrate(client, plan, subscription_ids=[str(plan.pk)])

        assert answer.json()["subscription_count"] == 0
        assert migrate(client, plan, subscription_ids=[str(first.pk)]).json()["subscription_count"] == 1

    def test_leaves_out_what_ends(self, client: APIClient, plan: Plan) -> None:
        subscription = Subscription.objects.get()
        cancel_subscription(subscription_id=subscription.pk, when=When.PERIOD_END, at=NOON, actor=TESTER)

        assert migrate(client, plan).json()["subscription_count"] == 0

    def test_goes_on_until_all_are_taken_over(
        self, client: APIClient, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("subscriptions.operations.migrating.SUBSCRIPTIONS_PER_STEP", 1)
        first = Subscription.objects.get()
        # On the first version, as those are that came before the second.
        for _ in range(3):
            made = subscribe(plan=plan)
            migrate(client, plan, from_version=2, to_version=1, subscription_ids=[str(made.pk)], when="Now")
        drain_outbox()
        assert Subscription.objects.filter(plan_version=first.plan_version).count() == 4

        assert migrate(client, plan, when="Now").json()["subscription_count"] == 4
        drain_outbox()

        assert Subscription.objects.filter(plan_version=first.plan_version).count() == 0
        assert find_breaches() == []

    def test_tells_what_it_comes_to(self, client: APIClient, plan: Plan) -> None:
        answer = migrate(client, plan, preview=True)

        assert answer.status_code == 200
        (shown,) = answer.json()["previews"]
        assert shown["problem"] is None
        fees = [shown["preview"][name][0]["amount_nanos"] for name in ("next_fees_before", "next_fees_after")]
        assert fees == [str(28 * DOLLAR), str(56 * DOLLAR)]
        assert not PlannedChange.objects.exists()

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"to_version": 1}, 422),
            ({"to_version": 7}, 404),
            ({"from_version": 0}, 422),
            ({"when": "Soon"}, 422),
        ],
    )
    def test_refuses(self, client: APIClient, plan: Plan, body: dict[str, Any], status: int) -> None:
        assert migrate(client, plan, **body).status_code == status
        drain_outbox()
        assert not PlannedChange.objects.exists()

    @pytest.mark.parametrize(
        ("scopes", "status"),
        [(["subscriptions:write"], 202), (["subscriptions:read"], 403), (["catalog:write"], 403)],
    )
    def test_asks_for_the_scope(self, plan: Plan, scopes: list[str], status: int) -> None:
        client = make_client(kind=ApiKeyKind.RESTRICTED, scopes=scopes)

        assert migrate(client, plan).status_code == status
