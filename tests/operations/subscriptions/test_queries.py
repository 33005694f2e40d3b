"""Reading subscriptions, their items and their periods."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_project.core.errors import NotFound
from billing_project.core.ids import make_id
from catalog.models import BillingCadence
from customers.operations import create_test_clock
from subscriptions.models import ChangeKind, Period, Subscription
from subscriptions.operations import (
    When,
    cancel_subscription,
    close_period,
    ensure_periods,
    set_period_due,
    settle_period,
    uncancel_subscription,
)
from subscriptions.queries import (
    describe_subscription,
    find_due_period,
    find_next_period,
    find_period_at,
    find_planned_change,
    get_period,
    get_schedule,
    get_subscription,
    list_items,
    list_segments,
    read_subscription_details,
)
from subscriptions.schedule import AnchorMode, Cadence
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

END = utc(2026, 3, 28)
MICROSECOND = timedelta(microseconds=1)


def make_two_periods() -> tuple[Subscription, Period, Period]:
    subscription = subscribe()
    ensure_periods(subscription_ids=[subscription.pk], until=END)
    first, second = Period.objects.filter(subscription=subscription).order_by("number")
    return subscription, first, second


def cancel(subscription: Subscription, when: When, at: datetime) -> None:
    cancel_subscription(subscription_id=subscription.pk, when=when, at=at, actor=TESTER)


class TestGetSubscription:
    def test_reads_it_with_its_plan_version(self) -> None:
        subscription = subscribe()

        with CaptureQueriesContext(connection) as queries:
            found = get_subscription(subscription.pk)
            assert found.plan_version.number == 1

        assert found == subscription
        assert len(queries) == 1

    def test_refuses_an_unknown_one(self) -> None:
        with pytest.raises(NotFound):
            get_subscription(make_id())


class TestGetSchedule:
    def test_is_made_of_what_is_stored(self) -> None:
        plan = make_plan(billing_cadence=BillingCadence.QUARTERLY, trial_days=5)
        subscription = subscribe(customer=make_customer(timezone="America/Denver"), plan=plan)

        schedule = get_schedule(get_subscription(subscription.pk))

        (epoch,) = schedule.epochs
        assert (epoch.cadence, epoch.anchor_mode) == (Cadence.QUARTERLY, AnchorMode.ANNIVERSARY)
        assert epoch.anchor_date == subscription.anchor_date == date(2026, 3, 6)
        assert epoch.starts_at == NOON
        assert epoch.timezone == "America/Denver"
        assert epoch.trial_days == 5


class TestListItems:
    def test_keeps_the_order_of_the_plan(self) -> None:
        plan = make_plan()
        skus = [make_sku(plan), make_sku(plan, meter=None), make_sku(plan, meter=None, name="Support")]
        subscription = subscribe(plan=plan)

        assert [item.sku for item in list_items(subscription.pk)] == skus


class TestFindPlannedChange:
    def test_finds_only_what_is_pending(self) -> None:
        subscription = subscribe()
        assert find_planned_change(subscription_id=subscription.pk, kind=ChangeKind.CANCEL) is None
        cancel(subscription, When.PERIOD_END, NOON)

        found = find_planned_change(subscription_id=subscription.pk, kind=ChangeKind.CANCEL)

        assert found is not None
        assert found.effective_at == END
        uncancel_subscription(subscription_id=subscription.pk, at=NOON, actor=TESTER)
        assert find_planned_change(subscription_id=subscription.pk, kind=ChangeKind.CANCEL) is None


class TestGetPeriod:
    def test_refuses_an_unknown_one(self) -> None:
        with pytest.raises(NotFound):
            get_period(make_id())


class TestFindPeriodAt:
    def test_takes_periods_as_half_open(self) -> None:
        subscription, first, second = make_two_periods()

        found = [
            find_period_at(subscription_id=subscription.pk, at=at)
            for at in (
                NOON - MICROSECOND,
                NOON,
                END - MICROSECOND,
                END,
                second.ends_at - MICROSECOND,
                second.ends_at,
            )
        ]

        assert found == [None, first, first, second, second, None]

    def test_finds_no_period_that_came_to_nothing(self) -> None:
        subscription, first, _ = make_two_periods()
        cancel(subscription, When.NOW, END - MICROSECOND)

        assert find_period_at(subscription_id=subscription.pk, at=END - MICROSECOND) is None
        assert find_period_at(subscription_id=subscription.pk, at=END - 2 * MICROSECOND) == first

    def test_uses_an_index_from_the_end(self) -> None:
        daily = make_plan(billing_cadence=BillingCadence.DAILY)
        subscription = subscribe(plan=daily, start_at=NOON - timedelta(days=1_000))

        with connection.cursor() as cursor:
            cursor.execute("ANALYZE subscriptions_period")
            with CaptureQueriesContext(connection) as queries:
                found = find_period_at(subscription_id=subscription.pk, at=NOON)
            cursor.execute(f"EXPLAIN {queries[0]['sql']}")
            plan = "\n".join(line for (line,) in cursor.fetchall())

        assert found is not None
        assert found.number == 999
        assert "Index Scan Backward using period_number_is_unique" in plan


class TestFindNextPeriod:
    def test_finds_the_one_that_follows(self) -> None:
        _, first, second = make_two_periods()

        assert find_next_period(first) == second
        assert find_next_period(second) is None


class TestFindDuePeriod:
    def test_finds_the_earliest_by_number(self) -> None:
        subscription, first, second = make_two_periods()
        set_period_due(period_id=first.pk, due_at=END + timedelta(hours=2))
        set_period_due(period_id=second.pk, due_at=END + timedelta(hours=1))

        def find(at: datetime) -> Period | None:
            return find_due_period(subscription_id=subscription.pk, at=at)

        assert find(END) is None
        assert find(END + timedelta(hours=1)) == second
        assert find(END + timedelta(hours=2)) == first

    def test_passes_over_settled_periods(self) -> None:
        subscription, first, second = make_two_periods()
        close_period(period_id=first.pk, at=END, actor=TESTER)
        settle_period(period_id=first.pk, at=END, actor=TESTER)

        assert find_due_period(subscription_id=subscription.pk, at=second.ends_at) == second


class TestListSegments:
    def test_orders_by_time_and_reads_the_versions(self) -> None:
        _, first, second = make_two_periods()

        with CaptureQueriesContext(connection) as queries:
            segments = list_segments([second.pk, first.pk])
            assert {segment.plan_version.number for segment in segments} == {1}

        assert [segment.period_id for segment in segments] == [first.pk, second.pk]
        assert len(queries) == 1


class TestReadSubscriptionDetails:
    def test_shows_the_period_of_now(self) -> None:
        subscription, first, second = make_two_periods()

        def find(real_now: datetime) -> Period:
            return describe_subscription(subscription, real_now=real_now).current_period

        assert find(END - MICROSECOND) == first
        assert find(END) == second
        # The next one is still to be made: beat is a moment late.
        assert find(second.ends_at) == second

    def test_shows_the_first_period_before_the_start(self) -> None:
        subscription = subscribe(start_at=utc(2026, 5, 1))

        period = describe_subscription(subscription, real_now=NOON).current_period

        assert (period.number, period.starts_at) == (0, utc(2026, 5, 1))

    def test_shows_the_last_period_that_was_one_after_the_end(self) -> None:
        subscription, first, _ = make_two_periods()
        cancel(subscription, When.NOW, END - MICROSECOND)

        assert describe_subscription(subscription, real_now=utc(2027, 1, 1)).current_period == first

    def test_shows_the_only_period_of_what_never_began(self) -> None:
        subscription = subscribe(start_at=utc(2026, 5, 1))
        cancel(subscription, When.NOW, NOON)

        assert describe_subscription(subscription, real_now=utc(2027, 1, 1)).current_period.number == 0

    def test_goes_by_the_customer_s_test_clock(self) -> None:
        clock = create_test_clock(now_at=END, at=NOON, actor=TESTER)
        customer = make_customer(test_clock_id=clock.pk)
        subscription = subscribe(customer=customer)
        ensure_periods(subscription_ids=[subscription.pk], until=END)

        details = describe_subscription(subscription, real_now=NOON)

        assert details.current_period.number == 1

    def test_tells_when_a_trial_ends(self) -> None:
        assert describe_subscription(subscribe(), real_now=NOON).trial_ends_at is None
        assert describe_subscription(subscribe(trial_days=14), real_now=NOON).trial_ends_at == utc(
            2026, 3, 15
        )

    def test_names_the_meters_of_the_items(self) -> None:
        plan = make_plan()
        make_sku(plan)
        seats = make_sku(plan, meter=None)
        subscription = subscribe(plan=plan, quantities={seats.pk: Decimal(3)})

        tokens, licensed = describe_subscription(subscription, real_now=NOON).items

        assert (tokens.meter_code, tokens.item.quantity) == ("llm.completion.input_tokens", None)
        assert (licensed.meter_code, licensed.item.quantity) == (None, Decimal(3))

    def test_makes_the_same_queries_for_many(self) -> None:
        customer = make_customer()
        for _ in range(4):
            plan = make_plan()
            make_sku(plan)
            subscribe(customer=customer, plan=plan)
        subscriptions = list(Subscription.objects.select_related("plan_version").order_by("-pk"))

        with CaptureQueriesContext(connection) as for_many:
            details = read_subscription_details(subscriptions, real_now=NOON)
        with CaptureQueriesContext(connection) as for_one:
            describe_subscription(subscriptions[0], real_now=NOON)

        assert [each.subscription for each in details] == subscriptions
        assert len(for_many) == len(for_one) == 4
