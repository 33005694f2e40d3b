"""Making the rows of billing periods."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_project.core.seller import update_seller
from catalog.models import BillingCadence
from subscriptions.models import Period, Segment, Subscription
from subscriptions.operations import When, cancel_subscription, ensure_periods
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.subscriptions import find_breaches, list_bounds, subscribe, utc

pytestmark = pytest.mark.django_db

MARCH = (NOON, utc(2026, 3, 28))
APRIL = (utc(2026, 3, 28), utc(2026, 4, 28))
MAY = (utc(2026, 4, 28), utc(2026, 5, 28))


def ensure(subscription: Subscription, until: datetime) -> None:
    ensure_periods(subscription_ids=[subscription.pk], until=until)


def count_queries(subscriptions: list[Subscription], until: datetime) -> int:
    with CaptureQueriesContext(connection) as queries:
        ensure_periods(subscription_ids=[each.pk for each in subscriptions], until=until)
    return sum(not query["sql"].startswith(("SAVEPOINT", "RELEASE")) for query in queries)


class TestEnsurePeriods:
    def test_makes_the_period_that_contains_the_instant(self) -> None:
        subscription = subscribe()

        ensure(subscription, utc(2026, 5, 27, 23, 59))

        assert list_bounds(subscription) == [MARCH, APRIL, MAY]
        last = Period.objects.get(number=2)
        assert last.closes_at == utc(2026, 5, 28, 1)
        assert last.due_at == utc(2026, 5, 28)
        assert find_breaches() == []

    def test_counts_an_end_to_the_next_period(self) -> None:
        subscription = subscribe()

        ensure(subscription, utc(2026, 3, 28))

        assert list_bounds(subscription) == [MARCH, APRIL]

    @pytest.mark.parametrize("until", [NOON - timedelta(days=400), NOON, utc(2026, 3, 27, 23, 59)])
    def test_makes_nothing_that_is_not_needed(self, until: datetime) -> None:
        subscription = subscribe()

        ensure(subscription, until)

        assert list_bounds(subscription) == [MARCH]

    def test_makes_nothing_twice(self) -> None:
        subscription = subscribe()
        ensure(subscription, utc(2026, 4, 1))
        rows = list(Period.objects.values()), list(Segment.objects.values())

        ensure(subscription, utc(2026, 4, 1))

        assert (list(Period.objects.values()), list(Segment.objects.values())) == rows

    def test_makes_a_segment_with_the_quantities_of_now(self) -> None:
        plan = make_plan()
        seats = make_sku(plan, meter=None)
        subscription = subscribe(plan=plan, quantities={seats.pk: Decimal("7.5")})

        ensure(subscription, utc(2026, 4, 1))

        segment = Segment.objects.get(period__number=1)
        assert (segment.starts_at, segment.ends_at) == APRIL
        assert segment.position == 0
        assert segment.subscription == subscription
        assert segment.plan_version == subscription.plan_version
        assert segment.quantities == {str(subscription.items.get().pk): "7.5"}

    @pytest.mark.parametrize("when", When)
    def test_makes_nothing_after_an_end(self, when: When) -> None:
        subscription = subscribe()
        cancel_subscription(subscription_id=subscription.pk, when=when, at=utc(2026, 3, 1), actor=TESTER)
        bounds = list_bounds(subscription)

        ensure(subscription, utc(2026, 9, 1))

        assert list_bounds(subscription) == bounds
        assert len(bounds) == 1

    def test_never_lets_a_period_close_before_the_one_before_it(self) -> None:
        plan = make_plan(billing_cadence=BillingCadence.DAILY)
        customer = make_customer()
        update_seller(values={"grace_seconds": 7 * 86_400}, at=NOON, actor=TESTER)
        subscription = subscribe(customer=customer, plan=plan, at=utc(2026, 3, 1))
        update_seller(values={"grace_seconds": 0}, at=NOON, actor=TESTER)

        ensure(subscription, utc(2026, 3, 10))

        closes = Period.objects.order_by("number").values_list("closes_at", flat=True)
        week_later = utc(2026, 3, 9)
        assert list(closes)[:9] == [week_later] * 8 + [utc(2026, 3, 10)]
        assert find_breaches() == []

    def test_serves_many_subscriptions_with_the_same_statements(self) -> None:
        plan, customer = make_plan(), make_customer()
        make_sku(plan, meter=None)
        few = [subscribe(plan=plan, customer=customer) for _ in range(2)]
        many = [subscribe(plan=plan, customer=customer) for _ in range(20)]

        assert count_queries(few, utc(2026, 4, 1)) == count_queries(many, utc(2026, 6, 1)) == 7
        assert count_queries(many, utc(2026, 6, 1)) == 1
        assert Period.objects.count() == 2 * 2 + 20 * 4
        assert find_breaches() == []

    def test_has_a_limit(self) -> None:
        subscription = subscribe(plan=make_plan(billing_cadence=BillingCadence.DAILY))

        with pytest.raises(AssertionError, match="lacks more than 4000 periods"):
            ensure(subscription, NOON + timedelta(days=4_005))
