"""Subscribing a customer to a plan."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from billing_project.core.errors import BillingError
from billing_project.core.ids import make_id
from billing_project.core.models import AuditEntry, OutboxEvent
from billing_project.core.seller import update_seller
from catalog.models import Anchor, BillingCadence, CatalogStatus, Plan, PlanVersion
from catalog.operations import update_plan
from customers.models import CustomerStatus
from customers.operations import update_customer
from subscriptions.models import Period, Segment, Subscription, SubscriptionItem, SubscriptionStatus
from subscriptions.operations import create_subscription
from subscriptions.operations.creation import (
    CurrencyNotOffered,
    CustomerNotActive,
    PlanArchived,
    StartTooFar,
    TrialTooLong,
    UnknownCustomer,
    UnknownPlan,
)
from subscriptions.quantities import InvalidQuantities
from tests.factories.catalog import make_plan, make_sku
from tests.factories.core import NOON, TESTER
from tests.factories.customers import make_customer
from tests.factories.subscriptions import find_breaches, list_bounds, subscribe, utc

pytestmark = pytest.mark.django_db


def read_events() -> list[OutboxEvent]:
    return list(OutboxEvent.objects.filter(subject_type="subscription").order_by("position"))


def assert_refused(error: type[BillingError], field: str, **values: object) -> BillingError:
    """Assert that subscribing is refused, naming the field, and that nothing has changed."""
    arguments = {
        "currency": "USD",
        "trial_days": None,
        "quantities": {},
        "start_at": None,
        "at": NOON,
        "actor": TESTER,
    } | values
    published = set(PlanVersion.objects.filter(published_at__isnull=False))
    entries = AuditEntry.objects.count()
    with pytest.raises(error) as caught:
        create_subscription(**arguments)  # type: ignore[arg-type]
    assert [each.field for each in caught.value.errors] == [field]
    assert not Subscription.objects.exists()
    assert not Period.objects.exists()
    assert set(PlanVersion.objects.filter(published_at__isnull=False)) == published
    assert AuditEntry.objects.count() == entries
    assert read_events() == []
    return caught.value


class TestCreateSubscription:
    def test_starts_now_with_its_first_period(self) -> None:
        subscription = subscribe(at=NOON)

        assert subscription.status == SubscriptionStatus.ACTIVE
        assert subscription.starts_at == NOON
        assert subscription.ends_at is None
        assert subscription.anchor_date == date(2026, 2, 28)
        period = Period.objects.get()
        assert period.number == 0
        assert (period.starts_at, period.ends_at) == (NOON, utc(2026, 3, 28))
        assert (period.nominal_starts_at, period.nominal_ends_at) == (utc(2026, 2, 28), utc(2026, 3, 28))
        assert not period.is_trial
        assert period.timezone == "UTC"
        assert period.closes_at == utc(2026, 3, 28, 1)
        assert period.due_at == NOON
        assert period.closed_at is None
        assert period.settled_at is None
        segment = Segment.objects.get()
        assert (segment.period, segment.subscription, segment.position) == (period, subscription, 0)
        assert segment.plan_version == subscription.plan_version
        assert (segment.starts_at, segment.ends_at) == (period.starts_at, period.ends_at)
        assert segment.quantities == {}
        assert find_breaches() == []

    def test_publishes_the_latest_version(self) -> None:
        plan = make_plan()
        first = subscribe(plan=plan)
        update_plan(plan_id=plan.pk, changes={"trial_days": 3}, at=NOON, actor=TESTER)
        later = NOON + timedelta(hours=1)

        second = subscribe(plan=plan, at=later)

        assert (first.plan_version.number, second.plan_version.number) == (1, 2)
        published = (
            PlanVersion.objects.filter(plan=plan).order_by("number").values_list("published_at", flat=True)
        )
        assert list(published) == [NOON, later]

    def test_begins_with_the_trial_of_the_plan(self) -> None:
        subscription = subscribe(plan=make_plan(trial_days=14), at=utc(2026, 2, 28, 14))

        assert subscription.status == SubscriptionStatus.TRIALING
        assert subscription.trial_days == 14
        assert subscription.anchor_date == date(2026, 3, 15)
        period = Period.objects.get()
        assert period.is_trial
        assert (period.starts_at, period.ends_at) == (utc(2026, 2, 28, 14), utc(2026, 3, 15))

    @pytest.mark.parametrize(
        ("trial_days", "status", "ends_at"),
        [
            (0, SubscriptionStatus.ACTIVE, utc(2026, 3, 28)),
            (2, SubscriptionStatus.TRIALING, utc(2026, 3, 3)),
        ],
    )
    def test_lets_its_own_trial_days_override_the_plan_s(
        self, trial_days: int, status: SubscriptionStatus, ends_at: object
    ) -> None:
        subscription = subscribe(plan=make_plan(trial_days=14), trial_days=trial_days)

        assert subscription.status == status
        assert Period.objects.get().ends_at == ends_at

    def test_keeps_to_midnights_of_the_customer_s_time_zone(self) -> None:
        subscription = subscribe(customer=make_customer(timezone="Asia/Kolkata"), at=utc(2026, 1, 31, 20))

        # 20:00 UTC is half past one on the first of February there.
        assert list_bounds(subscription) == [(utc(2026, 1, 31, 20), utc(2026, 2, 28, 18, 30))]
        assert subscription.timezone == "Asia/Kolkata"
        assert subscription.anchor_date == date(2026, 2, 1)

    def test_begins_a_calendar_plan_with_a_stub(self) -> None:
        subscribe(plan=make_plan(anchor=Anchor.CALENDAR), at=utc(2026, 2, 10, 9))

        period = Period.objects.get()
        assert (period.starts_at, period.ends_at) == (utc(2026, 2, 10, 9), utc(2026, 3, 1))
        assert (period.nominal_starts_at, period.nominal_ends_at) == (utc(2026, 2, 1), utc(2026, 3, 1))

    def test_closes_periods_after_the_seller_s_grace(self) -> None:
        customer = make_customer()
        update_seller(values={"grace_seconds": 90}, at=NOON, actor=TESTER)

        subscribe(customer=customer)

        assert Period.objects.get().closes_at == utc(2026, 3, 28) + timedelta(seconds=90)

    def test_makes_an_item_for_each_sku_in_the_plan_s_order(self) -> None:
        plan = make_plan()
        tokens, seats, support = (
            make_sku(plan),
            make_sku(plan, meter=None),
            make_sku(plan, meter=None, name="Support"),
        )

        subscription = subscribe(plan=plan, quantities={seats.pk: Decimal("2.50")})

        items = SubscriptionItem.objects.filter(subscription=subscription).order_by("pk")
        assert [(item.sku_id, item.quantity) for item in items] == [
            (tokens.pk, None),
            (seats.pk, Decimal("2.5")),
            (support.pk, Decimal(1)),
        ]
        assert Segment.objects.get().quantities == {str(items[1].pk): "2.50", str(items[2].pk): "1"}
        assert find_breaches() == []

    def test_takes_a_quantity_of_zero(self) -> None:
        plan = make_plan()
        seats = make_sku(plan, meter=None)

        subscribe(plan=plan, quantities={seats.pk: Decimal(0)})

        assert SubscriptionItem.objects.get().quantity == 0

    def test_takes_the_currency_of_the_prices_whatever_the_customer_s_is(self) -> None:
        plan = make_plan()
        make_sku(plan, currency="EUR")

        subscription = subscribe(customer=make_customer(currency="USD"), plan=plan, currency="EUR")

        assert subscription.currency == "EUR"

    def test_makes_the_periods_since_a_start_in_the_past(self) -> None:
        subscription = subscribe(start_at=utc(2025, 11, 30, 8), at=NOON)

        assert list_bounds(subscription) == [
            (utc(2025, 11, 30, 8), utc(2025, 12, 30)),
            (utc(2025, 12, 30), utc(2026, 1, 30)),
            (utc(2026, 1, 30), utc(2026, 2, 28)),
            (utc(2026, 2, 28), utc(2026, 3, 30)),
        ]
        due = Period.objects.order_by("number").values_list("due_at", flat=True)
        assert list(due) == [utc(2025, 11, 30, 8), utc(2026, 1, 30), utc(2026, 2, 28), utc(2026, 3, 30)]
        assert find_breaches() == []

    def test_is_active_where_the_trial_ended_before_now(self) -> None:
        subscription = subscribe(trial_days=7, start_at=utc(2026, 2, 1), at=utc(2026, 2, 8))

        assert subscription.status == SubscriptionStatus.ACTIVE
        assert list_bounds(subscription)[0] == (utc(2026, 2, 1), utc(2026, 2, 8))

    @pytest.mark.parametrize(
        ("trial_days", "status"), [(0, SubscriptionStatus.ACTIVE), (5, SubscriptionStatus.TRIALING)]
    )
    def test_makes_the_first_period_of_a_start_in_the_future(
        self, trial_days: int, status: SubscriptionStatus
    ) -> None:
        subscription = subscribe(trial_days=trial_days, start_at=utc(2026, 5, 1), at=NOON)

        assert subscription.status == status
        period = Period.objects.get()
        assert period.starts_at == period.due_at == utc(2026, 5, 1)

    def test_reaches_back_ten_years_of_days(self) -> None:
        plan = make_plan(billing_cadence=BillingCadence.DAILY)

        subscribe(plan=plan, start_at=NOON - timedelta(days=3_653), at=NOON)

        assert Period.objects.count() == 3_653
        assert Segment.objects.count() == 3_653

    def test_tells_of_itself(self) -> None:
        plan = make_plan(trial_days=14)
        seats = make_sku(plan, meter=None)

        subscription = subscribe(plan=plan, quantities={seats.pk: Decimal(3)})

        (event,) = read_events()
        assert (event.name, event.subject_id) == ("subscription.created", subscription.pk)
        assert (event.customer_id, event.occurred_at) == (subscription.customer_id, NOON)
        assert event.payload == {
            "subscription_id": str(subscription.pk),
            "customer_id": str(subscription.customer_id),
            "plan_id": str(plan.pk),
            "plan_version": 1,
            "status": "Trialing",
            "currency": "USD",
            "trial_days": 14,
            "starts_at": "2026-02-28T12:00:00Z",
            "ends_at": None,
            "cancelled_at": None,
        }
        entry = AuditEntry.objects.get(action="subscription.created")
        assert (entry.subject_id, entry.customer_id) == (str(subscription.pk), subscription.customer_id)
        assert entry.changes["status"] == [None, "Trialing"]
        assert entry.changes["starts_at"] == [None, "2026-02-28T12:00:00Z"]
        assert entry.changes["quantities"] == [None, {str(seats.pk): "3"}]

    def test_refuses_an_unknown_customer(self) -> None:
        assert_refused(UnknownCustomer, "customer_id", customer_id=make_id(), plan_id=make_plan().pk)

    @pytest.mark.parametrize("status", [CustomerStatus.SUSPENDED, CustomerStatus.CLOSED])
    def test_refuses_a_customer_who_is_not_active(self, status: CustomerStatus) -> None:
        customer = make_customer()
        update_customer(customer_id=customer.pk, changes={"status": status}, at=NOON, actor=TESTER)

        assert_refused(CustomerNotActive, "customer_id", customer_id=customer.pk, plan_id=make_plan().pk)

    def test_refuses_an_unknown_plan(self) -> None:
        assert_refused(UnknownPlan, "plan_id", customer_id=make_customer().pk, plan_id=make_id())

    def test_refuses_an_archived_plan(self) -> None:
        plan = make_plan()
        update_plan(plan_id=plan.pk, changes={"status": CatalogStatus.ARCHIVED}, at=NOON, actor=TESTER)

        assert_refused(PlanArchived, "plan_id", customer_id=make_customer().pk, plan_id=plan.pk)

    def test_refuses_a_currency_in_which_not_every_price_is_stated(self) -> None:
        plan = make_plan()
        make_sku(plan, currency="USD")
        make_sku(plan, meter=None, currency="EUR")

        error = assert_refused(
            CurrencyNotOffered, "currency", customer_id=make_customer().pk, plan_id=plan.pk, currency="USD"
        )

        assert error.detail == "The plan has prices in EUR, so it cannot be billed in USD."

    @pytest.mark.parametrize("days", [-1, 731])
    def test_refuses_a_trial_beyond_reason(self, days: int) -> None:
        assert_refused(
            TrialTooLong,
            "trial_days",
            customer_id=make_customer().pk,
            plan_id=make_plan().pk,
            trial_days=days,
        )

    @pytest.mark.parametrize("days", [-3_654, 3_654])
    def test_refuses_a_start_beyond_reason(self, days: int) -> None:
        assert_refused(
            StartTooFar,
            "start_at",
            customer_id=make_customer().pk,
            plan_id=make_plan().pk,
            start_at=NOON + timedelta(days=days),
        )

    def test_refuses_a_quantity_of_what_a_meter_counts(self) -> None:
        plan = make_plan()
        tokens = make_sku(plan)

        assert self.refuse_quantity(plan, tokens.pk, Decimal(1)) == "metered"

    def test_refuses_a_quantity_of_what_the_plan_does_not_have(self) -> None:
        sku = make_sku(make_plan(), meter=None)

        assert self.refuse_quantity(make_plan(), sku.pk, Decimal(1)) == "unknown_sku"

    @pytest.mark.parametrize("quantity", ["-1", "NaN", "Infinity", "1e30"])
    def test_refuses_what_is_no_quantity(self, quantity: str) -> None:
        plan = make_plan()
        seats = make_sku(plan, meter=None)

        assert self.refuse_quantity(plan, seats.pk, Decimal(quantity)) == "out_of_range"

    @staticmethod
    def refuse_quantity(plan: Plan, sku_id: UUID, quantity: Decimal) -> str:
        error = assert_refused(
            InvalidQuantities,
            f"quantities.{sku_id}",
            customer_id=make_customer().pk,
            plan_id=plan.pk,
            quantities={sku_id: quantity},
        )
        return error.errors[0].code
