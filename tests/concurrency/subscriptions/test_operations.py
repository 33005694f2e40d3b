"""Operations on the same subscription, or the same plan, from many sides at once."""

import random
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction

from billing_project.core.models import AuditEntry, OutboxEvent
from catalog.models import BillingCadence, PlanVersion
from customers.models import Customer
from subscriptions.locks import lock_slots_shared
from subscriptions.models import Period, PlannedChange, Segment, Subscription, SubscriptionStatus
from subscriptions.operations import (
    When,
    cancel_subscription,
    close_period,
    ensure_periods,
    roll_subscription,
)
from subscriptions.operations.cancellation import CancellationAlreadyPlanned
from subscriptions.operations.planning import SubscriptionEnded
from subscriptions.operations.settling import EarlierPeriodOpen, PeriodNotEnded
from tests.concurrency.racing import Meeting, errors_of, race
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.subscriptions import find_breaches, subscribe, utc

pytestmark = pytest.mark.django_db(transaction=True)

END = utc(2026, 3, 28)


def count_events(name: str) -> int:
    return OutboxEvent.objects.filter(name=name).count()


class TestLockSubscription:
    @pytest.mark.parametrize("model", [Customer, Subscription])
    def test_waits_for_whoever_works_on_it_or_on_its_customer(
        self, model: type[Customer | Subscription]
    ) -> None:
        subscription = subscribe()
        meeting = Meeting()

        def work() -> bool:
            with transaction.atomic():
                model._default_manager.select_for_update(no_key=True).get()
                meeting.stop_inside()
                return meeting.is_second_done.is_set()

        def roll() -> None:
            with meeting.entering_second():
                roll_subscription(subscription_id=subscription.pk, at=NOON, actor=TESTER)

        assert race(work, roll) == [False, None]


class TestCreateSubscription:
    def test_publishes_a_version_once(self) -> None:
        plan, customer = make_plan(), make_customer()
        customers = [customer, make_customer(), make_customer(), make_customer()]

        made = race(*[partial(subscribe, customer=each, plan=plan) for each in customers])

        assert errors_of(made) == []
        assert {subscription.plan_version_id for subscription in made} == {PlanVersion.objects.get().pk}
        assert AuditEntry.objects.filter(action="plan_version.published").count() == 1
        assert find_breaches() == []

    def test_has_an_item_for_each_sku_of_its_version_whatever_is_added_meanwhile(self) -> None:
        for _ in range(5):
            plan, customer = make_plan(), make_customer()
            make_sku(plan, meter=None)

            outcomes = race(
                partial(subscribe, customer=customer, plan=plan), partial(make_sku, plan, meter=None)
            )

            assert errors_of(outcomes) == []
            version = outcomes[0].plan_version
            assert version.number == 1
            assert outcomes[0].items.count() == version.prices.count()
        assert find_breaches() == []


class TestEnsurePeriods:
    def test_makes_each_row_once(self) -> None:
        plan, customer = make_plan(billing_cadence=BillingCadence.WEEKLY), make_customer()
        ids = [subscribe(plan=plan, customer=customer).pk for _ in range(10)]

        def ensure(seed: int) -> None:
            order = random.Random(seed).sample(ids, len(ids))
            with transaction.atomic():
                lock_slots_shared(order)
                ensure_periods(subscription_ids=order, until=NOON + timedelta(weeks=20))

        assert race(*[partial(ensure, seed) for seed in range(8)]) == [None] * 8
        assert Period.objects.count() == Segment.objects.count() == 10 * 21
        assert find_breaches() == []


class TestRollSubscription:
    def test_ends_a_trial_once(self) -> None:
        subscription = subscribe(trial_days=14)
        roll = partial(roll_subscription, subscription_id=subscription.pk, at=utc(2026, 3, 15), actor=TESTER)

        outcomes = race(*[roll] * 6)

        assert {each.status for each in outcomes} == {SubscriptionStatus.ACTIVE}
        assert count_events("subscription.updated") == 1
        assert find_breaches() == []

    def test_carries_out_a_planned_end_once(self) -> None:
        subscription = subscribe()
        cancel_subscription(subscription_id=subscription.pk, when=When.PERIOD_END, at=NOON, actor=TESTER)

        outcomes = race(
            *[partial(roll_subscription, subscription_id=subscription.pk, at=END, actor=TESTER)] * 6
        )

        assert {each.status for each in outcomes} == {SubscriptionStatus.CANCELLED}
        assert count_events("subscription.cancelled") == 1
        assert AuditEntry.objects.filter(action="subscription.cancelled").count() == 1


class TestCancelSubscription:
    def test_happens_once_at_once(self) -> None:
        subscription = subscribe()
        outcomes = race(
            *[
                partial(
                    cancel_subscription,
                    subscription_id=subscription.pk,
                    when=When.NOW,
                    at=NOON + timedelta(seconds=seconds),
                    actor=TESTER,
                )
                for seconds in range(6)
            ]
        )

        errors = errors_of(outcomes)
        assert [type(error) for error in errors] == [SubscriptionEnded] * 5
        (cancelled,) = [outcome for outcome in outcomes if isinstance(outcome, Subscription)]
        assert cancelled.ends_at == Subscription.objects.get().ends_at == Period.objects.get().ends_at
        assert count_events("subscription.cancelled") == 1
        assert find_breaches() == []

    def test_is_planned_once(self) -> None:
        subscription = subscribe()
        plan_end = partial(
            cancel_subscription,
            subscription_id=subscription.pk,
            when=When.PERIOD_END,
            at=NOON,
            actor=TESTER,
        )

        outcomes = race(*[plan_end] * 6)

        assert [type(error) for error in errors_of(outcomes)] == [CancellationAlreadyPlanned] * 5
        assert PlannedChange.objects.count() == 1

    @pytest.mark.parametrize("seed", range(4))
    def test_leaves_the_periods_tiled_whatever_else_happens(self, seed: int) -> None:
        """A week of days, ended somewhere in it, while a run rolls and closes and ingest makes periods."""
        plan = make_plan(billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(plan=plan, at=utc(2026, 3, 1, 12))
        chance = random.Random(seed)
        instants = sorted(utc(2026, 3, 1, 13) + chance.random() * timedelta(days=7) for _ in range(6))

        def cancel() -> None:
            cancel_subscription(subscription_id=subscription.pk, when=When.NOW, at=instants[3], actor=TESTER)

        def roll() -> None:
            for at in instants:
                roll_subscription(subscription_id=subscription.pk, at=at, actor=TESTER)

        def ensure() -> None:
            for at in instants:
                with transaction.atomic():
                    lock_slots_shared([subscription.pk])
                    ensure_periods(subscription_ids=[subscription.pk], until=at + timedelta(hours=1))

        def close() -> None:
            for at in instants:
                for period in Period.objects.filter(subscription=subscription).order_by("number"):
                    try:
                        close_period(period_id=period.pk, at=min(at, instants[3]), actor=TESTER)
                    except (PeriodNotEnded, EarlierPeriodOpen):
                        break

        assert race(cancel, roll, ensure, close) == [None] * 4
        subscription.refresh_from_db()
        assert subscription.status == SubscriptionStatus.CANCELLED
        assert subscription.ends_at == instants[3]
        assert find_breaches() == []
