"""Every check of the app notices the damage that it is there for, and nothing else does."""

from datetime import datetime, timedelta

import pytest
from django.db import connection

from billing_project.core import invariants
from catalog.models import Plan
from subscriptions.models import Period, PlannedChange, Segment, Subscription, SubscriptionItem
from subscriptions.operations import (
    When,
    cancel_subscription,
    close_period,
    ensure_periods,
    pause_subscription,
    resume_subscription,
)
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.subscriptions import subscribe, utc

pytestmark = pytest.mark.django_db

END = utc(2026, 3, 28)
DAY = timedelta(days=1)

PERIODS = "periods tile"
SEGMENTS = "segments tile their period"
CLOSING = "periods close in order, after their end"
ENDS = "subscriptions end with their last period, as planned"
CHANGES = "open periods lie as the changes say"
ITEMS = "subscriptions have an item for each SKU"


@pytest.fixture
def subscription() -> Subscription:
    """A subscription with three periods."""
    plan = make_plan()
    make_sku(plan, meter=None)
    made = subscribe(plan=plan)
    ensure_periods(subscription_ids=[made.pk], until=utc(2026, 5, 1))
    assert find() == {}
    return made


def find() -> dict[str, tuple[str, ...]]:
    """Run the checks of this app, and return those that complain."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return {found.name: found.breaches for found in invariants.run_checks() if found.breaches}


def cancel(subscription: Subscription, when: When) -> None:
    cancel_subscription(subscription_id=subscription.pk, when=when, at=NOON + DAY, actor=TESTER)


class TestCheckPeriods:
    def test_sees_a_gap(self, subscription: Subscription) -> None:
        Period.objects.filter(number=1).update(starts_at=END + DAY)
        Segment.objects.filter(period__number=1).update(starts_at=END + DAY)
        period, problem = Period.objects.get(number=1), "does not start where the one before it ends."

        assert find() == {PERIODS: (f"Period 1 of subscription {subscription.pk} ({period.pk}) {problem}",)}

    def test_sees_an_overlap(self, subscription: Subscription) -> None:
        Period.objects.filter(number=0).update(ends_at=END + DAY, closes_at=END + DAY)
        Segment.objects.filter(period__number=0).update(ends_at=END + DAY)

        assert find().keys() == {PERIODS}

    def test_sees_a_start_that_is_not_the_subscription_s(self, subscription: Subscription) -> None:
        Subscription.objects.update(starts_at=NOON - DAY)

        (breach,) = find()[PERIODS]
        assert breach.endswith("does not start with the subscription.")

    def test_sees_a_number_left_out(self, subscription: Subscription) -> None:
        Segment.objects.filter(period__number=1).delete()
        Period.objects.filter(number=1).delete()

        (breach,) = find()[PERIODS]
        assert breach.startswith("Period 2 ")
        assert breach.endswith("does not follow the number before it.")


class TestCheckSegments:
    def test_sees_a_period_without_one(self, subscription: Subscription) -> None:
        Segment.objects.filter(period__number=1).delete()
        period = Period.objects.get(number=1)

        assert find() == {
            SEGMENTS: (
                f"Period 1 of subscription {subscription.pk} ({period.pk}) is not tiled by its segments.",
            )
        }

    @pytest.mark.parametrize("field", ["starts_at", "ends_at"])
    def test_sees_one_that_is_too_short(self, subscription: Subscription, field: str) -> None:
        Segment.objects.filter(period__number=1).update(**{field: END + DAY})

        assert find().keys() == {SEGMENTS}

    @pytest.mark.parametrize(
        ("position", "starts_at", "is_whole"),
        [(1, END + DAY, True), (1, END + 2 * DAY, False), (2, END + DAY, False)],
    )
    def test_sees_what_lies_between_two(
        self, subscription: Subscription, position: int, starts_at: datetime, *, is_whole: bool
    ) -> None:
        first = Segment.objects.get(period__number=1)
        Segment.objects.create(
            period=first.period,
            subscription=subscription,
            plan_version=first.plan_version,
            position=position,
            starts_at=starts_at,
            ends_at=first.ends_at,
        )
        Segment.objects.filter(pk=first.pk).update(ends_at=END + DAY)

        assert (find() == {}) is is_whole

    def test_sees_one_of_another_subscription(self, subscription: Subscription) -> None:
        Segment.objects.filter(period__number=1).update(subscription=subscribe(plan=Plan.objects.get()))

        assert find().keys() == {SEGMENTS}


class TestCheckClosing:
    def test_sees_an_open_period_before_a_closed_one(self, subscription: Subscription) -> None:
        Period.objects.filter(number=1).update(closed_at=utc(2026, 4, 28))

        (breach,) = find()[CLOSING]
        assert breach.startswith("Period 1 ")
        assert breach.endswith("is closed, and one before it is open.")

    def test_sees_one_closed_before_its_end(self, subscription: Subscription) -> None:
        Period.objects.filter(number=0).update(closed_at=END - DAY)

        (breach,) = find()[CLOSING]
        assert breach.endswith("was closed before its end.")

    def test_sees_one_that_is_to_close_too_soon(self, subscription: Subscription) -> None:
        Period.objects.filter(number=0).update(closes_at=END + 60 * DAY)

        (breach,) = find()[CLOSING]
        assert breach.startswith("Period 1 ")
        assert breach.endswith("is to close before the one before it.")

    def test_accepts_periods_closed_in_order(self, subscription: Subscription) -> None:
        for period in Period.objects.order_by("number")[:2]:
            close_period(period_id=period.pk, at=period.closes_at, actor=TESTER)

        assert find() == {}


class TestCheckEnds:
    def test_sees_a_subscription_without_periods(self, subscription: Subscription) -> None:
        Segment.objects.all().delete()
        Period.objects.all().delete()

        assert find() == {ENDS: (f"Subscription {subscription.pk} has no period.",)}

    def test_sees_an_end_that_is_not_that_of_the_periods(self, subscription: Subscription) -> None:
        cancel(subscription, When.NOW)
        Subscription.objects.update(ends_at=END)

        assert find()[ENDS] == (
            f"Subscription {subscription.pk} ends at another instant than its last period.",
        )

    def test_sees_an_end_that_nobody_planned(self, subscription: Subscription) -> None:
        cancel(subscription, When.PERIOD_END)
        PlannedChange.objects.update(withdrawn_at=NOON)

        assert find() == {ENDS: (f"Subscription {subscription.pk} has an end that is not planned.",)}

    def test_sees_a_plan_for_another_instant(self, subscription: Subscription) -> None:
        cancel(subscription, When.PERIOD_END)
        PlannedChange.objects.update(effective_at=END + DAY)

        assert find() == {ENDS: (f"Subscription {subscription.pk} has a planned end that is not its own.",)}

    def test_sees_a_plan_for_a_subscription_without_an_end(self, subscription: Subscription) -> None:
        PlannedChange.objects.create(subscription=subscription, kind="Cancel", effective_at=END)

        assert find().keys() == {ENDS}

    def test_sees_a_plan_for_what_is_cancelled(self, subscription: Subscription) -> None:
        cancel(subscription, When.NOW)
        PlannedChange.objects.create(subscription=subscription, kind="Cancel", effective_at=NOON + DAY)

        assert find() == {
            ENDS: (f"Subscription {subscription.pk} is cancelled, and an end is still planned.",)
        }


class TestCheckItems:
    def test_sees_a_sku_without_an_item(self, subscription: Subscription) -> None:
        item = SubscriptionItem.objects.get()
        item.delete()

        assert find() == {ITEMS: (f"Subscription {subscription.pk} has no item for SKU {item.sku_id}.",)}


class TestCheckChanges:
    @pytest.fixture
    def subscription(self) -> Subscription:
        """Pause a subscription for some days of its first period."""
        subscription = subscribe()
        for move, day in ((pause_subscription, 5), (resume_subscription, 10)):
            move(subscription_id=subscription.pk, when=utc(2026, 3, day), at=NOON, actor=TESTER)
        return subscription

    def test_finds_nothing_wrong(self, subscription: Subscription) -> None:
        assert Segment.objects.count() == 3
        assert find() == {}

    def test_sees_bounds_that_are_not_those_of_the_schedule(self, subscription: Subscription) -> None:
        Period.objects.update(ends_at=END - DAY)
        Segment.objects.filter(position=2).update(ends_at=END - DAY)

        assert find() == {CHANGES: (f"Period 0 of subscription {subscription.pk} is not as scheduled.",)}

    @pytest.mark.parametrize(
        ("position", "values"),
        [(1, {"is_paused": False}), (1, {"quantities": {"x": "1"}}), (2, {"overrides": {"x": {}}})],
    )
    def test_sees_terms_that_nothing_has_changed(
        self, subscription: Subscription, position: int, values: dict[str, object]
    ) -> None:
        Segment.objects.filter(position=position).update(**values)

        assert find() == {CHANGES: (f"Period 0 of subscription {subscription.pk} is not parted as changed.",)}

    def test_sees_a_change_that_is_not_laid_into_the_period(self, subscription: Subscription) -> None:
        PlannedChange.objects.filter(kind="Pause").update(effective_at=utc(2026, 3, 7))

        assert find() == {CHANGES: (f"Period 0 of subscription {subscription.pk} is not parted as changed.",)}
